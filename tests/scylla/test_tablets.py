"""Tablets, from the hints of nodes to where requests go: against the test server's Scylla mode, on virtual time."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import triocql
from tests.metadata.hints import field, hint
from tests.scylla.world import SCHEMA, SELECT, World, token
from triocql import Session
from triocql.metadata.tablethints import V1
from triocql.policies.balancing import DefaultBalancing
from triocql.policies.speculation import ConstantSpeculation
from triocql.testing.server import ErrorCode, Opcode, Scylla, as_usual, delay, error, rows

SPECULATES = triocql.PolicyOptions(speculation=ConstantSpeculation(0.01))
LEADERS = SCHEMA.replace("'initial': 8}", "'initial': 8} AND consistency = 'global'")


def warm(world: World, session: Session, statement: Any) -> None:
    """Have all tablets be known."""
    for number in range(400):
        world.run(session.execute(statement, [number]))
        if len(session.metadata.tablets) == len(world.tablets.all):
            break
    assert len(session.metadata.tablets) == len(world.tablets.all)
    world.server.log.clear()


def hits(world: World) -> list[bool | None]:
    """Return whether each request came to a node and shard that has its partition."""
    return [entry.on_target for entry in world.executed]


def first_of(world: World, number: int) -> int:
    """Return the server that is the first replica of a partition."""
    found = world.tablets.find(token(number))
    assert found is not None
    return found.replicas[0][0]


# --- Hints ------------------------------------------------------------------------------------------------------------


def test_requests_go_to_the_nodes_and_shards_of_their_tablets() -> None:
    world = World(scylla=Scylla(shards=4))
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        warm(world, session, statement)
        before = world.tablets.hints
        for number in range(200):
            world.run(session.execute(statement, [number]))
            world.run(session.execute(SELECT, [number]))
        assert hits(world) == [True] * 400
        assert {entry.node for entry in world.executed} == {0, 1, 2}, "and to all replicas of these"
        assert world.tablets.hints == before


def answers(world: World, value: bytes, times: int = 1) -> None:
    """Have the next requests be answered with a hint."""
    world.server.when(SELECT, times=times).then(rows({"id": "int"}, [(7,)], payload={V1: value}))


def odd_hints(world: World) -> Iterable[bytes]:
    """Give hints that are cut off anywhere, and such as cannot be."""
    host_id = world.server.nodes[0].host_id
    whole = hint(-100, 100, [(host_id, 0), (UUID(int=1), 3)])
    yield from (whole[:size] for size in range(len(whole)))
    yield hint(100, -100, [(host_id, 0)])
    yield hint(100, 100, [(host_id, 0)])
    yield hint(-100, 100, [(host_id, -1)])
    yield hint(-100, 100, [])


def test_an_answer_arrives_whatever_its_hint_is() -> None:
    """Every truncation, a negative shard, first ≥ last; one with a fifth field is taken."""
    world = World()
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        odd = list(odd_hints(world))
        for value in odd:
            answers(world, value)
            result = world.run(session.execute(statement, [7]))
            assert [row.id for row in result] == [7]
        tablets = session.metadata.tablets
        assert (tablets.refused, tablets.learnt, len(tablets)) == (len(odd), 0, 0)
        host_id = world.server.nodes[0].host_id
        more = hint(-100, 100, [(host_id, 0)], more=field(b"4th") + field(b"5th"))
        answers(world, more)
        assert [row.id for row in world.run(session.execute(statement, [7]))] == [7]
        assert [(each.first, each.last) for each in tablets.of("shop", "users")] == [(-100, 100)]


def test_a_tablet_that_moves_costs_one_hint() -> None:
    """And the next request goes where it is now."""
    world = World(scylla=Scylla(shards=4))
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        warm(world, session, statement)
        for target in ([(0, 3), (1, 2)], [(2, 1), (1, 0)], [(0, 0), (2, 2)]):
            world.tablets.move(token(7), target)
            before = world.tablets.hints
            world.server.log.clear()
            for _ in range(20):
                world.run(session.execute(statement, [7]))
            assert world.tablets.hints - before <= 1
            assert hits(world)[1:] == [True] * 19


def test_nodes_that_disagree_cost_a_hint_a_request_at_most() -> None:
    """While a tablet moves, some nodes have heard of it and others have not."""
    world = World()
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        warm(world, session, statement)
        world.tablets.move(token(7), [(2, 0), (0, 0)], seen_by=[0])
        before = world.tablets.hints
        for _ in range(30):
            world.run(session.execute(statement, [7]))
        assert world.tablets.hints - before <= 30
        world.tablets.agree()
        before = world.tablets.hints
        for _ in range(10):
            world.run(session.execute(statement, [7]))
        assert world.tablets.hints - before <= 1


def test_tablets_that_split_and_merge_are_learnt_again() -> None:
    world = World()
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        warm(world, session, statement)
        for change in (world.tablets.split, world.tablets.merge, world.tablets.merge):
            change()
            for number in range(200):
                world.run(session.execute(statement, [number]))
            known = [(each.first, each.last) for each in session.metadata.tablets.of("shop", "users")]
            assert known == sorted(known)
            assert all(one[1] <= other[0] for one, other in pairwise(known))
            world.server.log.clear()
            for number in range(100):
                world.run(session.execute(statement, [number]))
            assert sum(map(bool, hits(world))) >= 99


def test_a_node_that_only_a_hint_tells_of_is_looked_for_once() -> None:
    """The cluster is read once more, and the tablet is forgotten as the node is still not known."""
    world = World()
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        stranger = hint(-(2**63), 2**63 - 1, [(world.server.nodes[0].host_id, 0), (UUID(int=99), 0)])
        answers(world, stranger, times=5)
        read = world.asked("system.peers")
        world.run(session.execute(statement, [7]))
        assert len(session.metadata.tablets) == 1, "the other replica serves meanwhile"
        world.reactor.advance(3.0)
        assert len(session.metadata.tablets) == 0
        assert world.asked("system.peers") == read + 1
        for _ in range(4):
            world.run(session.execute(statement, [7]))
            world.reactor.advance(3.0)
        assert (len(session.metadata.tablets), world.asked("system.peers")) == (0, read + 1)


# --- What makes them wrong --------------------------------------------------------------------------------------------

CHANGES = {
    "the table is dropped": "DROP TABLE shop.users",
    "the table is altered": "ALTER TABLE shop.users ADD more int",
    "the replication changes": (
        "ALTER KEYSPACE shop WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"
    ),
    "the keyspace is dropped": "DROP KEYSPACE shop",
}


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "not loaded"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_tablets_are_forgotten_with_what_they_are_of(change: str, loaded: bool) -> None:
    """A statement of the session's own."""
    world = World(schema_agreement_timeout=1.0)
    with world.session(schema=loaded) as session:
        warm(world, session, world.run(session.prepare(SELECT)))
        world.run(session.execute(change))
        world.reactor.advance(5.0)
        assert len(session.metadata.tablets) == 0


def test_tablets_of_a_node_that_is_gone_are_forgotten_and_those_of_one_that_is_down_are_not() -> None:
    world = World()
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        warm(world, session, statement)
        known = session.metadata.tablets.of("shop", "users")
        world.server.nodes[2].stop()
        world.reactor.advance(2.0)
        assert session.metadata.tablets.of("shop", "users") == known
        world.run(session.execute(statement, [7]))
        gone = world.known(session, 2)
        world.server.nodes[2].replace()
        world.reactor.advance(70.0)
        assert gone not in session.metadata.nodes
        left = session.metadata.tablets.of("shop", "users")
        assert left == tuple(each for each in known if gone not in each.replicas)


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "not loaded"])
def test_what_happened_while_there_was_no_control_connection_is_found_out(loaded: bool) -> None:
    """The event is lost, as the node that would have told it goes down."""
    world = World()
    with world.session(schema=loaded) as session:
        warm(world, session, world.run(session.prepare(SELECT)))
        world.server.alter("shop.users", "ADD more int", announce=False)
        assert len(session.metadata.tablets) > 0
        control = session._context.cluster._control.connection
        assert control is not None
        control.abort(triocql.Error("lost"))
        world.reactor.advance(5.0)
        assert len(session.metadata.tablets) == 0


# --- Versions and leaders ---------------------------------------------------------------------------------------------


def second(world_options: dict[str, Any] | None = None, schema: str = SCHEMA, **options: Any) -> World:
    chosen = Scylla(shards=2, tablets=(1, 2), **(world_options or {}))
    return World(scylla=chosen, schema=schema, tablets_v2=True, **options)


def test_all_of_a_version_is_told_in_sixteen_requests() -> None:
    """And nothing comes back as long as it is the newest."""
    world = second()
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        warm(world, session, statement)
        before = world.tablets.hints
        for _ in range(32):
            world.run(session.execute(statement, [7]))
        blocks = [entry.request.tablet_block for entry in world.executed]
        assert {block >> 4 for block in blocks if block is not None} == set(range(16))
        version = world.tablets.version(token(7))
        assert all(block is not None and block & 15 == version >> 4 * (block >> 4) & 15 for block in blocks)
        assert (world.tablets.hints, world.server.log.malformed) == (before, [])


def test_a_version_that_has_changed_is_noticed_within_sixteen_requests() -> None:
    """A replica more or less is told, though the one that was asked has the tablet, before and after."""
    world = second()
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        warm(world, session, statement)
        noticed = []
        for shard in (0, 1) * 10:
            world.tablets.move(token(7), [(0, shard), (1, 1 - shard), (2, shard)])
            for number in range(1, 17):
                before = world.tablets.hints
                world.run(session.execute(statement, [7]))
                if world.tablets.hints > before:
                    noticed.append(number)
                    break
        assert len(noticed) == 20


def test_only_execute_on_links_of_the_second_version_has_the_byte() -> None:
    """Nodes of both versions in a session, and requests that are tried again, or copied to another one."""
    kinds = [Scylla(shards=1, tablets=(1, 2)), Scylla(shards=1, tablets=(1,)), Scylla(shards=1, tablets=())]
    world = World(scylla=kinds, tablets_v2=True, policies=SPECULATES)
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        world.server.when(SELECT, node=0, times=15).then(error(ErrorCode.OVERLOADED))
        world.server.when(SELECT, node=1, times=5).then(delay(0.05), as_usual())
        for number in range(60):
            world.run(session.execute(statement, [number]))
            world.run(session.execute(SELECT, [number]))
            world.run(session.execute(f"SELECT id FROM shop.users WHERE id = {number}"))
        assert len(world.executed) > 120 + 15
        assert world.server.log.malformed == []
        blocks = {(entry.node, entry.request.tablet_block is not None) for entry in world.executed}
        assert blocks == {(0, True), (1, False), (2, False)}


def test_without_the_option_nodes_are_asked_for_the_first_version() -> None:
    world = World(scylla=Scylla(shards=1, tablets=(1, 2)))
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        warm(world, session, statement)
        world.run(session.execute(statement, [7]))
        assert all(entry.request.tablet_block is None for entry in world.executed)
        assert all(each.version is None for each in session.metadata.tablets.of("shop", "users"))


@pytest.mark.parametrize("consistency", ["QUORUM", "ONE", "LOCAL_ONE", "LOCAL_QUORUM"])
@pytest.mark.parametrize("by", ["statement", "profile"])
def test_leaders_come_first_where_they_are_needed(consistency: str, by: str) -> None:
    """By the effective consistency, wherever that is said."""
    level = triocql.Consistency[consistency]
    world = second(schema=LEADERS, consistency=level if by == "profile" else triocql.Consistency.ALL)
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        if by == "statement":
            statement = statement.with_options(consistency=level)
        warm(world, session, statement)
        for number in range(100):
            world.run(session.execute(statement, [number]))
        leaders = [entry.node == first_of(world, int(entry.values[0])) for entry in world.executed]
        if consistency in ("ONE", "LOCAL_ONE"):
            assert 20 < sum(leaders) < 80
        else:
            assert all(leaders)


def leaders_in_two_data_centres(**options: Any) -> World:
    """Return a world with a replica of each tablet in both of its data centres."""
    return World(
        topology={"dc1": {"r1": 2}, "dc2": {"r1": 2}},
        schema=LEADERS.replace("'replication_factor': 2", "'dc1': 1, 'dc2': 1"),
        scylla=Scylla(shards=1, tablets=(1, 2)),
        tablets_v2=True,
        consistency=triocql.Consistency.QUORUM,
        **options,
    )


def test_a_leader_that_the_policy_does_not_use_is_not_asked() -> None:
    """It is in a data centre that is ignored."""
    policies = triocql.PolicyOptions(balancing=DefaultBalancing(local_data_centre="dc1"))
    world = leaders_in_two_data_centres(policies=policies)
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        for number in range(100):
            world.run(session.execute(statement, [number]))
        assert len(session.metadata.tablets) > 0
        assert {entry.node for entry in world.executed} <= {0, 1}


def test_a_leader_in_a_data_centre_for_emergencies_is_not_asked_every_day() -> None:
    """The policy uses it only where no local node can be: those pass requests on to the leader."""
    world = leaders_in_two_data_centres(local_data_centre="dc1", remote_data_centres=["dc2"])
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        for _ in range(2):
            for tablet in world.tablets.all:
                world.tablets.move(tablet.last, tablet.replicas[::-1])
            for number in range(60):
                world.run(session.execute(statement, [number]))
        assert len(session.metadata.tablets) > 0
        assert {entry.node for entry in world.executed} <= {0, 1}
        for index in (0, 1):
            world.server.nodes[index].stop()
        world.reactor.advance(2.0)
        world.server.log.clear()
        world.run(session.execute(statement, [7]))
        assert {entry.node for entry in world.executed} <= {2, 3}


# --- Lightweight transactions -----------------------------------------------------------------------------------------


def asked(world: World, text: str) -> dict[int, set[int]]:
    """Return the nodes that each partition was asked of."""
    found: dict[int, set[int]] = {}
    for entry in world.server.log.everything:
        if entry.text == text and entry.request.opcode == Opcode.EXECUTE:
            found.setdefault(int(entry.values[-1]), set()).add(entry.node)
    return found


UPDATE = "UPDATE shop.users SET name = 'a' WHERE id = ? IF name = 'b'"


@pytest.mark.parametrize("mask", [2**31, 2**4])
def test_transactions_go_to_the_first_replica_in_order(mask: int) -> None:
    """Also with another bit as the mark; reads at SERIAL likewise; plain reads are spread."""
    world = World(scylla=Scylla(shards=2, lwt_mask=mask))
    with world.session() as session:
        plain, update = world.run(session.prepare(SELECT)), world.run(session.prepare(UPDATE))
        warm(world, session, plain)
        serial = plain.with_options(consistency=triocql.Consistency.SERIAL)
        first = {number: {first_of(world, number)} for number in range(25)}
        for statement, text in ((update, UPDATE), (serial, SELECT)):
            world.server.log.clear()
            for _ in range(20):
                for number in range(25):
                    world.run(session.execute(statement, [number]))
            assert asked(world, text) == first
        world.server.log.clear()
        for _ in range(20):
            for number in range(25):
                world.run(session.execute(plain, [number]))
        assert all(len(nodes) == 2 for nodes in asked(world, SELECT).values())


# --- Any history ------------------------------------------------------------------------------------------------------


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_happens_to_tablets_requests_find_them_again(seed: int) -> None:
    """Moves, splits, merges, and nodes that go and come: no request fails, and all is right once it is calm."""
    chosen = random.Random(seed)
    world = World(4, scylla=Scylla(shards=2))
    with world.session() as session:
        statement = world.run(session.prepare(SELECT))
        for _ in range(12):
            number = chosen.randrange(1000)
            match chosen.randrange(4):
                case 0:
                    nodes = chosen.sample(range(4), 2)
                    world.tablets.move(token(number), [(node, chosen.randrange(2)) for node in nodes])
                case 1 if len(world.tablets.all) < 64:
                    world.tablets.split(token(number))
                case 2 if token(number) < world.tablets.all[-2].last:
                    world.tablets.merge(token(number))
            for each in chosen.sample(range(1000), 5):
                world.run(session.execute(statement, [each]))
        # What is known of a tablet may be wrong until the replica is asked that is none any more.
        for _ in range(40):
            world.server.log.clear()
            for number in range(150):
                world.run(session.execute(statement, [number]))
            if all(hits(world)):
                break
        else:
            raise AssertionError("some tablets are not found again")
