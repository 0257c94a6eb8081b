"""Under the monkey patches of gevent and eventlet, in processes of their own: everything cooperates, unchanged."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.sync.programs import ROOT, run
from tests.sync.served import Served

PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all(); import gevent; spawn = gevent.spawn; wait = gevent.wait",
    # Its DNS would import dnspython, and with it what cannot be imported under a patch.
    "eventlet": "import os; os.environ['EVENTLET_NO_GREENDNS'] = 'yes'\n"
    "import eventlet; eventlet.monkey_patch(); spawn = eventlet.spawn\n"
    "def wait(greenlets): return [each.wait() for each in greenlets]",
}
GREENLETS = """
echoed = []
with connect() as session:
    select = session.prepare("SELECT v FROM t WHERE k = ?")
    ticks = 0
    def ticking():
        global ticks
        import time
        while True:
            time.sleep(0.001)
            ticks += 1
    spawn(ticking)
    def work(number):
        for each in range(number * 20, number * 20 + 20):
            echoed.append(session.execute(select, [each]).scalar())
    wait([spawn(work, number) for number in range(32)])
    session.execute_concurrent_with_args(select, [[number] for number in range(1000)])
    futures = [session.execute_async(select, [number]) for number in range(100)]
    assert [future.result(60).scalar() for future in futures] == list(range(100))
    assert ticks > 5, ticks
    print(sorted(echoed) == list(range(640)), echoed != sorted(echoed), session.stats()[:3])
"""
TIMEOUT = """
with connect() as session:
    def under_way():
        while not session.stats().in_flight:
            gevent.sleep(0.001)
    timeout = gevent.Timeout()
    def times_out(caller):
        under_way()
        gevent.kill(caller, timeout)
    gevent.spawn(times_out, gevent.getcurrent())
    try:
        session.execute("SELECT held")
    except gevent.Timeout as error:
        assert error is timeout
    greenlet = gevent.spawn(session.execute, "SELECT held")
    under_way()
    greenlet.kill()
    session.stats()
    print(session.stats())
"""


COLUMNS = """
import time
from triocql.results.columns import Batches
ticks = 0
def ticking():
    global ticks
    while True:
        time.sleep(0.001)
        ticks += 1
read = Batches.read
def read_slowly(self, page):
    start, deadline = ticks, time.monotonic() + 60
    while ticks < start + 3 and time.monotonic() < deadline:
        sleep(0.001)
    assert ticks >= start + 3
    return read(self, page)
Batches.read, Batches.takes_long = read_slowly, lambda *_: True
with connect() as session:
    spawn(ticking)
    print(session.stream("SELECT a").arrow().num_rows)
"""


FORK = """
session = connect()
session.execute("SELECT a")
if not (child := os.fork()):
    try:
        session.execute("SELECT b")
    except triocql.errors.UsageError:
        with connect() as own:
            print(own.execute("SELECT own").scalar(), flush=True)
    sys.exit(0)
os.waitpid(child, 0)
print([session.execute(f"SELECT {number}").scalar() for number in range(3)])
session.close()
"""


def installed(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")


@pytest.mark.parametrize("order", ["patched first", "patched later"])
@pytest.mark.parametrize("name", PATCHES)
def test_many_greenlets(name: str, order: str) -> None:
    installed(name)
    first, then = (PATCHES[name], "") if order == "patched first" else ("", PATCHES[name])
    with Served() as served:
        out, _ = run(f"{then}\n{GREENLETS}", served.port, first=first)
    assert out == ["True True (1, 0, 0)"]


def test_timeout_and_kill_abandon_the_call() -> None:
    installed("gevent")
    with Served() as served:
        served.hold()
        out, _ = run(TIMEOUT, served.port, first=PATCHES["gevent"])
    assert out == ["Stats(connections=1, in_flight=0, queued=0, orphans=2)"]


@pytest.mark.parametrize("name", PATCHES)
def test_others_run_while_a_large_page_becomes_columns(name: str) -> None:
    installed(name)
    with Served() as served:
        out, _ = run(COLUMNS, served.port, first=f"import time; sleep = time.sleep\n{PATCHES[name]}")
    assert out == ["1"]


def test_fork() -> None:
    """In the child, the greenlets of the parent go on; the session's does not."""
    installed("gevent")
    with Served() as served:
        out, _ = run(FORK, served.port, first=PATCHES["gevent"])
    assert out == ["SELECT own", "['SELECT 0', 'SELECT 1', 'SELECT 2']"]


@pytest.mark.parametrize("name", PATCHES)
def test_the_conformance_suite(name: str) -> None:
    installed(name)
    # Trio cannot be imported under eventlet's patch.
    program = f"import trio\n{PATCHES[name]}\nimport sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    options = [
        *("-q", "-p", "no:cacheprovider", "tests/reactors", "-k", "thread"),
        "--ignore=tests/reactors/test_driving.py",  # a greenlet leaves the driving to the loop's
        *("-W", "ignore::pytest.PytestUnraisableExceptionWarning"),  # of sockets that eventlet has copied
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
