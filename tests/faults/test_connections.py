"""Connections that end, or are never made: at once, with the reason, and without a word to anybody else."""

from __future__ import annotations

import errno

import pytest

from tests.faults.invariants import heal, run
from tests.faults.scene import EVERYWHERE, INSERT, ON_SOCKETS, SELECT, VERSIONS, Scene
from triocql import errors
from triocql.testing.server import Opcode, as_usual, close, cut, delay, no_response, reset

AT_ONCE = 0.05
"""Seconds within which the end of a connection is told."""


def at_once(scene: Scene) -> float:
    """Return `AT_ONCE`, or what a busy machine may make of it."""
    return AT_ONCE if scene.virtual else 100 * AT_ONCE


@EVERYWHERE
@VERSIONS
@pytest.mark.parametrize("keep", [5, 12])
@pytest.mark.parametrize("idempotent", [True, False])
def test_s04_fin_in_the_middle_of_a_response(loop: str, version: int, keep: int, idempotent: bool) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(SELECT, times=1).then(as_usual(), cut(keep), close())
        call = await scene.read(1, idempotent=idempotent).wait()
        assert call.took < at_once(scene)
        if idempotent:
            assert call.value == 1
            assert call.execution is not None
            (attempt,) = call.execution.attempts
            assert isinstance(attempt.error, errors.ConnectionLost)
        else:
            assert isinstance(call.error, errors.ConnectionLost)
            assert call.error.maybe_executed
            assert isinstance(call.error.__cause__, ConnectionResetError)

    run(loop, row, nodes=2, server={"versions": (version,)})


@VERSIONS
def test_s04_the_pool_is_filled_again_with_backoff(version: int) -> None:
    async def row(scene: Scene) -> None:
        await scene.sleep(5)
        scene.server.when(SELECT, times=1).then(as_usual(), cut(5), close())
        scene.server.when(opcode=Opcode.OPTIONS, times=5).then(close())
        await scene.failed(scene.read(1, idempotent=False), errors.ConnectionLost)
        lost = scene.now()
        await scene.sleep(40)
        control = {link.number for link in scene.server.connections if link.events}
        dialled = [
            entry.time - lost
            for entry in scene.server.log.requests(Opcode.OPTIONS)
            if entry.connection not in control
        ]
        assert dialled == pytest.approx([0, 1, 3, 7, 15, 31], abs=0.1)
        assert scene.only().state.value == "open"

    run("simulated", row, server={"versions": (version,)})


@EVERYWHERE
@VERSIONS
@pytest.mark.parametrize("keep", [0, 5])
def test_s05_rst_in_the_middle_of_a_response(loop: str, version: int, keep: int) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(INSERT, times=1).then(as_usual(), cut(keep), reset())
        call = scene.write(1)
        error = await scene.failed(call, errors.ConnectionLost)
        assert call.took < at_once(scene)
        assert error.maybe_executed
        assert isinstance(error.__cause__, ConnectionResetError)
        if not scene.virtual:
            assert error.__cause__.errno == errno.ECONNRESET
        assert scene.server.log.count(INSERT) == 1

    run(loop, row, nodes=2, server={"versions": (version,)})


@EVERYWHERE
def test_s06_fin_on_accept_names_the_step(loop: str) -> None:
    async def before(scene: Scene) -> None:
        scene.server.nodes[0].hang_up = True
        with pytest.raises(errors.ConnectError, match=r":\d+, OPTIONS: ") as info:
            await scene.connecting().__aenter__()
        assert isinstance(info.value.__cause__, ConnectionResetError)
        heal(scene)

    run(loop, nothing, before=before)


@EVERYWHERE
def test_s06_fin_on_accept_has_the_next_contact_point_tried(loop: str) -> None:
    async def before(scene: Scene) -> None:
        scene.server.nodes[0].hang_up = True
        async with scene.connecting() as session:
            assert (await session.execute(SELECT, [7])).scalar() == 7
            assert scene.server.log.count(SELECT, node=1) == 1
        heal(scene)

    run(loop, nothing, nodes=2, before=before)


def test_s07_accepted_and_never_answered() -> None:
    async def before(scene: Scene) -> None:
        scene.server.nodes[0].black_hole()
        began = scene.now()
        async with scene.connecting() as session:
            assert scene.now() - began == 5.0
            second, first = session._context.executor.router.pools  # the one that was reached comes first
            for number in range(100):
                assert (await session.execute(SELECT, [number])).scalar() == number
                assert len(first.connections) == 0
                await session._context.reactor.sleep(0.5)
            assert len(second.connections) == 1
            assert first.last_failure is not None
            assert first.last_failure.elapsed == 5.0
            assert isinstance(first.last_failure.error, errors.ConnectTimeout)
            assert scene.server.log.count(SELECT, node=0) == 0
        heal(scene)

    run("simulated", nothing, nodes=2, before=before)


@ON_SOCKETS
def test_s07_accepted_and_never_answered_on_sockets(loop: str) -> None:
    async def before(scene: Scene) -> None:
        scene.server.nodes[0].black_hole()
        began = scene.now()
        async with scene.connecting(connect_timeout=2.0) as session:
            assert 2.0 <= scene.now() - began < 30.0
            _, first = session._context.executor.router.pools
            for number in range(100):
                assert (await session.execute(SELECT, [number])).scalar() == number
                assert len(first.connections) == 0
            assert scene.server.log.count(SELECT, node=0) == 0
        scene.server.nodes[0].stop()
        heal(scene)

    run(loop, nothing, nodes=2, before=before)


def test_s07_nobody_answers() -> None:
    async def before(scene: Scene) -> None:
        for node in scene.server.nodes:
            node.black_hole()
        began = scene.now()
        with pytest.raises(errors.ConnectTimeout, match="no connection to any contact point") as info:
            await scene.connecting().__aenter__()
        assert scene.now() - began == 5.0
        assert [attempt.elapsed for attempt in info.value.attempts] == [5.0, 4.0]
        await left_nothing(scene)

    run("simulated", nothing, nodes=2, before=before)


@pytest.mark.parametrize("opcode", [Opcode.OPTIONS, Opcode.STARTUP])
def test_s19_slow_handshake_in_time(opcode: Opcode) -> None:
    async def before(scene: Scene) -> None:
        scene.server.when(opcode=opcode, times=1).then(delay(4.9), as_usual())
        began = scene.now()
        async with scene.connecting() as session:
            assert scene.now() - began == pytest.approx(4.9)
            assert (await session.execute(SELECT, [7])).scalar() == 7

    run("simulated", nothing, before=before)


@pytest.mark.parametrize("opcode", [Opcode.OPTIONS, Opcode.STARTUP])
def test_s19_slow_handshake_too_late(opcode: Opcode) -> None:
    async def before(scene: Scene) -> None:
        scene.server.when(opcode=opcode, times=1).then(delay(5.1), as_usual())
        began = scene.now()
        with pytest.raises(errors.ConnectTimeout, match=f"{opcode.name}.*connect timeout of 5 s"):
            await scene.connecting().__aenter__()
        assert scene.now() - began == 5.0
        await left_nothing(scene)

    run("simulated", nothing, before=before)


@ON_SOCKETS
@pytest.mark.parametrize("opcode", [Opcode.OPTIONS, Opcode.STARTUP])
def test_s19_slow_handshake_on_sockets(loop: str, opcode: Opcode) -> None:
    """What is half open is closed: no file is left open after the row."""

    async def before(scene: Scene) -> None:
        scene.server.when(opcode=opcode, times=1).then(no_response())
        began = scene.now()
        with pytest.raises(errors.ConnectTimeout, match=f"{opcode.name}.*connect timeout of 1 s"):
            await scene.connecting(connect_timeout=1.0).__aenter__()
        assert scene.now() - began >= 1.0
        scene.server.when(opcode=opcode, times=1).then(delay(0.3), as_usual())
        began = scene.now()
        async with scene.connecting() as session:
            assert scene.now() - began >= 0.3
            assert (await session.execute(SELECT, [7])).scalar() == 7

    run(loop, nothing, before=before)


async def left_nothing(scene: Scene) -> None:
    """Check that no connection is open or half open, then heal."""
    await scene.sleep(0.2)
    assert scene.clients == 0
    heal(scene)


async def nothing(scene: Scene) -> None:
    """Do nothing: the fault was there before the session was opened."""
