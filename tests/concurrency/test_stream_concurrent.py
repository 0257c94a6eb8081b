"""`stream_concurrent`: outcomes one by one, bounded in what is under way and what waits to be taken."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import triocql
from tests.concurrency.test_execute_concurrent import FORMS, Gauge, given
from tests.engine.world import INSERT, SELECT, World
from triocql import errors
from triocql.session.session import Session


class Consumer:
    """A task that takes outcomes, one for each `take`."""

    def __init__(self, world: World, session: Session, items: Any, concurrency: int, **options: Any) -> None:
        self.outcomes: list[Any] = []
        self._world = world
        self._waiter: Any = None
        self.task = world.start(self._run, session, items, concurrency, **options)

    async def _run(self, session: Session, items: Any, concurrency: int, **options: Any) -> None:
        async with triocql.stream_concurrent(session, items, concurrency, **options) as results:
            await self._pause()
            async for outcome in results:
                self.outcomes.append(outcome)
                await self._pause()

    async def _pause(self) -> None:
        self._waiter = self._world.reactor.waiter(lambda: None)
        await self._waiter.wait()

    def take(self) -> None:
        """Have it take one more."""
        self._waiter.resolve(None)
        self._world.settle()

    def take_all(self) -> None:
        while not self.task.done:
            self.take()


@pytest.mark.parametrize("form", FORMS)
def test_ordered(form: str) -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        gauge = Gauge(world)
        items = given(form, [(select, [number]) for number in range(40)])
        seen = []

        async def consume() -> None:
            async with session_stream(session, items) as results:
                async for success, result in results:
                    assert success
                    seen.append(result.scalar())

        task = world.start(consume)
        while not task.done:
            gauge.answer(-1)
            world.settle()
        assert seen == list(range(40))
        assert gauge.most == 8


def session_stream(session: Session, items: Any, **options: Any) -> triocql.ConcurrentStream:
    return triocql.stream_concurrent(session, items, 8, **options)


@pytest.mark.parametrize("form", FORMS)
def test_as_completed(form: str) -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        gauge = Gauge(world)
        items = given(form, [(select, [number]) for number in range(40)])
        seen = []

        async def consume() -> None:
            async with session_stream(session, items, ordered=False) as results:
                async for _, result in results:
                    seen.append(result.scalar())

        task = world.start(consume)
        answered = []
        while not task.done:
            index = world.reactor.random.randrange(len(gauge.waiting))
            answered.append(gauge.waiting[index].token)
            gauge.answer(index)
            world.settle()
        assert seen == answered
        assert gauge.most == 8


@pytest.mark.parametrize("ordered", [True, False])
def test_a_slow_consumer_slows_the_sending_down(ordered: bool) -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        consumer = Consumer(world, session, ((select, [n]) for n in itertools.count()), 10, ordered=ordered)
        world.settle()
        assert len(world.node.tokens()) == 10
        for number in range(1, 20):
            consumer.take()
            assert len(consumer.outcomes) == number
            assert len(world.node.tokens()) == 10 + number
        consumer.task.cancel()
        world.settle()
        assert consumer.task.cancelled


def test_leaving_the_block_abandons_the_rest() -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        gauge = Gauge(world)

        async def consume() -> None:
            async with session_stream(session, ((select, [n]) for n in itertools.count())) as results:
                async for _, result in results:
                    assert result.scalar() == 0
                    break

        task = world.start(consume)
        gauge.answer()
        world.settle()
        assert task.done
        assert session.stats().orphans == len(gauge.waiting) == 7
        sent = len(world.node.tokens())
        while gauge.waiting:
            gauge.answer()
        world.reactor.advance(20)
        assert len(world.node.tokens()) == sent == 8
        assert session.stats() == (1, 0, 0, 0)


def test_what_was_there_before_the_first_error_is_given_first() -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        gauge = Gauge(world)
        consumer = Consumer(world, session, [(select, [number]) for number in range(20)], 5)
        gauge.answer()
        gauge.answer()
        gauge.waiting.pop(1).error(0x2200, "third")
        world.settle()
        for _ in range(3):
            consumer.take()
        assert [result.scalar() for _, result in consumer.outcomes] == [0, 1]
        with pytest.raises(errors.InvalidQuery, match="third"):
            consumer.task.result()
        while gauge.waiting:
            gauge.answer()
        world.settle()
        assert len(world.node.tokens()) == 5


@pytest.mark.parametrize("form", ["generator", "async"])
def test_input_that_raises(form: str) -> None:
    world = World()
    with world.session() as session:

        def statements() -> Iterator[str]:
            yield "INSERT 1"
            raise LookupError("input")

        async def statements_async() -> AsyncIterator[str]:
            for statement in statements():
                yield statement

        consumer = Consumer(world, session, statements() if form == "generator" else statements_async(), 5)
        consumer.take_all()
        with pytest.raises(LookupError, match="input"):
            consumer.task.result()
        assert session.stats() == (1, 0, 0, 0)


@pytest.mark.parametrize("form", FORMS)
def test_whole_timeout(form: str) -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        gauge = Gauge(world)
        items = given(form, [(insert, [number]) for number in range(20)])
        consumer = Consumer(world, session, items, 5, timeout=2.0, raise_on_first_error=False)
        consumer.take()
        world.reactor.advance(2.1)
        with pytest.raises(errors.RequestTimeout, match="within 2 s"):
            consumer.task.result()
        while gauge.waiting:
            gauge.answer()


def test_endless_bad_statements_do_not_block_the_loop() -> None:
    world = World()
    with world.session() as session:
        consumer = Consumer(world, session, itertools.repeat(7), 5, raise_on_first_error=False)
        for _ in range(20):
            consumer.take()
        assert [type(error) for _, error in consumer.outcomes] == [errors.UsageError] * 20
        consumer.task.cancel()
        world.settle()


def test_two_tasks_cannot_share_a_stream() -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True

        async def both() -> None:
            async with session_stream(session, ["INSERT 1", "INSERT 2"]) as results:
                first = world.reactor.start(results.__anext__)
                second = world.reactor.start(results.__anext__)
                await world.reactor.sleep(1)
                world.node.release()
                await world.reactor.sleep(1)
                assert first.done
                assert second.done
                kinds = {type(error) for error in (first._error, second._error)}
                assert kinds == {type(None), errors.UsageError}

        world.call(both)


def test_a_stream_is_entered_once_and_before_it_is_read() -> None:
    world = World()
    with world.session() as session:
        stream = session_stream(session, ["INSERT 1"])
        with pytest.raises(errors.UsageError, match="async with"):
            world.call(stream.__anext__)
        world.call(stream.__aenter__)
        with pytest.raises(errors.UsageError, match="entered once"):
            world.call(stream.__aenter__)
        world.call(stream.__aexit__, None, None, None)


@pytest.mark.parametrize("form", FORMS)
def test_it_is_read_within_its_block_and_once(form: str) -> None:
    world = World()
    with world.session() as session:
        taken: list[Any] = []

        async def misread() -> None:
            async with session_stream(session, given(form, ["INSERT 1"] * 100, taken)) as results:
                async for _ in results:
                    break
                assert len([outcome async for outcome in results]) == 99
                with pytest.raises(errors.UsageError, match="read to its end already"):
                    aiter(results)
                with pytest.raises(StopAsyncIteration):
                    await anext(results)
            async with session_stream(session, given(form, ["INSERT 1"] * 100, taken)) as results:
                async for _ in results:
                    break
            before = len(taken)
            for read in (results.__anext__, results.__aiter__):
                with pytest.raises(errors.UsageError, match="after its block"):
                    await read()  # type: ignore[misc]
            assert len(taken) == before
            with pytest.raises(errors.UsageError, match="write `async with"):
                aiter(session_stream(session, ["INSERT 1"]))

        world.call(misread)


def test_a_task_that_waits_for_an_outcome_learns_that_the_block_is_left() -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True

        async def leave() -> None:
            async with session_stream(session, ["INSERT 1"]) as results:
                other = world.reactor.start(results.__anext__)
                await world.reactor.sleep(0)
            await other.wait()
            with pytest.raises(errors.UsageError, match="after its block"):
                other.result()

        world.call(leave)
        world.node.release()


def test_statement_that_cannot_be_sent_is_not_mistaken_for_the_one_before() -> None:
    world = World(4)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        wrong = world.call(session.prepare, "DELETE FROM t WHERE k = ?").with_options(keyspace="shop")
        items = [(insert, [1]), (wrong, [2]), (wrong, [3]), (insert, [4])]
        for form in FORMS:
            world.node.asked.clear()
            results = world.call(
                triocql.execute_concurrent, session, given(form, items), raise_on_first_error=False
            )
            assert [success for success, _ in results] == [True, False, False, True]
            assert sorted(world.node.tokens()) == [1, 4]


def test_it_is_a_method_of_the_session_too() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)

        async def consume() -> list[bool]:
            async with session.stream_concurrent([(insert, [number]) for number in range(5)], 2) as results:
                return [success async for success, _ in results]

        assert world.call(consume) == [True] * 5
