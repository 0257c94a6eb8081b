"""Which part of a keyspace with tablets can be served: by the tablets that are known, estimated where none are."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from tests.scylla.world import SCHEMA, SELECT, World, token
from triocql import Session
from triocql.errors import OptionError
from triocql.testing.server import Scylla

ONCE = SCHEMA.replace("'replication_factor': 2", "'replication_factor': 1")
THRICE = SCHEMA.replace("'replication_factor': 2", "'replication_factor': 3")
TWO_TABLES = ONCE + ";CREATE TABLE shop.orders (id int PRIMARY KEY)"


def read_all(world: World, session: Session) -> None:
    """Have all tablets of shop.users be known."""
    statement = world.run(session.prepare(SELECT))
    for number in range(400):
        world.run(session.execute(statement, [number]))
    assert len(session.metadata.tablets.of("shop", "users")) == len(world.tablets.all)


def take_away(world: World, index: int) -> None:
    world.server.nodes[index].stop()
    world.reactor.advance(2.0)


def shares(session: Session, *levels: str) -> list[float]:
    health = session.health()
    return [round(health.can_serve("shop", level), 3) for level in levels]


def test_tablets_that_are_known_are_counted_as_they_are() -> None:
    world = World(schema=ONCE)
    with world.session() as session:
        read_all(world, session)
        assert session.health().known("shop") == 1.0
        assert shares(session, "ONE", "ALL") == [1.0, 1.0]
        # All but two of eight are on the first node.
        for number in range(200):
            world.tablets.move(token(number), [(0, 0)])
        world.tablets.move(world.tablets.all[1].last, [(1, 0)])
        world.tablets.move(world.tablets.all[5].last, [(2, 0)])
        read_all(world, session)
        for number in range(400, 1_000):
            world.run(session.execute(SELECT, [number]))
        take_away(world, 2)
        assert shares(session, "ONE", "QUORUM") == [0.875, 0.875]
        take_away(world, 1)
        assert shares(session, "ONE", "QUORUM", "ANY") == [0.75, 0.75, 1.0]


def test_what_moves_is_counted_where_it_is_now() -> None:
    """Though the same nodes are there as before."""
    world = World(schema=ONCE)
    with world.session() as session:
        for tablet in world.tablets.all:
            world.tablets.move(tablet.last, [(0, 0)])
        read_all(world, session)
        take_away(world, 2)
        assert shares(session, "ONE") == [1.0]
        node = world.server.nodes[2]
        world.tablets.move(token(7), [(2, 0)])
        world.run(session.execute(SELECT, [7]))
        assert shares(session, "ONE") == [0.875]
        node.start()
        world.reactor.advance(60.0)
        assert shares(session, "ONE") == [1.0]


@pytest.mark.parametrize(
    ("schema", "away", "expected"),
    [
        (THRICE, 0, [1.0, 1.0, 1.0]),
        (THRICE, 1, [1.0, 1.0, 0.0]),
        (THRICE, 2, [1.0, 0.0, 0.0]),
        (THRICE, 3, [0.0, 0.0, 0.0]),
        (SCHEMA, 1, [1.0, 0.333, 0.333]),
        (ONCE, 1, [0.667, 0.667, 0.667]),
    ],
)
def test_what_is_not_known_is_estimated(schema: str, away: int, expected: list[float]) -> None:
    """By the number of replicas: of three nodes that all have everything, one may go at QUORUM. It is told that nothing
    is known."""
    world = World(schema=schema)
    with world.session() as session:
        for index in range(away):
            take_away(world, index)
        assert session.health().known("shop") == 0.0
        assert shares(session, "ONE", "QUORUM", "ALL") == expected


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "not loaded"])
def test_each_table_counts_as_much_as_any_other(loaded: bool) -> None:
    """Of those that nobody has read, nothing is known; where the schema is not read, not even that they are there."""
    world = World(schema=TWO_TABLES)
    with world.session(schema=loaded) as session:
        for tablet in world.tablets.all:
            world.tablets.move(tablet.last, [(0, 0)])
        read_all(world, session)
        take_away(world, 2)
        health = session.health()
        assert health.known("shop") == (0.5 if loaded else 1.0)
        expected = (1.0 + 2 / 3) / 2 if loaded else 1.0
        assert health.can_serve("shop", "ONE") == pytest.approx(expected)


def two_centres(*factors: int, **options: Any) -> World:
    first, second = factors
    schema = SCHEMA.replace("'replication_factor': 2", f"'dc1': {first}, 'dc2': {second}")
    topology = {"dc1": {"r1": 3}, "dc2": {"r1": 2}}
    return World(schema=schema, topology=topology, scylla=Scylla(shards=1), **options)


@pytest.mark.parametrize("known", [True, False])
def test_data_centres_have_their_own_part(known: bool) -> None:
    world = two_centres(2, 1, local_data_centre="dc1", remote_data_centres=["dc2"])
    with world.session() as session:
        if known:
            read_all(world, session)
        take_away(world, 1)
        lost = [any(node == 1 for node, _ in tablet.replicas) for tablet in world.tablets.all]
        whole = round(lost.count(False) / len(lost), 3) if known else 0.333
        assert shares(session, "LOCAL_ONE", "LOCAL_QUORUM", "EACH_QUORUM") == [1.0, whole, whole]
        assert session.health().can_serve("shop", "LOCAL_QUORUM", data_centre="dc2") == 1.0
        assert session.health().can_serve("shop", "QUORUM") == 1.0


@pytest.mark.parametrize("known", [True, False])
def test_a_data_centre_without_replicas_serves_nothing_of_its_own(known: bool) -> None:
    """And requests go elsewhere, whatever hints they bring."""
    world = two_centres(2, 0, local_data_centre="dc2", remote_data_centres=["dc1"])
    with world.session() as session:
        if known:
            for number in range(100):
                world.run(session.execute(SELECT, [number]))
            assert session.health().known("shop") > 0.9
        assert shares(session, "LOCAL_ONE", "LOCAL_QUORUM", "QUORUM") == [0.0, 0.0, 1.0]


def test_what_is_asked_of_a_former_moment_is_no_answer_about_a_later_one() -> None:
    """It goes by the replication of its moment, though the same nodes are there."""
    world = World(schema=THRICE)
    with world.session() as session:
        take_away(world, 2)
        former = session.health()
        world.run(
            session.execute(
                "ALTER KEYSPACE shop WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 2}"
            )
        )
        world.reactor.advance(2.0)
        assert session.metadata.keyspaces["shop"].replication.factor("dc1").all == 2
        assert former.can_serve("shop", "ALL") == 0.0
        assert shares(session, "ALL") == [0.333]
        assert former.can_serve("shop", "ALL") == 0.0


def test_a_keyspace_that_is_not_there_says_so() -> None:
    world = World()
    with world.session() as session:
        with pytest.raises(OptionError, match=r"no keyspace 'shops'.*known are: .*shop"):
            session.health().known("shops")


def test_a_copy_has_what_was_known_and_nothing_of_the_session() -> None:
    world = World(schema=ONCE)
    with world.session() as session:
        read_all(world, session)
        health, metadata = session.health(), session.metadata
        assert dataclasses.asdict(health)["connections"] == health.connections
        for again in (copy.deepcopy(health), pickle.loads(pickle.dumps(health))):
            assert (again.known("shop"), again.can_serve("shop", "ONE")) == (1.0, 1.0)
            assert len(again.nodes) == len(health.nodes)
        pickled = pickle.dumps(metadata)
        assert b"Cluster" not in pickled
        found = pickle.loads(pickled).tablets.of("shop", "users")
        assert [each.last for each in found] == [each.last for each in metadata.tablets.of("shop", "users")]
