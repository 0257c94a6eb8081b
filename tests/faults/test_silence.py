"""Nodes that stop in the middle: what they began is not waited for, nor what others ask of their connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.invariants import run
from tests.faults.scene import INSERT, ON_SOCKETS, SELECT, VERSIONS, Scene
from triocql import errors
from triocql.testing.server import Opcode, as_usual, frame, trickle, truncate
from triocql.testing.simulated import SimTask

FOUND_OUT = 30.0 + 5.0 + 0.01
"""Seconds after which a node is given up that says nothing: the heartbeat's interval and timeout, and a grain."""

SHORT: dict[str, Any] = {"heartbeat_interval": 3.0, "heartbeat_timeout": 3.0, "frame_timeout": 3.0}
"""The bounds for where time is real; the requests' own timeout is shorter there, too."""


async def one_connection_dies(scene: Scene, keep: int) -> None:
    """Have node 0 fall silent in the middle of an answer; nobody but those who asked it may notice."""
    timeout, at_once, found_out = (2.0, 0.05, FOUND_OUT) if scene.virtual else (2.0, 20.0, 40.0)
    scene.server.when(node=0, times=1).then(as_usual(), truncate(keep))
    calls = [scene.write(number, timeout=timeout) for number in range(64)]
    dying = (
        scene.connections[0] if scene.connections[0].name.startswith("127.0.0.1:") else scene.connections[1]
    )
    began = scene.now()
    await scene.until(lambda: all(call.done for call in calls))
    silent = {entry.values[0] for entry in scene.server.log if entry.node == 0}
    assert 16 <= len(silent) <= 48
    for call in calls:
        if call.token in silent:
            error = await scene.failed(call, errors.RequestTimeout)
            assert (error.phase, error.maybe_executed) == ("waiting", True)
            assert timeout <= call.took < timeout + 2 * at_once
        else:
            assert call.succeeded
            assert call.took < at_once
    await scene.until(lambda: dying.state.value == "closed")
    assert scene.now() - began <= found_out
    following = [scene.read(number) for number in range(64)]
    for call in following:
        assert (await call.wait()).took < at_once


@pytest.mark.parametrize(("version", "keep"), [(4, 4), (4, 8), (5, 3), (5, 6 + 4)])
def test_s01_half_a_header_then_silence(version: int, keep: int) -> None:
    async def row(scene: Scene) -> None:
        await one_connection_dies(scene, keep)

    run("simulated", row, nodes=2, server={"versions": (version,)})


@ON_SOCKETS
def test_s01_half_a_header_then_silence_on_sockets(loop: str) -> None:
    async def row(scene: Scene) -> None:
        await one_connection_dies(scene, 4)

    run(loop, row, nodes=2, server={"versions": (4,)}, **SHORT)


@pytest.mark.parametrize(("version", "keep"), [(4, 9 + 2), (5, 6 + 9 + 2), (5, 6 + 9 + 4 + 1)])
def test_s02_half_a_body_then_silence(version: int, keep: int) -> None:
    async def row(scene: Scene) -> None:
        await one_connection_dies(scene, keep)

    run("simulated", row, nodes=2, server={"versions": (version,)})


@ON_SOCKETS
def test_s02_half_a_body_then_silence_on_sockets(loop: str) -> None:
    async def row(scene: Scene) -> None:
        await one_connection_dies(scene, 6 + 9 + 2)

    run(loop, row, nodes=2, server={"versions": (5,)}, **SHORT)


@VERSIONS
def test_s02_bytes_that_trickle_do_not_put_off_the_end(version: int) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(SELECT).then(frame(Opcode.RESULT, bytes(1000)), trickle(0.5))
        call = scene.read(1, timeout=2.0)
        dying, began = scene.only(), scene.now()
        await scene.failed(call, errors.RequestTimeout)
        await scene.until(lambda: dying.state.value == "closed")
        assert scene.now() - began <= FOUND_OUT
        assert "not the rest of it in time" in str(dying.error)

    run("simulated", row, server={"versions": (version,)})


@VERSIONS
def test_s03_a_byte_a_second(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(INSERT).then(as_usual(), trickle(1.0))
        dying = scene.only()
        pieces: list[int] = []
        wakeups: list[str] = []
        counted(monkeypatch, dying, "data_received", lambda data: pieces.append(len(data)))
        for method in ("data_received", "data_to_send", "expire"):
            counted(monkeypatch, dying, method, lambda *_: wakeups.append("connection"))
        counted(monkeypatch, SimTask, "step", lambda task: wakeups.append(task.name))
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
        assert "sent the beginning of a frame, and not the rest of it in time" in str(dying.error)
        assert 50 < len(pieces) <= sum(pieces) < 50 + FOUND_OUT
        # The client's own: what the network calls, the sweeps of deadlines, the watch over the connection.
        ours = [name for name in wakeups if name in ("connection", "PoolRefiller.run", "Heartbeat.run")]
        assert len(pieces) < len(ours) <= 2 * len(pieces)

    run("simulated", row, server={"versions": (version,)})


def counted(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, note: Callable[..., object]) -> None:
    """Have `note` told of each call of a method."""
    method = getattr(owner, name)

    def call(*args: Any) -> Any:
        note(*args)
        return method(*args)

    monkeypatch.setattr(owner, name, call)
