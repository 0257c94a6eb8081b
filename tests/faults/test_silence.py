"""Nodes that stop in the middle: what they began is not waited for, nor what others ask of their connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.invariants import run
from tests.faults.scene import INSERT, SELECT, Scene
from triocql import errors
from triocql.testing.server import Fault, Opcode, as_usual, frame, trickle, truncate

FOUND_OUT = 30.0 + 5.0 + 0.01
"""Seconds after which a node is given up that says nothing: the heartbeat's interval and timeout, and a grain."""

VERSIONS = pytest.mark.parametrize("version", [4, 5])


async def one_connection_dies(scene: Scene, fault: Fault) -> None:
    """Have node 0 fall silent in the middle of an answer; nobody but those who asked it may notice."""
    scene.server.when(node=0, times=1).then(as_usual(), fault)
    calls = [scene.write(number, timeout=2.0) for number in range(64)]
    dying = (
        scene.connections[0] if scene.connections[0].name.startswith("127.0.0.1:") else scene.connections[1]
    )
    began = scene.now()
    await scene.until(lambda: all(call.done for call in calls))
    silent = {entry.values[0] for entry in scene.server.log if entry.node == 0}
    assert len(silent) == 32
    for call in calls:
        if call.token in silent:
            error = await scene.failed(call, errors.RequestTimeout)
            assert (error.phase, error.maybe_executed) == ("waiting", True)
            assert 2.0 <= call.took < 2.1
        else:
            assert call.succeeded
            assert call.took < 0.05
    await scene.until(lambda: dying.state.value == "closed")
    assert scene.now() - began <= FOUND_OUT
    following = [scene.read(number) for number in range(64)]
    for call in following:
        assert (await call.wait()).took < 0.05


@pytest.mark.parametrize(("version", "keep"), [(4, 4), (4, 8), (5, 3), (5, 6 + 4)])
def test_s01_half_a_header_then_silence(version: int, keep: int) -> None:
    async def row(scene: Scene) -> None:
        await one_connection_dies(scene, truncate(keep))

    run("simulated", row, nodes=2, server={"versions": (version,)})


@pytest.mark.parametrize(("version", "keep"), [(4, 9 + 2), (5, 6 + 9 + 2), (5, 6 + 9 + 4 + 1)])
def test_s02_half_a_body_then_silence(version: int, keep: int) -> None:
    async def row(scene: Scene) -> None:
        await one_connection_dies(scene, truncate(keep))

    run("simulated", row, nodes=2, server={"versions": (version,)})


@VERSIONS
def test_s02_bytes_that_trickle_do_not_put_off_the_end(version: int) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(SELECT).then(frame(Opcode.RESULT, bytes(1000)), trickle(0.5))
        call = scene.read(1, timeout=2.0)
        dying, began = scene.only(), scene.now()
        await scene.failed(call, errors.RequestTimeout)
        await scene.until(lambda: dying.state.value == "closed")
        assert scene.now() - began <= FOUND_OUT
        assert "did not end it in time" in str(dying.error)

    run("simulated", row, server={"versions": (version,)})


@VERSIONS
def test_s03_a_byte_a_second(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(INSERT).then(as_usual(), trickle(1.0))
        dying = scene.only()
        pieces: list[int] = []
        turns: list[None] = []
        counted(monkeypatch, dying, "data_received", lambda data: pieces.append(len(data)))
        counted(monkeypatch, scene.session.reactor, "_run_ready", lambda: turns.append(None))
        # Both answers are longer than what comes in time.
        call, other = scene.write(1, timeout=3.0), scene.write(2, timeout=3.0)
        error = await scene.failed(call, errors.RequestTimeout)
        assert error.maybe_executed
        assert 3.0 <= call.took < 3.1
        assert other.done
        scene.server.when(INSERT).then(frame(Opcode.RESULT, bytes(1000)), trickle(1.0))
        scene.write(3, timeout=3.0)
        await scene.sleep(50 + FOUND_OUT)
        assert dying.state.value == "closed"
        assert 50 < len(pieces) <= sum(pieces) < 50 + FOUND_OUT
        assert len(turns) <= (2 + 2) * len(pieces) + 40  # the node has its turns, too, and so has the watch

    run("simulated", row, server={"versions": (version,)})


def counted(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, note: Callable[..., object]) -> None:
    """Have `note` told of each call of a method."""
    method = getattr(owner, name)

    def call(*args: Any) -> Any:
        note(*args)
        return method(*args)

    monkeypatch.setattr(owner, name, call)
