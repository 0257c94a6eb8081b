"""A session that is used where it does not belong: in another loop or thread, or after its loop's end. It is refused
before anything of it is touched, says what to do, and goes on where it belongs.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import trio
import uvloop

import triocql
from tests.engine.world import check
from tests.sync.served import Served
from triocql import Session
from triocql.errors import SessionClosed, UsageError

Use = Callable[[Session], Coroutine[Any, Any, Any]]
TEXT = "SELECT 1"
PATIENCE = 60.0


async def execute(session: Session) -> None:
    await session.execute(TEXT)


async def execute_values(session: Session) -> None:
    await session.execute(TEXT, [1])


async def prepare(session: Session) -> None:
    await session.prepare(TEXT)


async def stream(session: Session) -> None:
    async with session.stream(TEXT) as rows:
        async for _ in rows:
            pass


async def concurrent(session: Session) -> None:
    await session.execute_concurrent([(TEXT, None)])


async def concurrent_with_args(session: Session) -> None:
    await session.execute_concurrent_with_args(TEXT, [[1]])


async def stream_concurrent(session: Session) -> None:
    async with session.stream_concurrent([(TEXT, None)]) as outcomes:
        async for _ in outcomes:
            pass


async def nursery(session: Session) -> None:
    async with triocql.open_request_nursery(session) as requests:
        requests.start_soon(TEXT)


async def close(session: Session) -> None:
    await session.aclose(0.5)


USES: list[Use] = [
    execute,
    execute_values,
    prepare,
    stream,
    concurrent,
    concurrent_with_args,
    stream_concurrent,
    nursery,
    close,
]


def run_on_uvloop(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


RUNS: dict[str, Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]] = {
    "trio": trio.run,
    "asyncio": lambda main: asyncio.run(main()),
    "uvloop": run_on_uvloop,
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as served:
        yield served


def connecting(served: Served) -> triocql.session.connecting.Connecting:
    return triocql.connect(port=served.port, connections_local=1)


async def refused(session: Session, use: Use, reason: str) -> None:
    before = session.stats()
    with pytest.raises((UsageError, ExceptionGroup)) as info:
        await use(session)
    error: BaseException = info.value
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, UsageError), error
    assert reason in str(error)
    assert session.stats() == before
    check(session)


async def answers(session: Session) -> None:
    assert (await session.execute(TEXT, timeout=PATIENCE)).scalar() == TEXT
    assert session.stats() == (1, 0, 0, 0)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("other", RUNS)
@pytest.mark.parametrize("own", RUNS)
def test_in_the_loop_of_another_thread(served: Served, own: str, other: str, use: Use) -> None:
    async def main() -> None:
        async with connecting(served) as session:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(RUNS[other], lambda: refused(session, use, "another thread")).result(PATIENCE)
            await answers(session)

    RUNS[own](main)


@contextmanager
def two_loops() -> Iterator[tuple[asyncio.Runner, asyncio.Runner]]:
    with asyncio.Runner() as first, asyncio.Runner(loop_factory=uvloop.new_event_loop) as second:
        yield first, second


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("turned", [False, True])
def test_in_another_loop_of_the_thread(served: Served, use: Use, turned: bool) -> None:
    async def connect() -> Session:
        return await connecting(served)

    with two_loops() as loops:
        own, other = reversed(loops) if turned else loops
        session = own.run(connect())
        other.run(refused(session, use, "another event loop"))
        own.run(answers(session))
        own.run(session.aclose())
        with pytest.raises(SessionClosed):
            other.run(execute(session))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("other", RUNS)
@pytest.mark.parametrize("own", RUNS)
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_after_the_end_of_its_loop(served: Served, own: str, other: str, use: Use) -> None:
    async def connect() -> Session:
        return await connecting(served).__aenter__()

    def outlive() -> None:
        session = RUNS[own](connect)
        RUNS[other](lambda: refused(session, use, "has ended"))

    outlive()
    gc.collect()  # its sockets say here that nobody has closed them, and not in the midst of another test


@pytest.mark.parametrize("own", RUNS)
def test_leaving_the_block_elsewhere(served: Served, own: str) -> None:
    async def main() -> None:
        block = connecting(served)
        session = await block.__aenter__()

        async def leave() -> None:
            with pytest.raises(UsageError, match="another thread"):
                await block.__aexit__(None, None, None)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(trio.run, leave).result(PATIENCE)
        await answers(session)
        await block.__aexit__(None, None, None)

    RUNS[own](main)


def test_a_blocking_session_entered_by_async_with(served: Served) -> None:
    threads = set(threading.enumerate())

    async def main() -> None:
        async with triocql.sync.connect(port=served.port):
            pass

    with pytest.raises(UsageError, match=r"write `async with triocql\.connect"):
        asyncio.run(main())
    assert set(threading.enumerate()) <= threads
