"""The health of a session follows what happens to its nodes, from what is known: nothing is sent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.world import World, other
from triocql import errors
from triocql.metadata.node import NodeState
from triocql.observability.health import Health

THRICE = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}"
BY_CENTRE = "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 2, 'dc2': 1}"


def away(health: Health) -> list[Any]:
    return [each for each in health.nodes if not each.connections]


def test_of_a_cluster_that_is_well() -> None:
    world = World()
    with world.session() as session:
        health = session.health()
        assert (health.is_open, health.up, health.connected, len(health.nodes)) == (True, 3, 3, 3)
        assert health.control is not None
        assert health.control.name == world.control_node(session).contact_point
        assert (health.in_flight, health.queued, health.connections) == (0, 0, 3)
        assert [each.latest_error for each in health.nodes] == [None] * 3
        for level in ("ONE", "quorum", "ALL", "LOCAL_QUORUM", "EACH_QUORUM", "LOCAL_SERIAL", "ANY"):
            assert health.can_serve("ks", level) == 1.0
        world.reactor.advance(7.0)
        assert session.health().control_age == pytest.approx(health.control_age + 7.0)
        world.server.log.clear()
        assert session.health().can_serve("ks", "ALL") == 1.0
        world.reactor.advance(0.1)
        assert len(world.server.log.everything) == 0
    closed = session.health()
    assert (closed.is_open, closed.connected, closed.control) == (False, 0, None)
    assert closed.can_serve("ks", "ONE") == 0.0


def test_a_node_that_is_away_takes_its_part_of_each_consistency() -> None:
    world = World(schema=THRICE)
    with world.session() as session:
        node = other(world, session)
        world.down(session, node)
        health = session.health()
        (lost,) = away(health)
        assert (health.up, health.connected, lost.state) == (2, 2, NodeState.DOWN)
        assert lost.latest_error is not None
        assert lost.error_age is not None
        assert 0 <= lost.error_age <= 2.0
        assert list(health.summary()["errors"]) == [lost.node.name]
        assert health.can_serve("ks", "QUORUM") == health.can_serve("ks", "ONE") == 1.0
        assert health.can_serve("ks", "ALL") == 0.0
        node.start()
        world.reactor.advance(60.0)
        after = session.health()
        assert after.can_serve("ks", "ALL") == 1.0
        assert after.summary()["errors"] == {}
        (known,) = [each for each in after.nodes if each.node is lost.node]
        assert known.latest_error is not None  # it tells what there was, and how long ago
        assert known.error_age is not None
        assert known.error_age > 30.0
        # What was there at that moment does not change.
        assert health.can_serve("ks", "ALL") == 0.0


def test_a_part_of_the_ranges_may_be_served() -> None:
    world = World(
        schema="CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    with world.session() as session:
        world.down(session, other(world, session))
        health = session.health()
        assert 0.0 < health.can_serve("ks", "ONE") < 1.0
        assert health.can_serve("ks", "ONE") == health.can_serve("ks", "ALL")
        assert health.can_serve("ks", "ANY") == 1.0


def test_without_any_node() -> None:
    world = World()
    with world.session() as session:
        for node in world.server.nodes:
            node.stop()
        world.reactor.advance(2.0)
        health = session.health()
        assert (health.connected, health.control) == (0, None)
        assert health.control_age <= 2.0
        for level in ("ANY", "ONE", "LOCAL_QUORUM"):
            assert health.can_serve("ks", level) == 0.0


def two_centres(**options: Any) -> World:
    topology = {"dc1": {"r1": 2}, "dc2": {"r1": 2}}
    return World(topology=topology, schema=BY_CENTRE, **options)


def test_local_levels_are_about_the_preferred_data_centre() -> None:
    world = two_centres(local_data_centre="dc1", remote_data_centres=["dc2"])
    with world.session() as session:
        mine = [node for node in world.server.nodes if node.data_center == "dc1"]
        world.down(session, mine[1])
        health = session.health()
        assert health.can_serve("ks", "LOCAL_ONE") == 1.0
        assert health.can_serve("ks", "LOCAL_QUORUM") == 0.0
        assert health.can_serve("ks", "LOCAL_QUORUM", data_centre="dc2") == 1.0
        assert health.can_serve("ks", "EACH_QUORUM") == 0.0
        assert 0.0 < health.can_serve("ks", "QUORUM") <= 1.0


def test_nodes_that_are_not_to_be_connected_to_count_as_there() -> None:
    world = two_centres(local_data_centre="dc1")
    with world.session() as session:
        health = session.health()
        assert health.connected == 2
        assert health.can_serve("ks", "EACH_QUORUM") == health.can_serve("ks", "ALL") == 1.0


def test_what_is_asked_wrongly_says_so() -> None:
    world = World()
    with world.session() as session:
        health = session.health()
        with pytest.raises(errors.OptionError, match=r"no keyspace 'kss'.*known are: ks"):
            health.can_serve("kss", "ONE")
        with pytest.raises(errors.OptionError, match="consistency is 'MOST'"):
            health.can_serve("ks", "MOST")


def test_a_data_centre_that_is_not_known_says_so() -> None:
    world = two_centres(local_data_centre="dc1")
    with world.session() as session:
        health = session.health()
        for level in ("LOCAL_QUORUM", "ALL"):
            with pytest.raises(errors.OptionError, match=r"no data centre 'cd2'.*known are: dc1, dc2$"):
                health.can_serve("ks", level, data_centre="cd2")


def test_the_agreement_is_that_of_the_last_look() -> None:
    world = World()
    with world.session() as session:
        assert session.health().schema_agreed is None
        assert world.run(session.schema_agreement())
        assert session.health().schema_agreed is True


def test_what_was_found_out_is_kept_until_other_nodes_are_there() -> None:
    world = World()
    with world.session() as session:
        reader = session._context.cluster._health
        session.health().can_serve("ks", "QUORUM")
        kept = reader._latest.answers
        assert session.health().can_serve("ks", "QUORUM") == 1.0
        assert reader._latest.answers is kept
        world.down(session, other(world, session))
        session.health()
        assert reader._latest.answers == {}
