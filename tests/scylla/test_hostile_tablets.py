"""Nodes that tell nonsense of tablets, or tell it late: no request fails, and the next hint is right."""

from __future__ import annotations

from uuid import UUID

import pytest

import triocql
from tests.memory import traced
from tests.metadata.hints import hint
from tests.scylla.world import SCHEMA, SELECT, World, token
from triocql import Session
from triocql.metadata.tablethints import V1
from triocql.testing.server import Opcode, Scylla, delay, rows

LOW, HIGH = -(2**63), 2**63 - 1
RING = SCHEMA.replace("AND tablets = {'enabled': true, 'initial': 8}", "")
READ = {"id": "int"}


def tells(world: World, *hints: bytes, text: str = SELECT) -> None:
    """Have the next requests be answered with these hints, one after the other."""
    for value in hints:
        world.server.when(text, times=1).then(rows(READ, [(7,)], payload={V1: value}))


def read(world: World, session: Session, number: int = 7) -> list[int]:
    return [row.id for row in world.run(session.execute(SELECT, [number]))]


def all_found_again(world: World, session: Session) -> bool:
    """Whether requests find their shards, once they were told of all tablets."""
    for number in range(300):
        world.run(session.execute(SELECT, [number]))
    world.server.log.clear()
    for number in range(100):
        world.run(session.execute(SELECT, [number]))
    return all(entry.on_target for entry in world.executed)


def test_ranges_that_cannot_be_are_put_right_by_the_next_hints() -> None:
    """The whole ring in one, ranges across others, a shard that the node does not have."""
    world = World(scylla=Scylla(shards=2))
    ids = [node.host_id for node in world.server.nodes]
    with world.session() as session:
        tells(
            world, hint(LOW, HIGH, [(ids[0], 1)]), hint(token(7) - 9, HIGH, [(ids[1], 60_000), (ids[0], 0)])
        )
        assert read(world, session) == [7]
        assert read(world, session) == [7]
        assert len(session.metadata.tablets) == 1
        assert all_found_again(world, session)


def test_any_number_of_ranges_is_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triocql.metadata.tabletstore.MOST", 4_000)
    world = World()
    host_id = world.server.nodes[0].host_id
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        context = session._context.cluster.router.tablets
        with traced() as memory:
            for number in range(20_000):
                context.take("shop", "users", hint(number, number + 1, [(host_id, 0)]), versioned=False)
                if number == 5_000:
                    before = memory.now
            assert memory.now < before + 300_000
        assert len(session.metadata.tablets) <= 1_000
        world.run(session.execute(statement, [7]))


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "not loaded"])
def test_a_hint_that_comes_after_its_table_was_made_anew_is_put_right(loaded: bool) -> None:
    """It was under way while that happened."""
    world = World(schema_agreement_timeout=1.0)
    with world.session(schema=loaded) as session:
        statement = world.run(session.prepare(SELECT))
        assert all_found_again(world, session)  # each node knows the statement
        stale = hint(LOW, HIGH, [(world.server.nodes[0].host_id, 0)])
        world.server.when(SELECT, times=1).then(delay(1.0), rows(READ, [(7,)], payload={V1: stale}))

        async def both() -> None:
            async with triocql.open_request_nursery(session) as nursery:
                await nursery.start(statement, [7])
                await session.execute("DROP TABLE shop.users")
                await session.execute("CREATE TABLE shop.users (id int PRIMARY KEY, name text)")

        world.run(both())
        assert len(session.metadata.tablets) == 1
        assert all_found_again(world, session)


def test_a_keyspace_that_is_made_anew_without_tablets_goes_by_the_ring() -> None:
    """And back: whatever hint comes late."""
    world = World(schema_agreement_timeout=1.0, schema=f"{SCHEMA};{SCHEMA.replace('shop', 'other')}")
    late = hint(LOW, HIGH, [(world.server.nodes[0].host_id, 0)])
    with world.session() as session:
        read(world, session)
        for schema in (RING, SCHEMA):
            world.run(session.execute("DROP KEYSPACE shop"))
            for text in schema.split(";"):
                world.run(session.execute(text.strip()))
            world.reactor.advance(2.0)
            tells(world, late)
            read(world, session)
            assert all_found_again(world, session)
            assert session.metadata.has_tablets("shop", "users") is (schema is SCHEMA)


def test_hints_about_what_nobody_knows_harm_nobody() -> None:
    """A table of a keyspace that is not there, as nodes tell its columns, or a node that is not there."""
    world = World()
    with world.session() as session:
        tablets = session._context.cluster.router.tablets
        for number in range(100):
            tablets.take(f"k{number}", "t", hint(LOW, HIGH, [(UUID(int=number + 1), 0)]), versioned=False)
            world.reactor.advance(0.1)
        assert len(session.metadata.tablets) == 0
        world.reactor.advance(5.0)
        assert world.asked("system.peers") < 60
        assert all_found_again(world, session)


def test_a_hint_that_comes_while_the_session_is_left_is_nothing() -> None:
    world = World()
    value = hint(LOW, HIGH, [(world.server.nodes[0].host_id, 0), (UUID(int=9), 0)])
    world.server.when(SELECT).then(delay(0.01), rows(READ, [(7,)], payload={V1: value}))
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))

        async def left() -> None:
            async with triocql.open_request_nursery(session) as nursery:
                for number in range(20):
                    await nursery.start(statement, [number])
                await session.aclose()  # which waits for what is under way

        world.run(left())
        assert len(session.metadata.tablets) == 1


def test_ids_of_metadata_that_change_with_every_answer_cost_no_memory() -> None:
    """The columns are the same each time, or others in turn."""
    world = World()
    with world.session() as session:
        statement = world.run(session.prepare("SELECT id, name FROM shop.users WHERE id = ?"))

        def again(times: int) -> None:
            for number in range(times):
                world.server.alter("shop.users", f"ADD c{number % 2} int", announce=False)
                world.run(session.execute(statement, [number]))
                world.server.alter("shop.users", f"DROP c{number % 2}", announce=False)
                world.run(session.execute(statement, [number]))
            world.server.log.clear()

        again(20)
        with traced() as memory:
            again(20)
            before = memory.now
            again(60)
            assert memory.now < before + 400_000
        assert world.server.log.malformed == []


def test_a_node_that_is_replaced_under_the_same_host_id_keeps_its_tablets() -> None:
    """It has another address: it is the same node."""
    world = World()
    with world.session() as session:
        assert all_found_again(world, session)
        known = session.metadata.tablets.of("shop", "users")
        moved = world.server.nodes[2]
        moved.move("127.0.0.9")
        world.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", moved, by=world.server.nodes[:2])
        world.reactor.advance(30.0)
        assert session.metadata.tablets.of("shop", "users") == known
        assert all_found_again(world, session)
        assert {entry.request.opcode for entry in world.executed} == {Opcode.EXECUTE}
        assert {entry.node for entry in world.executed} == {0, 1, 2}
