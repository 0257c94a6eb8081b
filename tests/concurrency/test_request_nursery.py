"""The request nursery: room in the order of asking, failures that somebody awaits and failures that nobody does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import triocql
from tests.concurrency.test_execute_concurrent import Gauge
from tests.engine.world import INSERT, SELECT, World
from triocql import Handle, RequestNursery, errors
from triocql.session.session import Session
from triocql.statements.prepared import PreparedStatement
from triocql.testing.simulated import SimTask


class Scene:
    """A nursery whose block goes on when it is told to, on a node that holds its answers."""

    def __init__(self, world: World, session: Session, concurrency: int = 3) -> None:
        self.world = world
        self.session = session
        self.insert: PreparedStatement = world.call(session.prepare, INSERT)
        self.select: PreparedStatement = world.call(session.prepare, SELECT)
        self.gauge = Gauge(world)
        self.nursery: RequestNursery
        self._concurrency = concurrency
        self._leave: Any = None
        self.block = world.start(self._block)

    async def _block(self) -> str:
        async with triocql.open_request_nursery(self.session, self._concurrency) as self.nursery:
            self._leave = self.world.reactor.waiter(lambda: None)
            await self._leave.wait()
        return "left"

    def leave(self, error: Exception | None = None) -> None:
        """Have the block end, or raise `error`."""
        if error is None:
            self._leave.resolve(None)
        else:
            self._leave.reject(error)
        self.world.settle()

    def start(self, number: int) -> SimTask[Handle]:
        """Start an INSERT in a task of its own."""
        return self.world.start(self.nursery.start, self.insert, [number])

    def task(self, fn: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> SimTask[Any]:
        return self.world.start(fn, *args)

    def answer_all(self) -> None:
        while self.gauge.waiting:
            self.gauge.answer()
            self.world.settle()


async def awaiting(handle: Handle) -> Any:
    return await handle


def test_leaving_waits_for_all() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session)
        handles = [scene.nursery.start_soon(scene.select, [number]) for number in range(5)]
        scene.leave()
        assert not scene.block.done
        scene.answer_all()
        assert scene.block.result() == "left"
        assert [world.call(awaiting, handle).scalar() for handle in handles] == list(range(5))
        assert all(handle.done for handle in handles)


def test_start_soon_never_waits() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session, concurrency=2)
        for number in range(10):
            scene.nursery.start_soon(scene.insert, [number])
        world.settle()
        assert len(scene.gauge.waiting) == 10
        scene.answer_all()
        scene.leave()
        assert scene.block.done


def test_start_waits_for_room_in_the_order_of_asking() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session, concurrency=3)
        tasks = [scene.start(number) for number in range(9)]
        assert [task.done for task in tasks] == [True] * 3 + [False] * 6
        for ended in range(1, 7):
            scene.gauge.answer()
            world.settle()
            assert [task.done for task in tasks] == [True] * (3 + ended) + [False] * (6 - ended)
        assert world.node.tokens() == list(range(9))
        assert scene.gauge.most == 3
        scene.leave()
        scene.answer_all()
        assert scene.block.done


@pytest.mark.parametrize("level", [False, True])
def test_a_waiter_that_is_cancelled_gives_its_room_on(level: bool) -> None:
    world = World(level=level)
    with world.session() as session:
        scene = Scene(world, session, concurrency=1)
        first, second, third = (scene.start(number) for number in range(3))
        second.cancel()
        world.settle()
        assert second.cancelled
        scene.gauge.answer()
        world.settle()
        assert third.done
        assert first.done
        scene.leave()
        scene.answer_all()
        assert world.node.tokens() == [0, 2]
        assert scene.block.done


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("level", [False, True])
def test_a_waiter_that_is_cancelled_as_it_gets_room(seed: int, level: bool) -> None:
    world = World(seed=seed, level=level)
    with world.session() as session:
        scene = Scene(world, session, concurrency=1)
        tasks = [scene.start(number) for number in range(4)]
        scene.gauge.waiting[0].respond()
        scene.nursery._grant()
        scene.nursery._live.clear()
        scene.nursery._grant()
        tasks[1].cancel()
        world.settle()
        for _ in range(4):
            while scene.gauge.waiting:
                scene.gauge.waiting.pop().respond()
            world.settle()
        assert all(task.done for task in tasks)
        assert scene.nursery._reserved == 0
        scene.leave()


@pytest.mark.parametrize("bad", [{"timeout": -1}, {"row_type": set}])
def test_call_that_is_not_valid_takes_no_room(bad: dict[str, Any]) -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session, concurrency=1)
        with pytest.raises(errors.OptionError):
            scene.nursery.start_soon(scene.insert, [1], **bad)
        scene.start(0)
        wrong = world.start(scene.nursery.start, scene.insert, [1], **bad)
        right = scene.start(2)
        scene.gauge.answer()
        world.settle()
        with pytest.raises(errors.OptionError):
            wrong.result()
        assert right.done
        scene.leave()
        scene.answer_all()
        assert scene.block.result() == "left"


def test_statement_that_is_not_valid_takes_no_room() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session, concurrency=1)
        scene.start(0)
        wrong = [world.start(scene.nursery.start, 7) for _ in range(3)]
        right = scene.start(2)
        scene.gauge.answer()
        world.settle()
        for task in wrong:
            with pytest.raises(errors.UsageError):
                task.result()
        assert right.done
        scene.leave()
        scene.answer_all()
        assert scene.block.result() == "left"


def test_values_that_do_not_fit_are_the_failure_of_their_request() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, "INSERT INTO t (k) VALUES (?)")

        async def run() -> None:
            async with triocql.open_request_nursery(session) as nursery:
                handle = await nursery.start(insert, ["text"])
                with pytest.raises(errors.BindTypeError):
                    await handle
                await nursery.start(insert, ["text"])

        with pytest.raises(errors.BindTypeError):
            world.call(run)


def test_failure_that_nobody_awaits_ends_the_rest_and_leaves_unwrapped() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session, concurrency=3)
        tasks = [scene.start(number) for number in range(6)]
        scene.gauge.waiting.pop(1).error(0x2200, "the failure")
        world.settle()
        assert all(task.done for task in tasks)
        for task in tasks[3:]:
            with pytest.raises(errors.InvalidQuery, match="the failure"):
                task.result()
        with pytest.raises(errors.InvalidQuery, match="the failure"):
            scene.nursery.start_soon(scene.insert, [9])
        with pytest.raises(errors.Abandoned):
            world.call(awaiting, tasks[0].result())
        assert session.stats().orphans == 2
        scene.leave()
        with pytest.raises(errors.InvalidQuery, match="the failure"):
            scene.block.result()
        scene.answer_all()
        assert len(world.node.tokens()) == 3


def test_failure_that_somebody_awaits_is_theirs() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session)
        handle = scene.nursery.start_soon(scene.insert, [1])
        other = scene.nursery.start_soon(scene.select, [2])
        waiting = [scene.task(awaiting, handle) for _ in range(2)]
        scene.gauge.waiting.pop(0).error(0x2200, "theirs")
        world.settle()
        found = []
        for task in waiting:
            with pytest.raises(errors.InvalidQuery, match="theirs") as info:
                task.result()
            found.append(info.value)
        assert found[0] is not found[1]
        scene.leave()
        scene.answer_all()
        assert scene.block.result() == "left"
        assert world.call(awaiting, other).scalar() == 2


def test_handle_can_be_awaited_again_and_later() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session)
        handle = scene.nursery.start_soon(scene.select, [7], row_type=dict)
        early = scene.task(awaiting, handle)
        scene.answer_all()
        assert early.result() is world.call(awaiting, handle)
        assert world.call(awaiting, handle).one() == {"v": 7}
        scene.leave()


def test_task_that_awaits_a_handle_is_cancelled() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session)
        handle = scene.nursery.start_soon(scene.select, [7])
        gone, stays = scene.task(awaiting, handle), scene.task(awaiting, handle)
        gone.cancel()
        world.settle()
        assert gone.cancelled
        assert not handle.done
        scene.answer_all()
        assert stays.result().scalar() == 7
        scene.leave()


def test_cancel_of_a_handle() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session, concurrency=1)
        first = scene.start(1).result()
        second = scene.start(2)
        waiting = scene.task(awaiting, first)
        first.cancel()
        first.cancel()
        world.settle()
        assert second.done
        with pytest.raises(errors.Abandoned):
            waiting.result()
        with pytest.raises(errors.Abandoned):
            world.call(awaiting, first)
        scene.leave()
        scene.answer_all()
        assert scene.block.result() == "left"


def test_exception_in_the_block_abandons_the_rest() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session, concurrency=2)
        handles = [scene.nursery.start_soon(scene.insert, [number]) for number in range(2)]
        waiting = scene.task(awaiting, handles[0])
        queued = scene.start(5), scene.start(6), scene.start(7)
        mine = KeyError("mine")
        scene.leave(mine)
        with pytest.raises(KeyError) as info:
            scene.block.result()
        assert info.value is mine
        with pytest.raises(errors.Abandoned):
            waiting.result()
        for task in queued:
            with pytest.raises(errors.UsageError, match="not open"):
                task.result()
        assert session.stats().in_flight == 0
        scene.answer_all()
        assert len(world.node.tokens()) == 2
        assert session.stats() == (1, 0, 0, 0)


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("leaving", [False, True])
def test_cancellation_of_the_block_abandons_the_rest(level: bool, leaving: bool) -> None:
    world = World(level=level)
    with world.session() as session:
        scene = Scene(world, session)
        handles = [scene.nursery.start_soon(scene.insert, [number]) for number in range(2)]
        world.settle()
        if leaving:
            scene.leave()
        scene.block.cancel()
        world.settle()
        assert scene.block.cancelled
        assert all(handle.done for handle in handles)
        assert session.stats().orphans == 2
        scene.answer_all()
        assert session.stats() == (1, 0, 0, 0)


def test_outside_its_block_it_takes_nothing() -> None:
    world = World()
    with world.session() as session:
        nursery = triocql.open_request_nursery(session)
        with pytest.raises(errors.UsageError, match="not open"):
            nursery.start_soon("INSERT")
        with pytest.raises(errors.UsageError, match="not open"):
            world.call(nursery.start, "INSERT")
        world.call(nursery.__aenter__)
        with pytest.raises(errors.UsageError, match="entered once"):
            world.call(nursery.__aenter__)
        world.call(nursery.__aexit__, None, None, None)
        with pytest.raises(errors.UsageError, match="entered once"):
            world.call(nursery.__aenter__)
        with pytest.raises(errors.UsageError, match="not open"):
            nursery.start_soon("INSERT")
        assert world.node.asked == []


def test_no_node_is_a_failure_like_any_other() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session)
        world.reactor.advance(5)
        world.listeners[0].refuse = True
        world.listeners[0].accepted[0].reset()
        world.reactor.advance(100)
        scene.nursery.start_soon(scene.insert, [1])
        scene.leave()
        with pytest.raises(errors.NoNodeAvailable):
            scene.block.result()


@pytest.mark.parametrize("concurrency", [1, 20])
def test_many_one_after_the_other(concurrency: int) -> None:
    world = World(max_in_flight=8)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)

        async def load() -> None:
            async with triocql.open_request_nursery(session, concurrency) as nursery:
                for number in range(2000):
                    await nursery.start(insert, [number])

        world.call(load)
        assert sorted(world.node.tokens()) == list(range(2000))
        assert session.stats() == (1, 0, 0, 0)


async def following(scene: Scene, handle: Handle, number: int) -> Handle:
    """Start another request once one has ended."""
    await handle
    return scene.nursery.start_soon(scene.insert, [number])


@pytest.mark.parametrize("seed", range(8))
def test_what_follows_from_a_request_is_started_while_the_block_is_left(seed: int) -> None:
    world = World(seed=seed)
    with world.session() as session:
        scene = Scene(world, session)
        handle = scene.nursery.start_soon(scene.insert, [1])
        task = scene.task(following, scene, handle, 2)
        scene.leave()
        scene.answer_all()
        world.call(awaiting, task.result())
        assert scene.block.result() == "left"
        assert len(world.node.tokens()) == 2


def test_leaving_waits_for_those_who_wait_for_room() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session, concurrency=1)
        tasks = [scene.start(number) for number in range(4)]
        scene.leave()
        scene.answer_all()
        assert all(task.result().done for task in tasks)
        assert scene.block.result() == "left"


@pytest.mark.parametrize("statement", ["valid", 7])
def test_leaving_waits_for_nobody_who_has_given_up(statement: Any) -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session, concurrency=1)
        scene.start(1)
        gone, last = scene.start(2), world.start(scene.nursery.start, statement)
        scene.leave()
        gone.cancel()
        scene.answer_all()
        assert gone.cancelled
        assert last.done
        assert scene.block.result() == "left"


@pytest.mark.parametrize("left", [False, True])
def test_failure_of_which_a_cancelled_task_did_not_learn_ends_the_rest(left: bool) -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session)
        handle = scene.nursery.start_soon(scene.insert, [1])
        other = scene.nursery.start_soon(scene.insert, [2])
        gone = scene.task(awaiting, handle)
        if left:
            scene.leave()
        handle.reject(errors.InvalidQuery("nobody learned of it"))
        gone.cancel()
        world.settle()
        assert gone.cancelled
        assert other.done
        if not left:
            scene.leave()
        with pytest.raises(errors.InvalidQuery, match="nobody"):
            scene.block.result()
        scene.answer_all()


def test_failure_that_was_told_once_is_told_nobody_else() -> None:
    world = World()
    with world.session() as session:
        scene = Scene(world, session)
        handle = scene.nursery.start_soon(scene.insert, [1])
        told, gone = scene.task(awaiting, handle), world.start(awaiting, handle)
        scene.gauge.waiting.pop(0).error(0x2200, "theirs")
        world.settle()
        late = world.reactor.start(lambda: awaiting(handle))
        late.cancel()
        world.settle()
        for task in (told, gone):
            with pytest.raises(errors.InvalidQuery, match="theirs"):
                task.result()
        scene.leave()
        assert scene.block.result() == "left"
