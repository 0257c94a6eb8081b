"""Statements that a node does not know any more: prepared once more, on that connection, and never without end."""

from __future__ import annotations

import struct

import pytest

from tests.engine import wire
from tests.faults.invariants import run
from tests.faults.scene import EVERYWHERE, INSERT, SELECT, Scene
from triocql import Batch, errors
from triocql.testing.server import Opcode, frame, unprepared


@EVERYWHERE
def test_s17_unprepared_on_execute(loop: str) -> None:
    """Prepared again once a connection at most, and sent again on the connection that had the answer."""

    async def row(scene: Scene) -> None:
        for node in scene.server.nodes:
            scene.server.call(node.forget_prepared)
        scene.server.log.clear()
        calls = [scene.write(number) for number in range(200)]
        for call in calls:
            assert (await call.wait()).succeeded
        assert scene.server.log.count(INSERT) == 200
        prepared = [entry.connection for entry in scene.server.log.requests(Opcode.PREPARE)]
        assert len(prepared) == len(set(prepared))
        asked: dict[bytes, list[int]] = {}
        for entry in scene.server.log.requests(Opcode.EXECUTE):
            (value,) = entry.raw_values
            assert isinstance(value, bytes)
            asked.setdefault(value, []).append(entry.connection)
        again = [on for on in asked.values() if len(on) > 1]
        assert all(len(on) == 2 and len(set(on)) == 1 for on in again)
        assert {on[0] for on in again} == set(prepared)
        # Each node has forgotten it.
        assert {entry.node for entry in scene.server.log.requests(Opcode.PREPARE)} == {0, 1}

    run(loop, row, nodes=2, connections_local=2)


@EVERYWHERE
def test_s17_unprepared_in_a_batch(loop: str) -> None:
    async def row(scene: Scene) -> None:
        scene.server.call(scene.server.nodes[0].forget_prepared)
        scene.server.log.clear()
        other = "INSERT INTO ks.t (k, v) VALUES (?, ?)"
        batch = Batch().add(scene.insert, [1]).add(other, [2, "x"]).add("DELETE FROM ks.t WHERE k = 3")
        await scene.session.execute(batch)
        assert len(scene.server.log.requests(Opcode.PREPARE)) == 2
        assert sum(entry.executed for entry in scene.server.log.requests(Opcode.BATCH)) == 1

    run(loop, row)


def test_s17_unprepared_with_an_id_of_another_statement() -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(INSERT, times=1).then(unprepared(b"nobody's"))
        scene.server.log.clear()
        error = await scene.failed(scene.write(1), errors.ProtocolError)
        assert "was not in the request" in str(error)
        assert scene.server.log.requests(Opcode.PREPARE) == []

    run("simulated", row)


@pytest.mark.parametrize("nodes", [1, 3])
def test_s17_unprepared_for_ever(nodes: int) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(INSERT).then(unprepared())
        scene.server.log.clear()
        error = await scene.failed(scene.write(1), errors.UnpreparedLoop)
        assert INSERT in str(error)
        assert not error.maybe_executed
        assert len(scene.server.log.requests(Opcode.PREPARE)) == 16
        assert len(scene.server.log.requests(Opcode.EXECUTE)) == 16 + 1

    run("simulated", row, nodes=nodes)


def test_s18_prepared_again_with_another_id() -> None:
    binds = (("k", "int"),)
    body = wire.prepared(5, b"another id", binds, (("k", "int"),), b"metadata id")

    async def row(scene: Scene) -> None:
        scene.server.nodes[0].forget_prepared()
        scene.server.when(SELECT, opcode=Opcode.PREPARE).then(frame(Opcode.RESULT, body))
        scene.server.log.clear()
        calls = [scene.read(number) for number in range(5)]
        for call in calls:
            error = await scene.failed(call, errors.PreparedIdMismatch)
            assert "call prepare() again" in str(error)
            assert not error.maybe_executed
        assert scene.server.log.count() == 0
        assert len(scene.server.log.requests(Opcode.PREPARE)) == 1

    run("simulated", row, server={"versions": (5,)})


def test_s18_prepared_again_with_other_parameters() -> None:
    """The same id for something else: values that were encoded for the old types are not sent."""

    async def row(scene: Scene) -> None:
        statement_id = scene.insert.prepared.state.id
        body = wire.prepared(5, statement_id, (("k", "bigint"),), (), b"metadata id")
        scene.server.nodes[0].forget_prepared()
        scene.server.when(INSERT, opcode=Opcode.PREPARE, times=1).then(frame(Opcode.RESULT, body))
        scene.server.log.clear()
        await scene.failed(scene.write(1), errors.PreparedIdMismatch)
        assert scene.server.log.count() == 0
        assert struct.pack(">i", 1) not in [entry.request.id for entry in scene.server.log]

    run("simulated", row, server={"versions": (5,)})
