"""Two million rows of three real nodes: read, counted, and exported in little memory, also by processes that are killed
at any moment.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.parquet
import pytest

import triocql.sync
from tests.cassandra.conftest import patient
from tests.loading import load
from triocql.testing.cassandra import CassandraCluster

pytestmark = [pytest.mark.cassandra, pytest.mark.long]
TABLE = "large.events"
SCHEMA = (
    "CREATE KEYSPACE large WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 2}",
    f"CREATE TABLE {TABLE} (id int, n int, name text, value double, PRIMARY KEY (id, n))",
)
INSERT = f"INSERT INTO {TABLE} (id, n, name, value) VALUES (?, ?, ?, ?)"
ROWS = 2_000_000
OF_A_PARTITION = 100
KILLS = 20
MOST_MEMORY = 200_000_000

MEASURED = """
import re, sys
from triocql import commands
status = commands.run(sys.argv[1:])
# What `resource` tells counts what the parent had, too.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024)
sys.exit(status)
"""


@pytest.fixture(scope="module")
def point(three_nodes: CassandraCluster) -> Iterator[str]:
    """Where the table is, on all replicas."""
    point = three_nodes.contact_points[0]
    with triocql.sync.connect(point, **patient(consistency="ALL")) as session:
        for statement in SCHEMA:
            session.execute(statement)
        load(session, INSERT, map(row_of, range(ROWS)))
        yield point
        session.execute("DROP KEYSPACE large")


def row_of(number: int) -> tuple[Any, ...]:
    id_, n = divmod(number, OF_A_PARTITION)
    return id_, n, f"name of {number}", number / 7


def check(rows: pyarrow.Table) -> None:
    """Every row is there once, as it was written."""
    assert rows.num_rows == ROWS
    compute = pyarrow.compute
    number = compute.add(compute.multiply(rows["id"].cast("int64"), OF_A_PARTITION), rows["n"])
    rows = rows.append_column("number", number).sort_by("number")
    expected = pyarrow.array(range(ROWS))
    assert rows["number"].combine_chunks().equals(expected)
    assert rows["value"].combine_chunks().equals(compute.divide(expected.cast("double"), 7.0))
    assert rows["name"][12345].as_py() == row_of(12345)[2]


def check_files(path: Path) -> None:
    check(pyarrow.concat_tables(map(pyarrow.parquet.read_table, path.glob("part_*.parquet"))))


def program(point: str, target: Path, *options: str) -> list[str]:
    return ["export", "--quiet", "--timeout", "60", *options, point, TABLE, str(target)]


def test_two_million_rows(point: str) -> None:
    with triocql.sync.connect(point, **patient()) as session:
        began = time.monotonic()
        check(session.scan(TABLE).arrow())
        print(f"{ROWS:,} rows read in {time.monotonic() - began:.0f} s")
        assert session.scan(TABLE).count() == ROWS


def test_a_large_export_takes_little_memory(point: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEASURED, *program(point, tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    check_files(tmp_path)
    print(f"{int(ended.stdout) / 1e6:.0f} MB at most")
    assert int(ended.stdout) <= MOST_MEMORY


def test_processes_that_are_killed_at_any_moment_lose_and_double_no_row(point: str, tmp_path: Path) -> None:
    chance = random.Random(14)
    kills = 0
    while kills < KILLS:
        target = tmp_path / str(kills)
        while kills < KILLS and was_killed(point, target, chance):
            kills += 1
        ended = subprocess.run(
            [sys.executable, "-m", "triocql", *program(point, target, "--resume")], check=False
        )
        assert ended.returncode == 0
        assert not list(target.glob("_part*"))
        check_files(target)
        shutil.rmtree(target)


def was_killed(point: str, target: Path, chance: random.Random) -> bool:
    """Go on with an export, divided in another way, and kill it; return whether it had not come to its end before."""
    command = program(point, target, "--resume", "--tasks", str(chance.randint(30, 300)))
    more = chance.randint(0, 4)  # none: while it begins
    wanted = len(list(target.glob("part_*"))) + more
    running = subprocess.Popen([sys.executable, "-m", "triocql", *command])
    deadline = time.monotonic() + 120
    while running.poll() is None and len(list(target.glob("part_*"))) < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.3 if more else 3.0))
    running.kill()
    status = running.wait()
    assert status in (0, -9)
    return status != 0
