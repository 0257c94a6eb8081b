"""Programs of Trio, asyncio and AnyIO: their scopes, their failures, and what leaves the session's block."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
import trio

import triocql
from tests.engine.peer import Node
from tests.engine.world import INSERT, SELECT, check
from tests.session.loops import LOOPS, Stage, run_on, settled
from triocql import errors

REAL = [loop for loop in LOOPS if not loop.startswith("simulated")]
ANYIO = [loop for loop in LOOPS if loop.startswith("anyio")]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("version", [4, 5])
def test_a_day_in_the_life(loop: str, version: int) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect(max_in_flight=64) as session:
            assert session.protocol_version == version
            select = await session.prepare(SELECT)
            assert (await session.execute(select, [1])).scalar() == 1
            rows = [[number] for number in range(500)]
            results = await triocql.execute_concurrent_with_args(session, select, rows)
            assert [result.scalar() for _, result in results] == list(range(500))
            async with triocql.open_request_nursery(session, 50) as nursery:
                for row in rows:
                    await nursery.start(INSERT, row)
            await settled(session)
            check(session)
            with pytest.raises(errors.BindTypeError):
                await session.execute(select, ["text"])
        with pytest.raises(errors.SessionClosed):
            await session.execute(select, [1])

    run_on(loop, main, Node(version))


@pytest.mark.parametrize("loop", LOOPS)
def test_exception_of_the_block_leaves_it_as_it_is(loop: str) -> None:
    mine = KeyError("mine")

    async def main(stage: Stage) -> None:
        stage.node.holding = True

        async def block() -> None:
            async with stage.connect() as session:
                session._context.executor.start(Ignored(), "INSERT 1")
                raise mine

        with pytest.raises(KeyError) as info:
            await block()
        assert info.value is mine
        assert mine.__context__ is None

    run_on(loop, main)


class Ignored:
    def resolve(self, value: object) -> None:
        """Ignore it."""

    def reject(self, error: BaseException) -> None:
        """Ignore it."""


def test_await_on_asyncio() -> None:
    async def main(stage: Stage) -> None:
        session = await stage.connect()
        assert (await session.execute(SELECT, [1])).scalar() == 1
        await session.aclose()
        await session.aclose()

    run_on("asyncio", main)


def test_await_on_trio_is_refused_with_advice() -> None:
    async def main(stage: Stage) -> None:
        with pytest.raises(errors.UsageError, match=r"async with triocql\.connect"):
            await stage.connect()

    run_on("trio", main)


def test_expired_deadline_on_trio_sends_nothing() -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect() as session:
            insert = await session.prepare(INSERT)
            for statement, values in ((insert, [1]), ("INSERT 1", None), (SELECT, [1])):
                with trio.move_on_after(0) as scope:
                    await session.execute(statement, values)
                assert scope.cancelled_caught
                assert session.stats().orphans == 0
            await trio.testing.wait_all_tasks_blocked()
            await settled(session)
            assert stage.node.tokens() == []
            assert "INSERT 1" not in stage.node.texts()

    run_on("trio", main)


@pytest.mark.parametrize("loop", ["trio", "anyio on trio", "anyio on asyncio"])
def test_sibling_that_fails_takes_the_queries_with_it(loop: str) -> None:
    node = Node()

    async def main(stage: Stage) -> None:
        async with stage.connect() as session:
            insert = await session.prepare(INSERT)
            node.holding = True

            async def fails() -> None:
                await stage.until(lambda: len(node.held) == 20)
                raise LookupError("sibling")

            async def writes(number: int) -> None:
                await session.execute(insert, [number])

            async def both() -> None:
                async with anyio.create_task_group() as group:
                    for number in range(20):
                        group.start_soon(writes, number)
                    group.start_soon(fails)

            with pytest.raises(ExceptionGroup) as info:
                await both()
            assert [type(error) for error in info.value.exceptions] == [LookupError]
            assert session.stats()[1:] == (0, 0, 20)
            node.release()
            await settled(session)
            assert (await session.execute(SELECT, [1])).scalar() == 1

    run_on(loop, main, node)


def test_task_group_of_asyncio() -> None:
    node = Node()

    async def program(stage: Stage) -> None:
        async with stage.connect() as session:
            insert = await session.prepare(INSERT)
            node.holding = True

            async def fails() -> None:
                await stage.until(lambda: len(node.held) == 20)
                raise LookupError("sibling")

            async def both() -> None:
                async with asyncio.TaskGroup() as group:
                    for number in range(20):
                        group.create_task(session.execute(insert, [number]))
                    group.create_task(fails())

            with pytest.raises(ExceptionGroup) as info:
                await both()
            assert [type(error) for error in info.value.exceptions] == [LookupError]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await session.execute(insert, [1])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.prepare(SELECT), 0.01)
            node.release()
            await settled(session)
            assert (await session.execute(SELECT, [1])).scalar() == 1

    async def main(stage: Stage) -> None:
        await asyncio.create_task(program(stage))

    run_on("asyncio", main, node)


@pytest.mark.parametrize("loop", ANYIO)
@pytest.mark.parametrize("seconds", [0, 0.003])
def test_scope_of_anyio_around_everything(loop: str, seconds: float) -> None:
    node = Node()

    async def main(stage: Stage) -> None:
        async with stage.connect(max_in_flight=256) as session:
            insert = await session.prepare(INSERT)
            node.holding = True

            async def stream() -> None:
                async with session.stream("SELECT x") as rows:
                    async for _ in rows:
                        pass

            async def concurrent() -> None:
                async with triocql.stream_concurrent(session, ["INSERT"] * 50, 5) as results:
                    async for _ in results:
                        pass

            async def nursery() -> None:
                async with triocql.open_request_nursery(session, 3) as requests:
                    for number in range(9):
                        await requests.start(insert, [number])

            calls: list[Any] = [
                lambda: session.execute("INSERT"),
                lambda: session.execute(insert, [1]),
                lambda: session.execute(SELECT, [1]),
                lambda: session.prepare("SELECT v FROM u WHERE k = ?"),
                lambda: session.execute_concurrent(["INSERT"] * 20, 5),
                stream,
                concurrent,
                nursery,
            ]
            for call in calls:
                with anyio.move_on_after(seconds) as scope:
                    await call()
                assert scope.cancelled_caught
                check(session)
            node.release()
            await settled(session)
            assert (await session.execute(SELECT, [5])).scalar() == 5
            assert len(node.links) == 1

    run_on(loop, main, node)


@pytest.mark.parametrize("loop", REAL)
def test_whole_session_under_a_deadline(loop: str) -> None:
    node = Node()
    node.holding = True

    async def main(stage: Stage) -> None:
        async def whole() -> None:
            async with stage.connect() as session:
                await session.execute("INSERT")

        with anyio.move_on_after(0.05) as scope:
            await whole()
        assert scope.cancelled_caught

    run_on(loop, main, node)


@pytest.mark.parametrize("loop", REAL)
def test_query_in_a_shielded_clean_up_still_works(loop: str) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect() as session:
            with anyio.CancelScope() as scope:
                try:
                    scope.cancel()
                    await anyio.sleep(1)
                finally:
                    with anyio.CancelScope(shield=True):
                        assert (await session.execute(SELECT, [1])).scalar() == 1
            assert scope.cancelled_caught

    run_on(loop, main)


@pytest.mark.parametrize("loop", REAL)
def test_input_that_is_an_async_generator_is_left_quietly(loop: str) -> None:
    """What the library itself makes of it has to leave no generator behind; the caller closes its own."""

    async def main(stage: Stage) -> None:
        async with stage.connect() as session:

            async def statements() -> Any:
                while True:
                    yield (SELECT, ["text"])

            items = statements()
            with pytest.raises(errors.BindTypeError):
                await triocql.execute_concurrent(session, items, 3)
            await items.aclose()
            rows = statements()
            with pytest.raises(errors.Error):
                await triocql.execute_concurrent_with_args(session, SELECT, rows, 3)
            await rows.aclose()
            items = statements()
            async with triocql.stream_concurrent(session, items, 3, raise_on_first_error=False) as results:
                async for success, _ in results:
                    assert not success
                    break
            await items.aclose()

    run_on(loop, main)


@pytest.mark.parametrize("loop", REAL)
def test_node_that_vanishes_and_comes_back(loop: str) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect(reconnection_base=0.01) as session:
            insert = await session.prepare(INSERT)
            stage.node.links[0].transport.abort()  # type: ignore[union-attr]
            stage.node.forget()
            await session.execute(insert, [1], idempotent=True)
            assert len(stage.node.links) == 2

    run_on(loop, main)
