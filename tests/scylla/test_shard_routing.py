"""Requests go to the shard that has their partition, from whichever way they come; and never fail for want of one."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest

import triocql
from tests.scylla.shards import SELECT, Scylla, Shards, check, links, pool_of, shards_of
from triocql.config.policies import PolicyOptions
from triocql.policies.retry import Decision
from triocql.testing.server import ErrorCode, Opcode, as_usual, error

ONCE = "replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"


def on_target(world: Shards) -> float:
    """Return the share of requests that came to the node and the shard that have their partition."""
    executed = world.executed
    return sum(entry.on_target is True for entry in executed) / len(executed)


def test_prepared_requests_go_to_their_shards() -> None:
    world = Shards(3, scylla=Scylla(shards=4))
    with world.session() as session:
        world.read(session, *range(500))
        assert len(world.executed) == 500
        assert on_target(world) == 1.0
        assert {entry.shard for entry in world.executed} == {0, 1, 2, 3}


def test_nodes_with_different_shards() -> None:
    world = Shards(3, scylla=[Scylla(shards=3), Scylla(shards=8, ignore_msb=0), None])
    with world.session() as session:
        world.read(session, *range(300))
        assert {entry.on_target for entry in world.executed if entry.shard >= 0} == {True}
        assert {entry.on_target for entry in world.executed if entry.shard < 0} <= {None, True, False}
        assert len({(entry.node, entry.shard) for entry in world.executed}) == 3 + 8 + 1


def test_a_cluster_of_one_node() -> None:
    """There is no choice among nodes, but there is one among shards."""
    world = Shards(1, scylla=Scylla(shards=4, tablets=()))
    with world.session() as session:
        world.read(session, *range(200))
        assert on_target(world) == 1.0


def test_many_at_a_time() -> None:
    world = Shards(3, scylla=Scylla(shards=4))
    with world.session() as session:
        results = world.run(session.execute_concurrent_with_args(SELECT, [[key] for key in range(1000)], 200))
        assert len(list(results)) == 1000
        assert on_target(world) == 1.0


def test_what_is_for_one_node_goes_to_its_shard() -> None:
    world = Shards(2, scylla=Scylla(shards=4))
    with world.session() as session:

        async def reads() -> None:
            for key in range(100):
                await session.execute(SELECT, [key], node=session.metadata.nodes[0])

        world.run(reads())
        executed = world.executed
        right = [entry for entry in executed if entry.on_target]
        assert {entry.node for entry in executed} == {executed[0].node}
        # Half of the partitions are the other node's: their shards are asked for all the same.
        assert 20 < len(right) < 80
        shards = {entry.shard for entry in executed}
        assert shards == {0, 1, 2, 3}


@pytest.mark.parametrize("decision", [Decision.SAME, Decision.NEXT])
def test_later_attempts_go_to_their_shards(decision: Decision) -> None:
    class Again:
        def decide(self, error: Any, *, idempotent: bool, retries: int) -> Decision:
            return decision

    world = Shards(2, scylla=Scylla(shards=8))
    with world.session(policies=PolicyOptions(retry=Again())) as session:
        world.read(session, 0)
        world.server.log.clear()
        turns = cycle([error(ErrorCode.OVERLOADED), as_usual()])
        world.server.when(SELECT).then(lambda request: next(turns))
        world.read(session, *range(30))
        executed = world.executed
        assert len(executed) == 60
        for first, second in zip(executed[::2], executed[1::2], strict=True):
            assert first.on_target
            assert (first.node == second.node) is (decision is Decision.SAME)
            assert first.shard == second.shard  # all nodes have as many


def test_a_statement_that_a_node_has_forgotten_is_sent_again_to_its_shard() -> None:
    world = Shards(2, scylla=Scylla(shards=8))
    with world.session() as session:
        world.read(session, 1)
        for node in world.server.nodes:
            node.forget_prepared()
        world.read(session, *range(50))
        assert on_target(world) == 1.0


def test_batches_go_to_the_shard_of_their_partition() -> None:
    world = Shards(1, scylla=Scylla(shards=8))
    with world.session() as session:

        async def batches() -> None:
            insert = await session.prepare("INSERT INTO shop.users (id, name) VALUES (?, ?)")
            for key in range(100):
                batch = triocql.Batch()
                batch.add(insert, [key, "x"])
                await session.execute(batch)

        world.run(batches())
        world.read(session, *range(100))
        batched = [entry for entry in world.server.log.everything if entry.request.opcode == Opcode.BATCH]
        assert [entry.shard for entry in batched] == [entry.shard for entry in world.executed]


def test_a_policy_of_the_users_own() -> None:
    class Backwards:
        def distance(self, node: Any, snapshot: Any) -> Any:
            return triocql.Distance.LOCAL

        def plan(self, request: Any, snapshot: Any) -> Any:
            replicas = snapshot.replicas(request.keyspace, request.routing_key) if request.routing_key else ()
            return [*replicas, *snapshot.nodes]

    world = Shards(3, scylla=Scylla(shards=4))
    with world.session(policies=PolicyOptions(balancing=Backwards())) as session:
        world.read(session, *range(200))
        assert on_target(world) == 1.0


def test_without_a_partition_requests_use_all_shards() -> None:
    world = Shards(1, scylla=Scylla(shards=4))
    with world.session() as session:

        async def reads() -> None:
            for _ in range(200):
                await session.execute("SELECT * FROM shop.users")

        world.server.log.clear()
        world.run(reads())
        assert {entry.shard for entry in world.server.log.everything} == {0, 1, 2, 3}


# --- What is missing, or full --------------------------------------------------------------------------------


def test_a_shard_without_a_connection_has_its_requests_sent_to_the_others() -> None:
    """From the moment on that it is known to be gone."""
    world = Shards(1, scylla=Scylla(shards=4))
    with world.session(5) as session:
        links(world.node, 2)[0].drop("reset")
        world.reactor._run_ready()
        world.read(session, *range(100))
        assert len(world.executed) == 100


def test_a_shard_that_is_full_has_its_requests_sent_to_the_others() -> None:
    world = Shards(2, scylla=Scylla(shards=2), max_in_flight=8)
    with world.session() as session:
        # All of one partition: on one connection there is room for 8.
        world.run(session.execute_concurrent_with_args(SELECT, [[3]] * 32, 32))
        assert len(world.executed) == 32
        assert len({(entry.node, entry.shard) for entry in world.executed}) > 1


@pytest.mark.parametrize(("before", "after"), [(7, 3), (3, 7), (4, 1)])
def test_other_shards_under_load(before: int, after: int) -> None:
    """Idempotent requests do not fail, and soon all of them come to their shards."""
    world = Shards(3, scylla=Scylla(shards=before))
    with world.session(5) as session:
        failed: list[Exception] = []
        stop = False

        async def load() -> None:
            key = 0
            while not stop:
                key += 1
                try:
                    await session.execute(SELECT, [key], idempotent=True)
                except triocql.Error as error:
                    failed.append(error)
                await world.reactor.sleep(0.05)

        tasks = [world.reactor.start(load) for _ in range(8)]
        world.reactor.advance(0.5)
        world.node.reshard(after)
        world.reactor.advance(5)
        assert shards_of(pool_of(session)) in ([1] * before, [1] * after)
        world.server.log.clear()
        world.reactor.advance(1)
        stop = True
        world.reactor.advance(1)
        assert all(task.done for task in tasks)
        assert failed == []
        assert len(world.executed) > 100
        assert on_target(world) == 1.0
        assert sorted(shards_of(pool_of(session, node)) for node in range(3)) == sorted(
            [[1] * after, [1] * before, [1] * before]
        )
        check(session)


@pytest.mark.parametrize("tablets", ["", " AND tablets = {'initial': 8}"], ids=["ring", "tablets"])
def test_a_table_with_a_partitioner_of_its_own_is_not_routed_by_tokens(tablets: str) -> None:
    """As the log of changes (CDC) of a table has: nobody but the nodes can tell whose its partitions are."""
    own = {"partitioner": "com.scylladb.dht.CDCPartitioner"}
    world = Shards(3, scylla=Scylla(shards=4))
    world.server.schema.execute(f"CREATE KEYSPACE logs WITH {ONCE}{tablets}")
    world.server.schema.execute("CREATE TABLE logs.users (id int PRIMARY KEY, name text)")
    world.server.edit("system_schema.scylla_tables", lambda node, rows: [{**row, **own} for row in rows])
    with world.session() as session:
        assert session.metadata.keyspaces["logs"].tables["users"].partitioner == own["partitioner"]
        statement = world.run(session.prepare("SELECT id FROM logs.users WHERE id = ?"))

        async def requests() -> None:
            for key in range(100):
                await session.execute(statement, [key])
                await session.execute(triocql.Batch().add("INSERT INTO logs.users (id) VALUES (?)", [key]))

        world.run(requests())
        for opcode in (Opcode.EXECUTE, Opcode.BATCH):
            entries = [
                entry
                for entry in world.server.log.everything
                if entry.request.opcode == opcode and "logs.users" in entry.text
            ]
            assert len(entries) == 100
            assert {entry.node for entry in entries} == {0, 1, 2}
            assert sum(entry.on_target is True for entry in entries) < 30
        assert session.metadata.replicas("logs", (7).to_bytes(4, "big"), "users") == ()
