"""A session from `await connect()` that is dropped unclosed: the program is told, once, and nothing stays open."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
import warnings
from collections.abc import Callable

import pytest

import triocql
from tests.engine.peer import Node
from tests.session.loops import Stage, run_on
from tests.session.test_lifetimes import without_connections
from tests.sync.served import Served

LOOPS = ["asyncio", "uvloop", "anyio on asyncio"]
PAGES = "SELECT v FROM pages"
UNCLOSED = r"^unclosed <triocql.Session 127.0.0.1:\d+, asyncio>: .* needs `await session.aclose\(\)`$"


def node() -> Node:
    node = Node()
    node.pages[PAGES] = [[1, 2], [3]]
    return node


def told(drop: Callable[[], object]) -> None:
    """Check that it is told once that a session is dropped by that."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        drop()
        gc.collect()
    (warning,) = [each for each in record if "triocql" in str(each.message)]
    assert warning.category is ResourceWarning
    assert re.match(UNCLOSED, str(warning.message))
    assert warning.filename == __file__


@pytest.mark.parametrize("loop", LOOPS)
def test_a_dropped_session_is_told_and_closed(loop: str) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect():
            pass
        tasks = await without_connections(stage)
        sessions = [await stage.connect()]
        await sessions[0].execute("SELECT x")
        told(lambda: sessions.clear())
        await without_connections(stage)
        await stage.until(lambda: stage.tasks() <= tasks)

    run_on(loop, main, node())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_session_dropped_in_another_thread(loop: str) -> None:
    async def main(stage: Stage) -> None:
        sessions = [await stage.connect()]

        def drop() -> None:
            thread = threading.Thread(target=lambda: sessions.clear())
            thread.start()
            thread.join()

        told(drop)
        await without_connections(stage)

    run_on(loop, main, node())


@pytest.mark.parametrize("loop", LOOPS)
def test_what_a_session_is_needed_for_keeps_it_open(loop: str) -> None:
    async def main(stage: Stage) -> None:
        session = await stage.connect()
        result = await session.execute(PAGES)
        stream = session.stream(PAGES)
        nursery = triocql.open_request_nursery(session)
        outcomes = session.stream_concurrent([("SELECT x", None)])
        del session
        gc.collect()
        assert len(await result.all()) == 3
        del result
        async with stream as rows:
            assert len([row async for row in rows]) == 3
        del stream, rows
        async with outcomes as each:
            assert len([outcome async for outcome in each]) == 1
        del outcomes, each
        async with nursery as requests:
            request = await requests.start("SELECT x")
        del nursery, requests
        handles = [request]
        del request
        told(lambda: handles.clear())
        await without_connections(stage)

    run_on(loop, main, node())


@pytest.mark.parametrize("loop", LOOPS)
def test_nothing_is_told_of_what_is_closed(loop: str) -> None:
    async def main(stage: Stage) -> None:
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            session = await stage.connect()
            await session.aclose()
            del session
            async with stage.connect() as session:
                del session
            gc.collect()
        assert not [each for each in record if "triocql" in str(each.message)]

    run_on(loop, main, node())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_session_that_outlives_its_loop() -> None:
    with Served() as served:

        async def main() -> list[triocql.Session]:
            return [await triocql.connect(port=served.port)]

        sessions = asyncio.run(main())
        told(lambda: sessions.clear())
        gc.collect()
