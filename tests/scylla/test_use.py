"""Statements that were prepared before a USE: ids of ScyllaDB are made of the keyspace that a connection is in, too."""

from __future__ import annotations

from uuid import uuid4

import pytest

import triocql
from tests.scylla.shards import SELECT, Scylla, Shards
from triocql import errors
from triocql.policies import ConstantSpeculation
from triocql.testing.server import Opcode, as_usual, delay, unprepared, usual

INSERT = "INSERT INTO shop.users (id, name) VALUES (?, ?)"


def prepared_at(world: Shards, text: str) -> list[int]:
    """Return which nodes have prepared a text, in the order in which they have."""
    return [
        entry.node
        for entry in world.server.log.everything
        if entry.request.opcode == Opcode.PREPARE and entry.text == text
    ]


def test_a_statement_that_names_its_keyspace_goes_on_after_use_and_restarts() -> None:
    """One node after the other forgets it, and tells another id of it; the others learn that one."""
    world = Shards(3, scylla=Scylla(shards=2))
    with world.session() as session:

        async def main() -> None:
            select, insert = await session.prepare(SELECT), await session.prepare(INSERT)
            bound = select.bind(7)
            for key in range(20):
                await session.execute(select, [key])
            await session.execute("USE shop")
            world.server.log.clear()
            for node in world.server.nodes:
                node.forget_prepared()
                for key in range(20):
                    await session.execute(select, [key])
                    await session.execute(bound)
                    await session.execute(triocql.Batch().add(insert, [key, "x"]).add(INSERT, [key, "y"]))
            assert select.prepared.state.id != bound.state.id

        world.run(main())
        assert world.server.log.malformed == []
        assert len(world.executed) == 3 * 40
        for text in (SELECT, INSERT):
            assert len(prepared_at(world, text)) <= 3 * 2 + 2


def test_a_batch_has_the_new_id_of_each_statement() -> None:
    """Whichever of them were forgotten, and however often they are in it."""
    world = Shards(1, scylla=Scylla(shards=1))
    with world.session() as session:

        async def main() -> None:
            insert = await session.prepare(INSERT)
            delete = await session.prepare("DELETE FROM shop.users WHERE id = ?")
            await session.execute("USE shop")
            other = await session.prepare(INSERT)
            assert other.prepared is not insert.prepared
            world.node.forget_prepared()
            world.server.log.clear()
            batch = (
                triocql.Batch()
                .add(insert, [1, "a"])
                .add(delete, [2])
                .add(other, [3, "b"])
                .add(insert, [4, "c"])
            )
            batch.add("INSERT INTO shop.users (id) VALUES (5)")
            for _ in range(2):
                await session.execute(batch)
            assert insert.prepared.state is other.prepared.state

        world.run(main())
        assert world.server.log.malformed == []
        batches = [entry for entry in world.server.log.everything if entry.request.opcode == Opcode.BATCH]
        assert len(batches) <= 5


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_a_copy_of_a_batch_has_the_new_id_by_itself(seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    """Two nodes have forgotten a statement: each is asked to prepare it, one after the other, or both at a time."""
    policies = triocql.PolicyOptions(speculation=ConstantSpeculation(0.1, max_attempts=2))
    world = Shards(2, scylla=Scylla(shards=1), policies=policies, prepare_on_all_hosts=True)
    with world.session() as session:

        async def main() -> None:
            insert = await session.prepare(INSERT)
            await session.execute("USE shop")
            for node in range(2):
                world.server.when(opcode=Opcode.BATCH, node=node, times=1).then(delay(0.2), unprepared())
            world.server.when(opcode=Opcode.BATCH).then(delay(0.6), as_usual())
            world.server.when(INSERT, opcode=Opcode.PREPARE).then(delay(seconds), as_usual())
            world.server.log.clear()
            await session.execute(triocql.Batch().add(insert, [1, "a"]), idempotent=True)

        world.run(main())
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []
        assert sorted(prepared_at(world, INSERT)) == [0, 1]
        batches = [
            entry.node for entry in world.server.log.everything if entry.request.opcode == Opcode.BATCH
        ]
        assert sorted(batches) == [0, 0, 1, 1]


def test_a_statement_whose_names_mean_something_else_by_now_is_refused() -> None:
    """Its values would go to another table."""
    world = Shards(1, scylla=Scylla(shards=2))
    other = "CREATE KEYSPACE other WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
    world.server.schema.execute(f"{other}; CREATE TABLE other.users (id int PRIMARY KEY, name text)")
    with world.session(keyspace="shop") as session:

        async def main() -> None:
            insert = await session.prepare("INSERT INTO users (id, name) VALUES (?, ?)")
            await session.execute("USE other")
            world.node.forget_prepared()
            for statement in (insert.bind(1, "x"), triocql.Batch().add(insert, [1, "x"])):
                with pytest.raises(errors.PreparedIdMismatch, match=r"was shop and is other since a USE"):
                    await session.execute(statement)

        world.run(main())


def test_a_node_that_forgets_at_once_and_has_another_id_each_time_is_no_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Shards(1, scylla=Scylla(shards=1))
    with world.session() as session:

        async def main() -> None:
            select = await session.prepare(SELECT)
            monkeypatch.setattr(usual, "statement_id", lambda text, keyspace: uuid4().bytes)
            world.server.when(SELECT).then(
                lambda request: unprepared() if request.opcode == Opcode.EXECUTE else as_usual()
            )
            with pytest.raises(errors.UnpreparedLoop, match="16 times for this request"):
                await session.execute(select, [1])

        world.run(main())
