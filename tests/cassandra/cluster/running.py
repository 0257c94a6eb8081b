"""Loads that run: on Trio and asyncio, on threads, and on greenlets in a process of their own."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import triocql
import triocql.sync
from tests.cassandra.conftest import patient
from triocql.errors import RequestError

from .load import PATIENCE, READ, RUN, WRITE, Load, Report, Steps

if TYPE_CHECKING:
    from triocql.cluster.cluster import Cluster
    from triocql.cluster.measuring import Stats
    from triocql.statements.prepared import PreparedStatement

WORKERS = 8
"""How many requests each load has in flight."""

ROOT = Path(__file__).parents[3]
PATCHED = """
from gevent import monkey; monkey.patch_all()
from tests.cassandra.cluster.running import run_for_another_process
run_for_another_process()
"""


@dataclass
class Running:
    """A load that runs.

    Attributes:
        load: what it sends.
        session: its session, to be used where its loop is.
        cluster: the engine of that.
        call: calls a function there.
        spawn: has a worker take its steps.
    """

    load: Load
    session: Any
    cluster: Cluster
    call: Callable[[Callable[[], Any]], Any]
    spawn: Callable[[Steps], Future[None]]
    workers: list[Future[None]] = field(default_factory=list)

    def start(self) -> None:
        """Have the workers begin."""
        self.load.over = False
        self.workers = [self.spawn(self.load.work(n)) for n in range(WORKERS)]

    def stop(self) -> None:
        """Have the workers end, each with the answer to its last request."""
        self.load.over = True
        for worker in self.workers:
            worker.result(PATIENCE)

    @property
    def report(self) -> Report:
        """What became of the requests so far."""
        return self.load.report

    def answered(self, more: int) -> None:
        """Wait for this many more answers."""
        self.load.answered(more)

    def failed(self, more: int) -> None:
        """Wait for this many more failures."""
        self.load.failed(more)

    def rest(self, seconds: float) -> None:
        """Have each worker rest that long after an answer."""
        self.load.rest = seconds

    def stats(self) -> Stats:
        """Return what its session has under way."""
        stats: Stats = self.call(self.session.stats)
        return stats

    def control_node(self) -> str | None:
        """Return the address of the node that tells its session of the cluster; None while none does."""
        connection = self.cluster._control.connection
        return None if connection is None else connection.node.address.host


@contextmanager
def running(
    on: str,
    contact_points: list[str],
    *,
    timeout: float = 60.0,
    attempt_timeout: float | None = None,
    **options: Any,
) -> Iterator[Running]:
    """Run a load on "trio", "asyncio" or "thread" until the block is left; its outcomes are checked by the test.

    The timeouts are those of its requests: how long its session has to be ready is no matter of the test. That a
    machine is slow ends no connection either.
    """
    bounds = {"timeout": timeout, "attempt_timeout": attempt_timeout}
    options = {**patient(heartbeat_timeout=20.0), "consistency": "QUORUM", **options}
    connect = _on_threads if on == "thread" else _on_a_loop
    with connect(on, contact_points, options, bounds) as load:
        load.start()
        try:
            yield load
        finally:
            load.stop()


@contextmanager
def _on_a_loop(
    on: str, contact_points: list[str], options: dict[str, Any], bounds: dict[str, Any]
) -> Iterator[Running]:
    import anyio
    from anyio.from_thread import start_blocking_portal

    async def drive(session: triocql.Session, steps: Steps) -> None:
        request = next(steps)
        while not load.over:
            outcome: Any
            began = time.monotonic()
            try:
                outcome = await session.execute(prepared[request.text], request.parameters)
            except RequestError as error:
                outcome = error
            request = steps.send((outcome, time.monotonic() - began))
            await anyio.sleep(load.rest_after(outcome))

    async def prepare(session: triocql.Session) -> dict[str, Any]:
        return {text: declared(await session.prepare(text), bounds) for text in (WRITE, READ, RUN)}

    load = Load(on)
    with (
        start_blocking_portal(on) as portal,
        portal.wrap_async_context_manager(triocql.connect(contact_points, **options)) as session,
    ):
        prepared = portal.call(prepare, session)
        cluster = session._context.cluster
        yield Running(
            load, session, cluster, portal.call, lambda steps: portal.start_task_soon(drive, session, steps)
        )


@contextmanager
def _on_threads(
    on: str, contact_points: list[str], options: dict[str, Any], bounds: dict[str, Any]
) -> Iterator[Running]:
    def drive(steps: Steps) -> None:
        request = next(steps)
        while not load.over:
            outcome: Any
            began = time.monotonic()
            try:
                outcome = session.execute(prepared[request.text], request.parameters)
            except RequestError as error:
                outcome = error
            request = steps.send((outcome, time.monotonic() - began))
            time.sleep(load.rest_after(outcome))

    load = Load(on)
    with (
        triocql.sync.connect(contact_points, **options) as session,
        ThreadPoolExecutor(WORKERS) as threads,
    ):
        prepared = {text: declared(session.prepare(text), bounds) for text in (WRITE, READ, RUN)}
        cluster = session._portal.context.cluster
        yield Running(
            load, session, cluster, lambda function: function(), lambda steps: threads.submit(drive, steps)
        )


def declared(statement: PreparedStatement, bounds: dict[str, Any]) -> PreparedStatement:
    """Say of a statement whether it may be executed twice, and how long it may take."""
    return statement.with_options(idempotent=statement.text != RUN, **bounds)


# --- In a process of its own, under gevent -----------------------------------------------------------------


class Remote:
    """A load in another process: it is told, line by line, how many answers to wait for, how long workers rest, and to
    end; then it hands over its report.
    """

    def __init__(self, process: socket.socket) -> None:
        process.settimeout(PATIENCE)
        self._file = process.makefile("rwb")
        self.report = Report()

    def answered(self, more: int) -> None:
        """Wait for this many more answers."""
        self._tell(f"answered {more}")
        assert self._file.readline() == b"answered\n"

    def rest(self, seconds: float) -> None:
        """Have each worker rest that long after an answer."""
        self._tell(f"rest {seconds}")

    def end(self) -> None:
        """End the load and take its report."""
        self._tell("end 0")
        self.report = pickle.load(self._file)

    def _tell(self, line: str) -> None:
        self._file.write(f"{line}\n".encode())
        self._file.flush()


@contextmanager
def running_under_gevent(contact_points: list[str]) -> Iterator[Remote]:
    """Run a load on greenlets, in a process of its own, until the block is left; then its report is there."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", PATCHED, str(theirs.fileno()), *contact_points]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
        theirs.close()
        remote = Remote(ours)
        try:
            yield remote
            remote.end()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()


def run_for_another_process() -> None:
    """Run a load as `running_under_gevent` has it."""
    _, number, *contact_points = sys.argv
    with socket.socket(fileno=int(number)) as parent, parent.makefile("rwb") as file:
        with running("thread", contact_points) as load:
            while (line := file.readline().split())[0] != b"end":
                if line[0] == b"rest":
                    load.rest(float(line[1]))
                    continue
                load.answered(int(line[1]))
                file.write(b"answered\n")
                file.flush()
        pickle.dump(load.report, file)
