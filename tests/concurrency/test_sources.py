"""Async sources that wait: outcomes, the first error, the deadline and the source are independent of one another."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

import anyio
import pytest

from tests.concurrency.test_execute_concurrent import Gauge
from tests.engine.peer import Asked
from tests.engine.world import INSERT, SELECT, World
from tests.session.loops import LOOPS, PATIENCE, Stage, Stepped, run_on, settled
from triocql import errors
from triocql.protocol.constants import Opcode
from triocql.session.session import Session

CALLS = pytest.mark.parametrize("call", ["execute", "stream"])
EVERYWHERE = pytest.mark.parametrize("loop", LOOPS)


class Stuck:
    """A source that gives some statements, then waits until it is told to go on, and cleans up after itself.

    Attributes:
        log: what became of it.
        then: is called when it begins to wait, and when it begins to clean up.
    """

    def __init__(self, session: Session, items: list[Any]) -> None:
        self.log: list[str] = []
        self.then: Callable[[], object] = lambda: None
        self._session = session
        self._items = items
        self._waiter: Any = None

    def go_on(self) -> None:
        self._waiter.resolve(None)

    async def statements(self, error: Exception | None = None) -> AsyncGenerator[Any, None]:
        reactor = self._session._context.reactor
        try:
            for item in self._items:
                yield item
            self._waiter = reactor.waiter(lambda: None)
            self.log.append("waits")
            self.then()
            await self._waiter.wait()
            yield "INSERT last"
        finally:
            if "waits" in self.log:
                self.then()
                await reactor.outlast(lambda: reactor.sleep(0.001))
            self.log.append("ended")
            if error is not None:
                raise error


async def executed(session: Session, call: str, source: Any, taken: list[Any], **options: Any) -> list[Any]:
    """Execute what a source gives in one of the two ways; `taken` learns of the outcomes of a stream."""
    if call == "execute":
        return await session.execute_concurrent(source, 3, **options)
    async with session.stream_concurrent(source, 3, **options) as outcomes:
        async for outcome in outcomes:
            taken.append(outcome)
    return taken


def test_outcomes_are_handed_over_while_the_source_waits() -> None:
    world = World()
    with world.session() as session:
        stuck = Stuck(session, ["INSERT 1", "INSERT 2"])
        taken: list[Any] = []
        task = world.start(executed, session, "stream", stuck.statements(), taken)
        assert stuck.log == ["waits"]
        assert len(taken) == 2
        stuck.go_on()
        world.reactor.advance(1)
        assert len(task.result()) == 3
        assert stuck.log == ["waits", "ended"]


@CALLS
@pytest.mark.parametrize("level", [False, True])
def test_the_deadline_ends_the_call_while_the_source_waits(call: str, level: bool) -> None:
    world = World(level=level)
    with world.session() as session:
        stuck = Stuck(session, ["INSERT 1"])
        task = world.start(executed, session, call, stuck.statements(), [], timeout=2.0)
        world.reactor.advance(1.9)
        assert not task.done
        world.reactor.advance(0.2)
        with pytest.raises(errors.RequestTimeout, match="within 2 s"):
            task.result()
        assert stuck.log == ["waits", "ended"]


@CALLS
def test_the_first_error_ends_the_call_while_the_source_waits(call: str) -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        gauge = Gauge(world)
        stuck = Stuck(session, [(insert, [1]), (insert, [2])])
        task = world.start(executed, session, call, stuck.statements(), [])
        assert stuck.log == ["waits"]
        gauge.waiting.pop(1).error(0x2200, "not valid")
        world.reactor.advance(0.01)
        with pytest.raises(errors.InvalidQuery, match="not valid") as info:
            task.result()
        assert info.value.index == 1
        assert stuck.log == ["waits", "ended"]
        gauge.answer()


@CALLS
def test_the_end_of_the_session_ends_the_call_while_the_source_waits(call: str) -> None:
    world = World()
    session = world.call(world._open)
    stuck = Stuck(session, ["INSERT 1"])
    task = world.start(executed, session, call, stuck.statements(), [])
    world.call(session.aclose)
    world.reactor.advance(1)
    with pytest.raises(errors.SessionClosed):
        task.result()
    assert stuck.log == ["waits", "ended"]
    world.assert_closed()


def test_a_failure_of_the_source_as_it_is_cancelled_is_not_lost() -> None:
    world = World()
    with world.session() as session:

        async def left(error: Exception | None) -> None:
            source = Stuck(session, ["INSERT 1"]).statements(error=LookupError("mine"))
            async with session.stream_concurrent(source) as outcomes:
                await anext(outcomes)
                await session._context.reactor.sleep(1)
                if error is not None:
                    raise error

        with pytest.raises(LookupError, match="mine"):
            world.call(left, None)
        with pytest.raises(KeyError) as info:
            world.call(left, KeyError("first"))
        assert "LookupError('mine')" in info.value.__notes__[0]


def test_a_source_that_gives_on_when_it_is_cancelled_is_not_asked_again() -> None:
    world = World()
    with world.session() as session:
        given: list[int] = []

        async def stubborn() -> AsyncIterator[Any]:
            while True:
                with suppress(BaseException):
                    await session._context.reactor.sleep(10)
                given.append(len(given))
                yield "INSERT 1"

        async def leave() -> None:
            async with session.stream_concurrent(stubborn()):
                await session._context.reactor.sleep(1)

        world.call(leave)
        assert given == [0]
        assert world.node.asked == []


def test_an_endless_source_of_bad_statements_lets_others_run() -> None:
    world = World()
    with world.session() as session:

        async def endless() -> AsyncIterator[Any]:
            while True:
                yield 7

        task = world.reactor.start(lambda: session.execute_concurrent(endless(), raise_on_first_error=False))
        others = world.reactor.start(world.reactor.sleep, 0)
        for _ in range(10):
            world.reactor._run_ready()
        assert others.done
        task.cancel()
        world.settle()
        assert task.cancelled


# --- On every loop ------------------------------------------------------------------------------------------------


class Channel:
    """A queue that a source reads and a consumer writes, on whatever loop a session is."""

    def __init__(self, session: Session, first: Any) -> None:
        self._session = session
        self._items = deque([first])
        self._waiter: Any = None
        self._closed = False

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._wake()

    def close(self) -> None:
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.resolve(None)

    def __aiter__(self) -> Channel:
        return self

    async def __anext__(self) -> Any:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._waiter = self._session._context.reactor.waiter(lambda: None)
            await self._waiter.wait()
            self._waiter = None
        return self._items.popleft()


@EVERYWHERE
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_tree_is_walked_over_a_queue(loop: str, concurrency: int) -> None:
    """What an outcome tells to ask next goes to the source, which waits for it."""

    async def scenario(stage: Stage) -> list[int]:
        async with stage.connect() as session:
            select = await session.prepare(SELECT)
            channel, seen, open_nodes = Channel(session, (select, [1])), [], 1
            async with session.stream_concurrent(channel, concurrency) as outcomes:
                async for _, result in outcomes:
                    number = result.scalar()
                    seen.append(number)
                    children = [2 * number, 2 * number + 1] if number < 16 else []
                    open_nodes += len(children) - 1
                    for child in children:
                        channel.put((select, [child]))
                    if not open_nodes:
                        channel.close()
            return seen

    assert run_on(loop, scenario) == list(range(1, 32))


@EVERYWHERE
@CALLS
def test_a_call_is_cancelled_while_its_source_waits(loop: str, call: str) -> None:
    """The source is cancelled, too, and has ended when the call has, even if both are cancelled again meanwhile."""

    async def scenario(stage: Stage) -> None:
        async with stage.connect() as session:
            stuck = Stuck(session, ["INSERT 1"])

            async def run() -> None:
                async with aclosing(stuck.statements()) as source:
                    await executed(session, call, source, [])

            stepped = Stepped(run())
            stuck.then = lambda: stepped.cancel()
            assert await stage.cancelling(stepped)
            assert stuck.log == ["waits", "ended"]
            await settled(session)

    run_on(loop, scenario)


@EVERYWHERE
@CALLS
def test_a_session_that_is_closed(loop: str, call: str) -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.connect() as session:
            await session.aclose()
            with pytest.raises(errors.SessionClosed):
                await executed(session, call, Stuck(session, ["INSERT 1"]).statements(), [])

    run_on(loop, scenario)


@EVERYWHERE
@CALLS
@pytest.mark.parametrize("by", ["aclose", "block"])
def test_a_source_cannot_close_the_session_that_waits_for_its_end(loop: str, call: str, by: str) -> None:
    async def scenario(stage: Stage) -> None:
        connecting = stage.connect()
        session = await connecting.__aenter__()

        async def statements() -> AsyncIterator[Any]:
            yield SELECT, [1]
            if by == "block":
                await connecting.__aexit__(None, None, None)
            else:
                await session.aclose()

        with pytest.raises(errors.UsageError, match="within an async iterator"):
            await executed(session, call, statements(), [])
        assert (await session.execute(SELECT, [2])).scalar() == 2
        await session.aclose()

    run_on(loop, scenario)


REAL = pytest.mark.parametrize("loop", [loop for loop in LOOPS if not loop.startswith("simulated")])


@REAL
@CALLS
def test_a_source_is_in_one_task_from_its_beginning_to_its_end(loop: str, call: str) -> None:
    """Cancel scopes of AnyIO and Trio have to be left in the task that they were entered in."""

    async def scenario(stage: Stage) -> None:
        async with stage.connect() as session:
            tasks: set[int] = set()

            async def statements() -> AsyncIterator[Any]:
                with anyio.fail_after(PATIENCE):
                    async with anyio.create_task_group() as group:
                        for number in range(20):
                            tasks.add(anyio.get_current_task().id)
                            group.start_soon(anyio.sleep, 0)
                            yield SELECT, [number]
                tasks.add(anyio.get_current_task().id)

            assert len(await executed(session, call, statements(), [])) == 20
            assert len(tasks) == 1

    run_on(loop, scenario)


def test_what_is_asked_of_a_full_window_waits_for_room() -> None:
    """Nothing is taken before it can be sent: a source may wait for what became of the one before."""
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        ended: list[int] = []

        def script(asked: Asked) -> bool:
            if asked.opcode == Opcode.EXECUTE:
                ended.append(asked.token)
            return False

        world.node.script = script

        async def statements() -> AsyncIterator[Any]:
            for number in range(10):
                assert ended == list(range(number))
                yield select, [number]

        assert len(world.call(session.execute_concurrent, statements(), 1)) == 10
