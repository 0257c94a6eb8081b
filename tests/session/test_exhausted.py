"""The stack, or the memory, ends in the middle of a call and the program goes on: so does the session, on each loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

import triocql
from tests.engine.world import SELECT, check
from tests.session.exhausted import Failing, Within, calling, recursing
from tests.session.loops import PATIENCE, Stage, run_on, settled
from tests.session.test_checkpoints import (
    NODES,
    PAGES,
    TOKENS,
    execute_batch,
    execute_values,
    prepare,
    scripted,
    stream,
)
from tests.sync.served import Served
from triocql import Error, Session
from triocql.errors import RequestError

Call = Callable[[Session], Coroutine[Any, Any, None]]

ENDS = (RecursionError, MemoryError, Error)
MOST = 2000
FEW = range(-1, 25)

LOOPS = ["simulated", "trio", "asyncio", "uvloop"]


async def concurrent(session: Session) -> None:
    assert len(await session.execute_concurrent([(SELECT, [number]) for number in range(2)])) == 2


async def nursery(session: Session) -> None:
    async with triocql.open_request_nursery(session) as requests:
        requests.start_soon(SELECT, [1])


CALLS = [execute_values, execute_batch, prepare, concurrent, nursery, partial(stream, prefetch=1)]


async def probe(session: Session) -> None:
    """Check that the session answers, by the connection that it had."""
    text = f"SELECT probe {next(TOKENS)}"
    assert (await session.execute(text, timeout=60.0)).scalar() == text
    await settled(session)
    check(session)
    assert session._context.executor.router.ending is None


FAILING = [
    *(("simulated", call, error) for call in CALLS for error in (RecursionError, MemoryError)),
    *((loop, call, RecursionError) for loop in ("trio", "asyncio") for call in (execute_values, concurrent)),
]


# A plan is a generator, of which one that was not gone through is closed where it is let go of. Where even that fails,
# Python says so, and goes on.
@pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. <generator object DefaultBalancing\.plan:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize(("loop", "call", "error"), FAILING)
def test_failing_at_each_call(loop: str, call: Call, error: type[Exception]) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect(max_in_flight=8, timeout=0.2) as session:
            NODES[session] = stage.node
            for number in range(MOST):
                failing = Failing(number, error)
                with suppress(*ENDS):
                    await Within(failing, call(session))
                await probe(session)
                if failing.count <= number:
                    break
            else:
                pytest.fail("it never ended")
            del NODES[session]

    run_on(loop, main, scripted())


@pytest.mark.parametrize("error", [RecursionError, MemoryError])
@pytest.mark.parametrize("written", [False, True])
def test_a_request_is_abandoned_where_the_stack_ends(written: bool, error: type[Exception]) -> None:
    """Its answer is not taken for one that nothing was asked for, and its stream id is not lost."""

    async def main(stage: Stage) -> None:
        async with stage.connect(max_in_flight=8, timeout=0.2) as session:
            NODES[session] = stage.node
            for number in range(MOST):
                sink = session._context.reactor.waiter(lambda: None)
                execution = session._context.executor.start(sink, SELECT)
                if written:
                    await session._context.reactor.sleep(0)
                failing = Failing(number, error)
                with suppress(error), failing:
                    execution.abandon()
                await probe(session)
                assert session.stats().connections == 1
                assert len(stage.node.links) == 1
                if failing.count <= number:
                    break
            else:
                pytest.fail("it never ended")
            del NODES[session]

    run_on("simulated", main, scripted())


@pytest.mark.parametrize("loop", ["simulated", "trio", "asyncio"])
def test_a_stream_is_read_on_after_a_recursion_that_went_too_far(loop: str) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect(timeout=0.2) as session:
            NODES[session] = stage.node
            failed = 0
            for extra in FEW:
                async with session.stream(PAGES, prefetch=0) as rows:
                    try:
                        await recursing(rows._pages.next, extra)
                        await recursing(rows._pages.next, extra)
                    except ENDS:
                        failed += 1
                    with suppress(RequestError):  # what an answer that could not be read ends with
                        await rows._pages.next()
            assert failed > 3
            del NODES[session]

    run_on(loop, main, scripted())


@pytest.mark.parametrize("loop", ["simulated", "trio", "asyncio"])
def test_handles_end_if_the_block_is_left_where_the_stack_ends(loop: str) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect(max_in_flight=8, timeout=0.2) as session:
            NODES[session] = stage.node
            for extra in FEW:
                requests = await triocql.open_request_nursery(session).__aenter__()
                handles = [requests.start_soon(SELECT, [number]) for number in range(3)]
                with suppress(*ENDS):
                    await recursing(partial(requests.__aexit__, KeyError, KeyError(), None), extra)
                for handle in handles:
                    with suppress(Error):
                        await handle
                await probe(session)
                assert len(stage.node.links) == 1
            del NODES[session]

    run_on(loop, main, scripted())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_recursion_that_goes_too_far(loop: str, call: Call) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect(max_in_flight=8, timeout=0.2) as session:
            NODES[session] = stage.node
            failed = 0
            for extra in range(3, MOST):
                try:
                    await recursing(lambda: call(session), extra)
                except ENDS:
                    failed += 1
                else:
                    break
                finally:
                    await probe(session)
            else:
                pytest.fail("it never ended")
            assert failed > 3
            del NODES[session]

    run_on(loop, main, scripted())


def test_a_recursion_that_goes_too_far_in_a_thread() -> None:
    failed = 0
    with Served() as served, served.connect(timeout=PATIENCE) as session:
        for extra in range(-3, MOST):
            try:
                calling(lambda: session.execute(SELECT, [1]), extra)
            except RecursionError:
                failed += 1
            else:
                break
            finally:
                assert session.execute(SELECT, [extra + 3]).scalar() == extra + 3
        session._portal.call(check, triocql.Session(session._portal.context))
        assert session.stats() == (1, 0, 0, 0)
    assert failed > 3
