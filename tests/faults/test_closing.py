"""Closing a session with requests in flight: they get their time, and no more than that."""

from __future__ import annotations

import time
from typing import Any

import pytest

import triocql
from tests.engine.world import INSERT, SELECT, World
from tests.faults import invariants
from tests.faults.callers import callers
from tests.faults.scene import EVERYWHERE, Scene
from tests.faults.scene import INSERT as WRITE
from tests.faults.test_cancellation import Ignored
from triocql import errors
from triocql.reactors.base import FLUSH_TIMEOUT
from triocql.session.context import DRAIN_TIMEOUT
from triocql.testing.server import CqlServer, Gate, as_usual
from triocql.testing.server.connection import ServerConnection
from triocql.testing.simulated import SimCancelled, SimTask

Tasks = list[SimTask[Any]]


def busy(world: World, session: triocql.Session, count: int = 1000) -> Tasks:
    """Return `count` writes that the node has got and does not answer."""
    insert = world.call(session.prepare, INSERT)
    world.node.holding = True
    tasks: Tasks = [world.reactor.start(session.execute, insert, [number]) for number in range(count)]
    world.settle()
    assert session.stats().in_flight == count
    return tasks


def closed(task: SimTask[Any]) -> errors.SessionClosed:
    """Return the error of a task that the end of the session has cut off."""
    with pytest.raises(errors.SessionClosed) as info:
        task.result()
    return info.value


def test_c10_what_is_in_flight_ends() -> None:
    world = World()
    with world.session() as session:
        tasks = busy(world, session)
        closing = world.start(session.aclose)
        world.reactor.advance(DRAIN_TIMEOUT - 0.1)
        assert not closing.done
        assert not any(task.done for task in tasks)
        late = world.start(session.execute, SELECT, [1])
        assert not closed(late).maybe_executed
        world.node.release()
        world.settle()
        assert closing.done
        assert all(len(task.result()) == 0 for task in tasks)
        assert session.stats() == (0, 0, 0, 0)


def test_c10_until_the_deadline() -> None:
    world = World()
    with world.session() as session:
        tasks = busy(world, session)
        began = world.reactor.now()
        world.call(session.aclose)
        assert world.reactor.now() - began == pytest.approx(DRAIN_TIMEOUT)
        assert all(closed(task).maybe_executed for task in tasks)
        world.assert_closed()


@pytest.mark.parametrize("seconds", [0, 0.5])
def test_c10_until_the_deadline_that_was_asked_for(seconds: float) -> None:
    world = World()
    with world.session() as session:
        tasks = busy(world, session)
        began = world.reactor.now()
        world.call(session.aclose, seconds)
        assert world.reactor.now() - began == pytest.approx(seconds)
        assert all(closed(task).maybe_executed for task in tasks)


def test_c10_requests_keep_their_own_deadlines_meanwhile() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        tasks = [world.start(session.execute, insert, [number], timeout=1.0) for number in range(100)]
        began = world.reactor.now()
        world.call(session.aclose)
        assert world.reactor.now() - began == pytest.approx(1.0, abs=0.01)
        for task in tasks:
            with pytest.raises(errors.RequestTimeout):
                task.result()


def test_c10_what_no_node_has_got_fails_at_once() -> None:
    world = World(max_in_flight=4)
    with world.session() as session:
        tasks = busy(world, session, 4)
        waiting: Tasks = [world.start(session.execute, INSERT, [number]) for number in range(10)]
        waiting.append(world.start(session.prepare, SELECT))
        closing = world.start(session.aclose)
        for task in waiting:
            assert not closed(task).maybe_executed
        assert not any(task.done for task in (*tasks, closing))
        world.node.release()
        world.settle()
        assert all(len(task.result()) == 0 for task in tasks)
        assert closing.done
        assert len(world.node.tokens()) == 4


def test_c10_nothing_is_tried_again_meanwhile() -> None:
    world = World(count=2)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        for node in world.nodes:
            node.holding = True
        task = world.start(session.execute, select, [1])
        closing = world.start(session.aclose)
        (asked,) = [*world.nodes[0].held, *world.nodes[1].held]
        asked.error(0x1001, "overloaded")
        world.settle()
        assert closing.done
        with pytest.raises(errors.Overloaded) as info:
            task.result()
        assert info.value.maybe_executed
        assert len([*world.nodes[0].tokens(), *world.nodes[1].tokens()]) == 1


def test_c10_twice() -> None:
    world = World()
    with world.session() as session:
        tasks = busy(world, session)
        closing = [world.start(session.aclose) for _ in range(3)]
        world.node.release()
        world.settle()
        assert all(task.done and task.result() is None for task in closing)
        assert all(len(task.result()) == 0 for task in tasks)
        world.call(session.aclose)


def test_c10_the_impatient_one_ends_it_for_both() -> None:
    world = World()
    with world.session() as session:
        tasks = busy(world, session)
        patient = world.start(session.aclose, 100.0)
        world.call(session.aclose, 0)
        world.settle()
        assert patient.done
        assert all(closed(task) for task in tasks)


@pytest.mark.parametrize("seed", range(10))
def test_c10_concurrently_with_execute(seed: int) -> None:
    world = World(seed=seed)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        tasks = [world.reactor.start(session.execute, insert, [number]) for number in range(200)]
        closing = world.reactor.start(session.aclose)
        more = [world.reactor.start(session.execute, insert, [number]) for number in range(200, 400)]
        world.settle()
        assert closing.done
        received = world.node.tokens()
        for number, task in enumerate((*tasks, *more)):
            if number in received:
                assert len(task.result()) == 0
            else:
                assert not closed(task).maybe_executed


@pytest.mark.parametrize("level", [False, True])
def test_c10_cancelled(level: bool) -> None:
    world = World(level=level)
    with world.session() as session:
        tasks = busy(world, session)
        closing = world.start(session.aclose)
        world.reactor.advance(1.0)
        closing.cancel()
        world.settle()
        with pytest.raises(SimCancelled):
            closing.result()
        assert all(closed(task).maybe_executed for task in tasks)
        world.assert_closed()


def test_c10_leaving_the_block() -> None:
    world = World()

    async def program() -> SimTask[Any]:
        async with world.connect() as session:
            insert = await session.prepare(INSERT)
            world.node.holding = True
            task = world.reactor.start(session.execute, insert, [1])
            await world.reactor.sleep(0.01)
            world.reactor.call_at(world.reactor.now() + 2.0, world.node.release)
        return task

    task = world.call(program)
    assert world.reactor.now() >= 2.0
    assert len(task.result()) == 0
    world.assert_closed()


def test_c10_leaving_the_block_by_an_error_takes_no_time() -> None:
    world = World()

    async def program() -> None:
        async with world.connect() as session:
            world.node.holding = True
            tasks.append(world.reactor.start(session.execute, "INSERT 1"))
            await world.reactor.sleep(0.01)
            raise ZeroDivisionError

    tasks: Tasks = []
    with pytest.raises(ZeroDivisionError):
        world.call(program)
    assert world.reactor.now() < 0.1
    assert closed(tasks[0]).maybe_executed
    world.assert_closed()


@EVERYWHERE
@pytest.mark.parametrize("ending", ["answered", "out of time", "cancelled"])
def test_c10_with_1000_in_flight(loop: str, ending: str) -> None:
    """They are waited for, as long as they may take; what is asked for meanwhile is refused."""

    async def row(scene: Scene) -> None:
        gate = Gate()
        scene.server.when(WRITE).then(gate, as_usual())
        connection = scene.only()
        async with callers(scene) as group:
            writes = [group.write(number) for number in range(1000)]
            await scene.received(1000)
            timeout = 0.1 if ending == "out of time" else 9.0
            cancel = group.start(lambda: scene.session.aclose(timeout))
            await scene.until(lambda: connection.state.value != "open")
            late = group.write(1000)
            await scene.until(lambda: late.over)
            if ending == "answered":
                scene.server.call(gate.open)
            elif ending == "cancelled":
                assert not any(caller.over for caller in writes)
                cancel()
            await group.ended()
        assert isinstance(late.error, errors.SessionClosed)
        assert not late.error.maybe_executed
        if ending == "answered":
            assert all(caller.succeeded for caller in writes)
        else:
            assert {type(caller.error) for caller in writes} == {errors.SessionClosed}
            assert all(caller.error.maybe_executed for caller in writes)
        await scene.session.aclose()

    invariants.run(loop, row, check=invariants.closed)


@EVERYWHERE
def test_c10_twice_at_the_same_time(loop: str) -> None:
    async def row(scene: Scene) -> None:
        gate = Gate()
        scene.server.when(WRITE).then(gate, as_usual())
        connection = scene.only()
        ended: list[None] = []

        async def close() -> None:
            await scene.session.aclose(9.0)
            ended.append(None)

        async with callers(scene) as group:
            write = group.write(1)
            await scene.received()
            group.start(close)
            group.start(close)
            await scene.until(lambda: connection.state.value != "open")
            scene.server.call(gate.open)
            await scene.until(lambda: len(ended) == 2, 2.0)
        assert write.succeeded

    invariants.run(loop, row, check=invariants.closed)


@EVERYWHERE
@pytest.mark.parametrize("timeout", [0, 0.1])
def test_c10_while_the_node_does_not_read(loop: str, timeout: float) -> None:
    """What is on its way out gets no more time than the rest."""

    async def row(scene: Scene) -> None:
        (link,) = scene.links
        scene.server.call(link.stop_reading)
        call = scene.session._context.executor.start(Ignored(), "SELECT '" + "x" * 20_000_000 + "'")
        await scene.until(lambda: call.phase.value == "waiting")
        began = scene.now()
        await scene.session.aclose(timeout)
        assert scene.now() - began < FLUSH_TIMEOUT / 2
        scene.server.call(link.resume_reading)

    invariants.run(loop, row, check=invariants.closed)


def test_c10_a_blocking_session_while_the_node_does_not_read() -> None:
    began = 0.0
    links: list[ServerConnection] = []

    def program(server: CqlServer) -> None:
        nonlocal began
        with triocql.sync.connect(server.contact_points, connections_local=1) as session:
            (link,) = [each for each in server.connections if not each.events]
            server.call(link.stop_reading)
            links.append(link)
            future = session.execute_async("SELECT '" + "x" * 20_000_000 + "'")
            while session.stats().in_flight == 0:
                assert not future.done()
            session.stats()  # by now it is on its way out
            began = time.monotonic()
            raise ZeroDivisionError

    with CqlServer(1) as server:
        with pytest.raises(ZeroDivisionError):
            program(server)
        assert time.monotonic() - began < FLUSH_TIMEOUT / 2
        server.call(links[0].resume_reading)
