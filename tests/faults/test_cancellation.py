"""Callers that go, or run out of time, in every phase: nothing is sent for them, nothing is lost by them.

The cancellation of every public coroutine at each of its checkpoints is in `tests/session/test_checkpoints.py`,
many at once in `test_storms.py`, those that are too late before they begin in `test_expired.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.engine.world import SELECT as SELECT_TEXT
from tests.engine.world import World, check
from tests.faults.callers import Caller, callers
from tests.faults.invariants import heal, run
from tests.faults.scene import EVERYWHERE, INSERT, SELECT, VERSIONS, Scene
from triocql import errors
from triocql.testing.server import Gate, Opcode, as_usual, no_response

# --- C03 -----------------------------------------------------------------------------------------------------


@EVERYWHERE
@pytest.mark.parametrize("victim", [0, 1], ids=["who gets it", "who is next"])
@pytest.mark.parametrize("first", [True, False], ids=["before it is read", "after it is read"])
def test_c03_cancelled_in_the_turn_of_the_response(loop: str, victim: int, first: bool) -> None:
    """In the very turn that brings the response, and with it a stream for the first in the queue: it is handed on."""

    async def row(scene: Scene) -> None:
        gate = Gate()
        scene.server.when(SELECT, times=1).then(gate, as_usual())
        async with callers(scene) as group:
            asking = [group.read(0)]
            await scene.received()
            asking += [group.read(number) for number in range(1, 5)]
            await scene.until(lambda: scene.session.stats().queued == 4)
            connection = scene.only()
            cancel_with_the_response(connection, asking[victim], first)
            scene.server.call(gate.open)
            await group.ended()
            assert scene.only() is connection
        # Trio does not cancel a task that is about to be resumed.
        if (loop, victim, first) == ("trio", 0, False):
            assert asking[victim].value == victim
        else:
            assert asking[victim].abandoned
            assert not asking[victim].done
        for caller in (*asking[:victim], *asking[victim + 1 :]):
            assert caller.value == caller.token

    run(loop, row, max_in_flight=1)


def cancel_with_the_response(connection: Any, caller: Caller, first: bool) -> None:
    """Have a caller cancelled just before or after the next data is read, in the same turn of the loop."""

    def data_received(data: bytes) -> None:
        del connection.data_received
        if first:
            caller.cancel()
        connection.data_received(data)
        if not first:
            caller.cancel()

    connection.data_received = data_received


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
    scene.links[0].stop_reading()
    scene.session._context.executor.start(Ignored(), "SELECT " + "x" * 1_000_000)
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

    def reject(self, error: BaseException) -> None:
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
        for connection in scene.links:
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
@VERSIONS
def test_c05_cancelled_in_the_middle_of_its_frame(loop: str, version: int) -> None:
    """The frame is ended before another one begins: what follows on the connection is understood."""

    async def row(scene: Scene) -> None:
        (link,) = scene.links
        scene.server.call(link.stop_reading)
        long = scene.session._context.executor.start(Ignored(), "SELECT '" + "x" * 12_000_000 + "'")
        await scene.until(lambda: long.phase.value == "waiting")
        long.abandon()
        calls = [scene.read(number, timeout=60.0) for number in range(100)]
        assert not any(call.done for call in calls)
        scene.server.call(link.resume_reading)
        for call in calls:
            assert (await call.wait()).value == call.token
        assert scene.links == [link]

    run(loop, row, server={"versions": (version,)})
