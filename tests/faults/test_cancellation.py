"""Callers that go, or run out of time, in every phase: nothing is sent for them, nothing is lost by them.

The cancellation of every public coroutine at each of its checkpoints is in `tests/session/test_checkpoints.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio

from tests.engine.peer import Node
from tests.engine.world import INSERT as INSERT_TEXT
from tests.engine.world import SELECT as SELECT_TEXT
from tests.engine.world import World, check, free_ids, only
from tests.faults.invariants import heal, run
from tests.faults.scene import EVERYWHERE, INSERT, SELECT, Scene
from tests.session.loops import Stage, run_on, settled
from triocql import Session, errors
from triocql.testing.server import Gate, Opcode, as_usual, no_response
from triocql.testing.simulated import SimCancelled

# --- C02, C03 ------------------------------------------------------------------------------------------------


@EVERYWHERE
def test_c02_storm(loop: str) -> None:
    async def row(scene: Scene) -> None:
        gate = Gate()
        scene.server.when(INSERT).then(gate, as_usual())
        old = scene.only()
        storm = [scene.write(number) for number in range(10_000)]
        await scene.received(2048)
        began = scene.now()
        for call in storm:
            call.abandon()
        assert scene.now() - began <= 1.0
        assert scene.session.stats()[1:3] == (0, 0)
        assert old.state.value == "closed"
        assert scene.server.log.count(INSERT) == 2048
        scene.server.rules.clear()
        following = [scene.read(number, timeout=60.0) for number in range(10_000)]
        for call in following:
            assert (await call.wait()).value == call.token
        assert not any(call.done for call in storm)
        assert {entry.connection for entry in scene.server.log.find(SELECT)} == {1}

    run(loop, row)


@EVERYWHERE
def test_c02_storm_below_the_threshold_keeps_the_ids(loop: str) -> None:
    async def row(scene: Scene) -> None:
        gate = Gate()
        scene.server.when(INSERT).then(gate, as_usual())
        connection = scene.only()
        storm = [scene.write(number) for number in range(200)]
        await scene.received(200)
        for call in storm:
            call.abandon()
        assert len(connection.orphans) == 200
        assert len(free_ids(connection)) == 2048 - 200
        scene.server.call(gate.open)
        await scene.until(lambda: not connection.orphans)
        assert scene.only() is connection
        assert not any(call.done for call in storm)

    run(loop, row)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("level", [False, True])
def test_c03_cancelled_as_the_response_arrives(seed: int, level: bool) -> None:
    """Whichever comes first, the id is free again and who waits in the queue gets it."""
    world = World(seed=seed, level=level, max_in_flight=1)
    with world.session() as session:
        select = world.call(session.prepare, SELECT_TEXT)
        world.node.holding = True
        first = world.start(session.execute, select, [1])
        queued = [world.start(session.execute, select, [number]) for number in (2, 3, 4)]
        world.node.held.pop().respond()
        first.cancel()
        queued[0].cancel()
        world.node.script = None
        world.node.holding = False
        world.settle()
        for asked in world.node.held:
            asked.respond()
        world.settle()
        assert first.done
        assert queued[0].cancelled or queued[0].result().scalar() == 2
        assert [task.result().scalar() for task in queued[1:]] == [3, 4]
        assert session.stats() == (1, 0, 0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_c03_cancelled_as_a_stream_is_granted(seed: int) -> None:
    world = World(seed=seed, max_in_flight=1)
    with world.session() as session:
        select = world.call(session.prepare, SELECT_TEXT)
        world.node.holding = True
        first = world.start(session.execute, select, [1])
        second = world.start(session.execute, select, [2])
        third = world.start(session.execute, select, [3])
        world.node.held.pop().respond()
        while session.stats().queued == 2:
            world.reactor._run_ready()
        second.cancel()
        world.settle()
        world.node.release()
        world.settle()
        world.node.release()
        assert first.result().scalar() == 1
        assert second.done
        assert third.result().scalar() == 3
        check(session)


# --- C04 -----------------------------------------------------------------------------------------------------


async def in_queue(scene: Scene) -> None:
    scene.server.when(SELECT).then(no_response())
    scene.read(0, timeout=30.0, idempotent=False)


async def while_connecting(scene: Scene) -> None:
    scene.server.nodes[0].stop()
    scene.server.nodes[0].start()
    scene.server.nodes[0].black_hole()
    await scene.until(lambda: not scene.connections)


async def while_sending(scene: Scene) -> None:
    scene.server.connections[0].stop_reading()
    scene.session.executor.start(Ignored(), "SELECT " + "x" * 1_000_000)
    await scene.sleep(0.001)


async def while_waiting(scene: Scene) -> None:
    scene.server.when(INSERT).then(no_response())


async def while_preparing_again(scene: Scene) -> None:
    scene.server.nodes[0].forget_prepared()
    scene.server.when(opcode=Opcode.PREPARE).then(no_response())


PHASES: list[tuple[Callable[[Scene], Awaitable[None]], str, bool]] = [
    (in_queue, "queued", False),
    (while_connecting, "connecting", False),
    (while_sending, "sending", False),
    (while_waiting, "waiting", True),
    (while_preparing_again, "preparing", False),
]


class Ignored:
    """A sink that nobody waits behind."""

    def resolve(self, value: object) -> None:
        """Ignore it."""

    def reject(self, error: Exception) -> None:
        """Ignore it."""


@pytest.mark.parametrize("gone", [False, True], ids=["deadline", "cancelled"])
@pytest.mark.parametrize(("phase", "name", "written"), PHASES, ids=[name for _, name, _ in PHASES])
def test_c04_deadline_and_cancellation_in_each_phase(
    phase: Callable[[Scene], Awaitable[None]], name: str, written: bool, gone: bool
) -> None:
    async def row(scene: Scene) -> None:
        await phase(scene)
        call = scene.write(1, timeout=2.0)
        await scene.sleep(1.0)
        assert call.execution is not None
        assert call.execution.phase.value == name
        if gone:
            call.abandon()
        else:
            error = await scene.failed(call, errors.RequestTimeout)
            assert (error.phase, error.written, error.maybe_executed) == (name, written, written)
            assert 2.0 <= call.took < 2.1
        for connection in scene.server.connections:
            connection.resume_reading()
        heal(scene)
        await scene.sleep(45)
        assert scene.server.log.count(INSERT, values=[1]) == (1 if written else 0)

    run("simulated", row, max_in_flight=1 if name == "queued" else 8)


def test_c04_deadline_between_attempts() -> None:
    """After a first attempt that was written: where it was when time was up, and that it may have been executed."""

    async def row(scene: Scene) -> None:
        scene.server.when(INSERT).then(no_response())
        call = scene.write(1, timeout=2.0, idempotent=True)
        await scene.received()
        await while_connecting(scene)
        error = await scene.failed(call, errors.RequestTimeout)
        assert (error.phase, error.written, error.maybe_executed) == ("connecting", False, True)
        assert len(error.attempts) == 1
        heal(scene)
        await scene.sleep(20)

    run("simulated", row)


# --- C05 -----------------------------------------------------------------------------------------------------


@EVERYWHERE
@pytest.mark.parametrize("version", [4, 5])
def test_c05_cancelled_in_the_middle_of_its_frame(loop: str, version: int) -> None:
    """The frame is ended before another one begins: what follows on the connection is understood."""

    async def row(scene: Scene) -> None:
        (link,) = scene.server.connections
        scene.server.call(link.stop_reading)
        long = scene.session.executor.start(Ignored(), "SELECT '" + "x" * 20_000_000 + "'")
        await scene.until(lambda: long.phase.value == "waiting")
        long.abandon()
        calls = [scene.read(number) for number in range(100)]
        assert not any(call.done for call in calls)
        scene.server.call(link.resume_reading)
        for call in calls:
            assert (await call.wait()).value == call.token
        assert scene.server.connections == [link]

    run(loop, row, server={"versions": (version,)})


# --- C06 -----------------------------------------------------------------------------------------------------


async def trio_scope(call: Callable[[], Awaitable[Any]]) -> None:
    with trio.move_on_after(0):
        await call()


async def trio_cancelled(call: Callable[[], Awaitable[Any]]) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await call()


async def asyncio_timeout(call: Callable[[], Awaitable[Any]]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await call()


async def asyncio_wait_for(call: Callable[[], Awaitable[Any]]) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(), 0)


async def asyncio_cancelled(call: Callable[[], Awaitable[Any]]) -> None:
    async def itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await call()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(itself())


async def anyio_scope(call: Callable[[], Awaitable[Any]]) -> None:
    with anyio.move_on_after(0):
        await call()


async def anyio_cancelled(call: Callable[[], Awaitable[Any]]) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await call()


EXPIRED: list[tuple[str, Callable[[Callable[[], Awaitable[Any]]], Awaitable[None]]]] = [
    ("trio", trio_scope),
    ("trio", trio_cancelled),
    ("asyncio", asyncio_timeout),
    ("asyncio", asyncio_wait_for),
    ("asyncio", asyncio_cancelled),
    ("anyio on trio", anyio_scope),
    ("anyio on asyncio", anyio_scope),
    ("anyio on trio", anyio_cancelled),
    ("anyio on asyncio", anyio_cancelled),
]


@pytest.mark.parametrize(("loop", "expired"), EXPIRED, ids=[f"{on}-{fn.__name__}" for on, fn in EXPIRED])
def test_c06_expired_before_the_call(
    loop: str, expired: Callable[[Callable[[], Awaitable[Any]]], Awaitable[None]]
) -> None:
    node = Node()

    async def main(stage: Stage) -> None:
        async with stage.connect() as session:
            select = await session.prepare(SELECT_TEXT)
            ids = sorted(free_ids(only(session)))
            node.asked.clear()
            for call in calls(session, select):
                await expired(call)
            await settled(session)
            assert sorted(free_ids(only(session))) == ids
            assert node.asked == []
            assert (await session.execute(select, [7])).scalar() == 7

    def calls(session: Session, select: Any) -> list[Callable[[], Awaitable[Any]]]:
        return [
            lambda: session.execute("INSERT 1"),
            lambda: session.execute(select, [1]),
            lambda: session.execute(select, [1], timeout=1.0),
        ]

    run_on(loop, main, node)


def test_c06_cancelled_before_it_begins() -> None:
    for seed in range(20):
        world = World(seed=seed)
        with world.session() as session:
            tasks = [world.reactor.start(session.execute, INSERT_TEXT.replace("?", "1")) for _ in range(5)]
            world.node.asked.clear()
            world.reactor._run_ready()
            for task in tasks:
                task.cancel()
            world.settle()
            assert world.node.asked == []
            for task in tasks:
                with pytest.raises(SimCancelled):
                    task.result()
