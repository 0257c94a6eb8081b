"""Ctrl-C at any moment (C09): the program ends at once, or goes on with a session that is as good as new."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
import trio

import triocql
from tests.engine.world import check
from tests.faults.invariants import executions
from tests.faults.scene import INSERT, PATIENCE, SCHEMA, SELECT
from tests.files import open_files
from tests.moments import takes_signals
from tests.session.loops import settled
from triocql import Session
from triocql.engine.connections import Streams
from triocql.engine.requests.single import SingleRequest
from triocql.observability.meters import Moment, NodeMeter
from triocql.reactors.trioreactor import TrioReactor
from triocql.testing.server import CqlServer

AT_ONCE = 5.0
"""Seconds within which an interrupted program has ended, on a busy machine, too: less than any deadline here."""

FEW, MANY = range(20), range(500)
PLACES = (f"{os.sep}triocql{os.sep}", f"{os.sep}reactors{os.sep}")


class Presser:
    """Presses Ctrl-C when a function of the library is called for the `at`-th time in its block."""

    def __init__(self, at: int | None = None) -> None:
        self.count = 0
        self.pressed_at: float | None = None
        self._at = at

    def __enter__(self) -> Presser:
        sys.setprofile(self._called)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)

    def _called(self, frame: FrameType, event: str, _argument: object) -> None:
        if event != "call" or not any(place in frame.f_code.co_filename for place in PLACES):
            return
        if f"{os.sep}testing{os.sep}" in frame.f_code.co_filename or not takes_signals(frame):
            return
        self.count += 1
        if self.count - 1 == self._at:
            sys.setprofile(None)
            self.pressed_at = time.monotonic()
            signal.raise_signal(signal.SIGINT)


async def work(session: Session) -> None:
    """Do a bit of everything."""
    select = await session.prepare(SELECT)
    assert (await session.execute(select, [1])).scalar() == 1
    await session.execute("SELECT 2")
    results = await session.execute_concurrent_with_args(select, [[number] for number in range(20)], 5)
    assert [result.scalar() for _, result in results] == list(range(20))
    async with triocql.open_request_nursery(session, 3) as nursery:
        for number in range(10):
            await nursery.start(INSERT, [number])
    async with session.stream(SELECT, [7]) as rows:
        assert [row.k async for row in rows] == [7]


async def goes_on(session: Session) -> None:
    """Check that a session is as good as new (G3 to G5)."""
    assert (await session.execute(SELECT, [42], timeout=10.0)).scalar() == 42
    await settled(session)
    as_new(session)


def as_new(session: Session) -> None:
    check(session)
    assert session.stats() == (1, 0, 0, 0)
    assert session._context.executor.router.ending is None


def connecting(server: CqlServer) -> triocql.session.connecting.Connecting:
    return triocql.connect(server.contact_points, connections_local=1, timeout=10.0)


async def trio_program(server: CqlServer, caught: bool) -> None:
    async with connecting(server) as session:
        if not caught:
            await work(session)
            return
        try:
            await work(session)
        except (KeyboardInterrupt, BaseExceptionGroup):
            await goes_on(session)


async def asyncio_program(server: CqlServer, caught: bool) -> None:
    async with connecting(server) as session:
        if not caught:
            await work(session)
            return
        try:
            await work(session)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            await goes_on(session)


def thread_program(server: CqlServer, presser: Presser, caught: bool) -> None:
    """Only what is called in the block: before and after it, Python itself may lose a session."""
    with triocql.sync.connect(server.contact_points, connections_local=1, timeout=10.0) as session:
        try:
            with presser:
                select = session.prepare(SELECT)
                assert session.execute(select, [1]).scalar() == 1
                rows = [[number] for number in range(20)]
                results = session.execute_concurrent_with_args(select, rows, 5)
                assert [result.scalar() for _, result in results] == list(range(20))
                session.execute(INSERT, [9])
                with session.stream(SELECT, [7]) as stream:
                    assert [row.k for row in stream] == [7]
        except KeyboardInterrupt:
            if not caught:
                raise
            assert session.execute(SELECT, [42]).scalar() == 42
            waiting = triocql.Session(session._portal.context)
            session._portal.run(settled, waiting)
            session._portal.call(as_new, waiting)


def run_trio(server: CqlServer, presser: Presser, caught: bool) -> None:
    with presser:
        trio.run(trio_program, server, caught)


def run_asyncio(server: CqlServer, presser: Presser, caught: bool) -> None:
    with presser:
        asyncio.run(asyncio_program(server, caught))


PROGRAMS: dict[str, Callable[[CqlServer, Presser, bool], None]] = {
    "trio": run_trio,
    "asyncio": run_asyncio,
    "thread": thread_program,
}


def calls_of(loop: str, server: CqlServer) -> int:
    """Return how many calls there are in an undisturbed run."""
    presser = Presser()
    PROGRAMS[loop](server, presser, False)
    return presser.count


def interrupt(loop: str, seeds: range, caplog: pytest.LogCaptureFixture) -> None:
    """Interrupt a program at a moment for each seed."""
    pressed = 0
    with CqlServer(schema=SCHEMA, unprimed="echo") as server:
        calls = calls_of(loop, server)
        assert calls > 100
        gc.collect()
        while server.connections:
            server.call(lambda: None)
        files, threads = open_files(), set(threading.enumerate())
        for seed in seeds:
            at = random.Random(seed).randrange(calls)
            pressed += _interrupted(loop, server, at, caught=seed % 2 == 0)
            gc.collect()
            assert _open_files(server, files) == files, (seed, at)
            assert set(threading.enumerate()) <= threads
    assert pressed >= len(seeds) * 0.8
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def _interrupted(loop: str, server: CqlServer, at: int, *, caught: bool) -> bool:
    """Run the program, with Ctrl-C at this call; return whether it was pressed."""
    presser = Presser(at)
    server.log.clear()
    with suppress(KeyboardInterrupt):
        PROGRAMS[loop](server, presser, caught)
    assert max(executions(server).values(), default=0) <= 1
    if presser.pressed_at is None:
        return False
    assert caught or time.monotonic() - presser.pressed_at < AT_ONCE, at
    return True


def _open_files(server: CqlServer, expected: int) -> int:
    """Return how many files are open, once the server has closed its ends."""
    end = time.monotonic() + PATIENCE
    while (count := open_files()) != expected and time.monotonic() < end:
        server.call(lambda: None)
    return count


class Waking:
    """Stands for a connection and its clock: Ctrl-C is pressed when it is to be woken."""

    armed = -1.0

    def wake(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_c09_ctrl_c_in_a_compiled_step() -> None:
    """It has no frame of its own by which Trio could see that it is protected."""
    ended = []

    async def main() -> None:
        async with TrioReactor() as reactor:
            connection: Any = Waking()
            streams = Streams(connection, connection, 4, NodeMeter(connection, Moment()))
            request = SingleRequest(connection, 10.0, 10.0)
            reactor.protect(streams.send)(request)
            ended.append(request)
            await trio.lowlevel.checkpoint()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert len(ended) == 1


LOOPS = pytest.mark.parametrize("loop", PROGRAMS)


@LOOPS
def test_c09_ctrl_c_at_seeded_moments(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    interrupt(loop, FEW, caplog)


@pytest.mark.long
@LOOPS
def test_c09_ctrl_c_at_many_moments(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    interrupt(loop, MANY, caplog)
