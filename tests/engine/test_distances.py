"""Pools by the distance and the address of their nodes: grown, drained, closed, moved; and an UP that dials at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.test_nodes import apply, nodes, running
from tests.engine.test_refiller import Dials, error_of, lose
from tests.engine.world import World, pools
from triocql import errors
from triocql.abc import Address
from triocql.config.policies import PolicyOptions
from triocql.engine.connections.connection import Connection, State
from triocql.metadata.node import Distance, Node, NodeState
from triocql.metadata.snapshot import Snapshot
from triocql.policies.balancing import DefaultBalancing, FilteredBalancing, RoutedRequest
from triocql.session.session import Session


class Distances:
    """A balancing policy that is told how far nodes are; all others are near."""

    def __init__(self) -> None:
        self.told: dict[Node, Distance] = {}

    def distance(self, node: Node, snapshot: Snapshot) -> Distance:
        return self.told.get(node, Distance.LOCAL)

    def plan(self, request: RoutedRequest, snapshot: Snapshot) -> tuple[Node, ...]:
        return snapshot.nodes


def world_of(distances: Distances, **options: Any) -> World:
    """Return nodes, and options by which sessions ask `distances`."""
    return World(policies=PolicyOptions(balancing=distances), **options)


def connections(session: Session) -> list[list[Connection]]:
    """Return the connections of each pool."""
    return [list(pool.connections) for pool in pools(session)]


def sizes(session: Session) -> list[int]:
    """Return how many connections each pool has."""
    return [len(each) for each in connections(session)]


def test_a_node_has_as_many_connections_as_its_distance_asks_for() -> None:
    distances = Distances()
    world = world_of(distances, count=3, connections_local=2, connections_remote=1)
    with world.session() as session:
        near, far, ignored = nodes(session)
        assert sizes(session) == [2, 2, 2]
        distances.told = {far: Distance.REMOTE, ignored: Distance.IGNORED}
        apply(world, session, near, far, ignored)
        assert sizes(session) == [2, 1]
        assert len(session._context.executor.router.connections()) == 3
        assert session.stats().connections == 3
        assert [pool.node for pool in pools(session)] == [near, far]
        assert (running(world, "PoolRefiller.run"), running(world, "Heartbeat.run")) == (2, 3)
        distances.told = {near: Distance.REMOTE}
        apply(world, session, near, far, ignored)
        assert sizes(session) == [1, 2, 2]


def test_no_connection_is_made_to_remote_nodes_if_none_is_asked_for() -> None:
    distances = Distances()
    world = world_of(distances, count=2, connections_remote=0)
    with world.session() as session:
        near, far = nodes(session)
        distances.told = {far: Distance.REMOTE}
        apply(world, session, near, far)
        dials = Dials(world, 1)
        lose(world, 1)
        world.reactor.advance(100)
        assert sizes(session) == [1]
        assert dials.times == []


def test_what_is_in_flight_on_connections_that_are_too_many_still_ends() -> None:
    distances = Distances()
    world = world_of(distances, connections_local=3, connections_remote=1, max_in_flight=2)
    with world.session() as session:
        (node,) = nodes(session)
        world.node.holding = True
        tasks = [world.reactor.start(session.execute, f"INSERT {number}") for number in range(6)]
        world.settle()
        distances.told = {node: Distance.REMOTE}
        apply(world, session, node)
        assert sizes(session) == [1]
        assert len(session._context.executor.router.connections()) == 3
        assert not any(task.done for task in tasks)
        world.node.release()
        world.settle()
        assert all(task.result() is not None for task in tasks)
        assert len(session._context.executor.router.connections()) == 1
        assert len([link for link in world.node.links if not link.lost]) == 1


def test_a_connection_that_should_have_drained_is_ended() -> None:
    world = World(count=2)
    with world.session() as session:
        first, second = nodes(session)
        apply(world, session, first)
        world.node.holding = True
        task = world.start(session.execute, "INSERT 1", timeout=3600.0)
        apply(world, session, second)
        world.reactor.advance(29)
        assert not task.done
        world.reactor.advance(7)
        assert isinstance(error_of(task), errors.ConnectionLost)
        assert "did not end what was in flight in time" in str(error_of(task))
        assert len(session._context.executor.router.connections()) == 1


def test_a_dial_under_way_when_its_pool_shrinks_leaves_no_connection_too_many() -> None:
    distances = Distances()
    world = world_of(distances, connections_local=2, connections_remote=1)
    with world.session() as session:
        (node,) = nodes(session)
        world.listeners[0].delay = 1.0
        world.listeners[0].accepted[0].reset()
        world.settle()
        distances.told = {node: Distance.REMOTE}
        apply(world, session, node)
        world.reactor.advance(5)
        assert sizes(session) == [1]
        assert len(world.clients) == 1


def test_a_node_that_has_moved_is_dialled_at_its_new_address_and_remains_itself() -> None:
    world = World(count=2)
    with world.session() as session:
        first, second = nodes(session)
        apply(world, session, first)
        world.nodes[0].holding = True
        task = world.start(session.execute, "INSERT 1")
        (former,) = pools(session)
        first.address, first.host_id = world.addresses[1], world.nodes[1].host_id
        first.name = str(first.address)
        apply(world, session, first)
        (pool,) = pools(session)
        assert (pool.node, pool.address, pool.missing) == (first, world.addresses[1], False)
        assert pool is not former
        assert running(world, "PoolRefiller.run") == 1
        assert world.call(session.execute, "SELECT x").coordinator is first
        world.nodes[0].release()
        world.settle()
        task.result()
        assert all(link.lost for link in world.nodes[0].links)
        assert second.state is NodeState.UP


def test_a_node_that_has_moved_while_it_is_dialled_is_not_reached_at_its_old_address() -> None:
    world = World(count=2)
    with world.session() as session:
        first, _ = nodes(session)
        apply(world, session, first)
        dials = Dials(world, 1)
        world.listeners[0].black_hole = True
        lose(world, 0)
        first.address, first.host_id = world.addresses[1], world.nodes[1].host_id
        apply(world, session, first)
        assert len(dials.times) == 1
        world.listeners[0].black_hole = False
        world.reactor.advance(30)
        assert all(link.lost for link in world.nodes[0].links)
        assert [connection.state for (connection,) in connections(session)] == [State.OPEN]


def test_a_node_that_moves_again_and_again_has_one_pool() -> None:
    world = World(count=2)
    with world.session() as session:
        first, _ = nodes(session)
        for number in range(20):
            first.address = world.addresses[number % 2]
            session._context.cluster.nodes.apply(session._context.cluster.nodes.snapshot)
        first.address = Address("10.0.0.1", 9042)
        apply(world, session, first)
        world.reactor.advance(5)
        assert sizes(session) == [1]
        assert running(world, "PoolRefiller.run") == 1
        assert len(world.clients) == 1


def up(world: World, session: Session, index: int = 0) -> None:
    """Tell that a node is up."""
    session._context.cluster.nodes.up(nodes(session)[index])
    world.settle()


def away(world: World) -> None:
    """Take the node away for so long that the back-off is at its maximum."""
    world.listeners[0].refuse = True
    lose(world)
    world.reactor.advance(300)


def test_a_node_that_is_up_is_dialled_at_once_and_the_back_off_begins_anew() -> None:
    world = World()
    with world.session() as session:
        away(world)
        dials = Dials(world)
        up(world, session)
        assert len(dials.times) == 1
        world.reactor.advance(8)
        assert dials.pauses() == [1, 2, 4]
        world.listeners[0].refuse = False
        up(world, session)
        assert sizes(session) == [1]
        up(world, session)
        assert sizes(session) == [1]
        assert dials.most == 1


def test_a_flood_of_ups_has_a_node_dialled_once_a_second() -> None:
    world = World()
    with world.session() as session:
        away(world)
        dials = Dials(world)
        for _ in range(100):
            up(world, session)
            world.reactor.advance(0.05)
        assert 4 <= len(dials.times) <= 6
        assert dials.most == 1
        world.listeners[0].refuse = False
        world.reactor.advance(3)


def test_an_up_while_a_dial_is_stuck_has_another_one_follow_soon() -> None:
    world = World()
    with world.session() as session:
        world.listeners[0].black_hole = True
        lose(world)
        world.reactor.advance(200)
        dials = Dials(world)
        world.reactor.advance(62)
        world.listeners[0].black_hole = False
        up(world, session)
        world.reactor.advance(6)
        assert sizes(session) == [1]
        assert dials.most == 1


@pytest.mark.parametrize("filtered", [False, True])
def test_a_misspelt_rack_is_told_of_in_the_log(filtered: bool, caplog: pytest.LogCaptureFixture) -> None:
    def told() -> list[str]:
        lines = [record.getMessage() for record in caplog.records if "rack" in record.getMessage()]
        caplog.clear()
        return lines

    policy = DefaultBalancing(local_rack="rakc1")
    policies = PolicyOptions(balancing=FilteredBalancing(policy, deny=["10.9.9.9"]) if filtered else policy)
    world = World(policies=policies)
    with world.session() as session:
        (node,) = nodes(session)
        told()
        for _ in range(2):
            node.rack = "rack1"
            apply(world, session, node)
        assert told() == ["no node is preferred: no local node is in the rack 'rakc1' (known are 'rack1')"]


@pytest.mark.parametrize("known", [True, False])
def test_an_up_of_a_node_that_is_not_wanted_does_nothing(known: bool) -> None:
    distances = Distances()
    world = world_of(distances, count=2)
    with world.session() as session:
        first, second = nodes(session)
        distances.told = {second: Distance.IGNORED}
        apply(world, session, *((first, second) if known else (first,)))
        session._context.cluster.nodes.up(second)
        world.settle()
        assert sizes(session) == [1]
        assert len(world.clients) == 1
