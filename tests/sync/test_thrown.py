"""What another thread throws into one that drives a session's loop, as time limits of task queues do."""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.sync.served import SELECT, Served
from triocql.errors import InternalError
from triocql.reactors.base import nothing
from triocql.reactors.stepping import StepWaiter
from triocql.reactors.threadloop import ThreadLoop
from triocql.sync import Session

PATIENCE = 60.0


class TimeLimit(BaseException):
    """What a task queue throws."""


@pytest.fixture
def held() -> Iterator[tuple[Served, Session]]:
    """A session whose loop's thread rests, and a node that holds what is executed."""
    with Served() as served, served.connect(timeout=60.0) as session:
        select = session.prepare(SELECT)
        until_rest(session)
        session.execute(select, [1])
        served.hold()
        yield served, session


def until_rest(session: Session) -> None:
    """Return once the loop's thread lets callers drive."""
    while session._portal.call(threading.get_ident) != threading.get_ident():
        pass


def throw(ident: int) -> None:
    """Throw `TimeLimit` into a thread."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(TimeLimit))


def until_it_waits(ident: int) -> None:
    """Return once a thread that drives the loop waits for the sockets: it may still be at work."""
    end = time.monotonic() + PATIENCE
    while sys._current_frames()[ident].f_code.co_name != "poll":
        assert time.monotonic() < end


def driving(pool: ThreadPoolExecutor, served: Served, session: Session) -> tuple[Future[object], int]:
    """Have another thread wait for an answer and drive meanwhile; return its future and its ident."""
    idents: list[int] = []

    def work() -> object:
        idents.append(threading.get_ident())
        return session.execute(SELECT, [7]).scalar()

    future = pool.submit(work)
    served.until_held(1)
    end = time.monotonic() + PATIENCE
    while session._portal.loop._ident not in idents:
        assert time.monotonic() < end
    return future, idents[0]


def test_thrown_while_it_waits(held: tuple[Served, Session]) -> None:
    served, session = held
    with ThreadPoolExecutor(2) as pool:
        future, ident = driving(pool, served, session)
        beside = pool.submit(lambda: session.execute(SELECT, [8]).scalar())
        served.until_held(2)
        until_it_waits(ident)
        throw(ident)
        served.release(2)
        assert beside.result(PATIENCE) == 8
        with pytest.raises(TimeLimit):
            future.result(PATIENCE)
    served.node.script = None
    assert session.execute(SELECT, [9]).scalar() == 9


def test_thrown_into_a_step(caplog: pytest.LogCaptureFixture) -> None:
    """The loop ends; everybody is told why, and so is the log."""
    loop = ThreadLoop()
    loop.start()

    def break_off() -> None:
        raise TimeLimit

    async def waits() -> None:
        loop.soon(break_off)
        await never.wait()

    never = StepWaiter(loop, nothing)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises((TimeLimit, InternalError)) as info:
            pool.submit(loop.run, waits).result(PATIENCE)
        loop.join(PATIENCE)
        assert loop.ended
        if isinstance(info.value, InternalError):
            assert isinstance(info.value.__cause__, TimeLimit)
    with pytest.raises(InternalError, match="TimeLimit") as later:
        loop.run(waits)
    assert isinstance(later.value.__cause__, TimeLimit)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "TimeLimit" in record.getMessage()
