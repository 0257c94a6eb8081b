"""Nodes that come and go: what runs for each starts and stops with it, and requests lose nothing by that."""

from __future__ import annotations

import pytest

from tests.engine.test_refiller import Dials, error_of
from tests.engine.world import World, pools
from triocql import errors
from triocql.metadata.node import Node, NodeState
from triocql.metadata.snapshot import Snapshot
from triocql.session.session import Session


def nodes(session: Session) -> tuple[Node, ...]:
    """Return the nodes that are known."""
    return session._context.cluster.nodes.snapshot.nodes


def apply(world: World, session: Session, *known: Node) -> None:
    """Have these be all the nodes that are known, from now on."""
    session._context.cluster.nodes.apply(Snapshot(known))
    world.settle()


def running(world: World, name: str) -> int:
    """Return how many tasks of this name there are, but for that of the control connection."""
    count = [task.name for task in world.reactor.tasks].count(name)
    if name == "Heartbeat.run":
        count -= len([link for node in world.nodes for link in node.listeners if not link.lost])
    return count


def texts(world: World, index: int) -> list[str]:
    """Return what a node was asked."""
    return world.nodes[index].texts()


def test_the_first_snapshot_is_made_of_the_contact_points() -> None:
    world = World(count=3)
    with world.session() as session:
        assert [node.address for node in nodes(session)] == world.addresses
        assert [pool.node for pool in pools(session)] == list(nodes(session))
        assert running(world, "PoolRefiller.run") == 3


def test_the_same_snapshot_again_changes_nothing() -> None:
    world = World(count=2)
    with world.session() as session:
        before = session._context.executor.router.connections()
        apply(world, session, *nodes(session))
        apply(world, session, *reversed(nodes(session)))
        assert session._context.executor.router.connections() == before
        assert running(world, "PoolRefiller.run") == 2


def test_what_ran_for_a_node_ends_with_it() -> None:
    world = World(count=2, connections_local=2)
    with world.session() as session:
        first, second = nodes(session)
        apply(world, session, second)
        assert [pool.node for pool in pools(session)] == [second]
        assert (running(world, "PoolRefiller.run"), running(world, "Heartbeat.run")) == (1, 2)
        assert all(link.lost for link in world.nodes[0].links)
        dials = Dials(world, 0)
        for number in range(100):
            world.call(session.execute, f"SELECT {number}")
        world.reactor.advance(200)
        assert dials.times == []
        assert len(texts(world, 1)) == 100
        assert str(first) not in repr(session)


def test_a_node_that_is_added_is_dialled_and_used() -> None:
    world = World(count=2)
    with world.session() as session:
        first, second = nodes(session)
        apply(world, session, first)
        added = Node(world.addresses[1])
        apply(world, session, first, added)
        assert added.state is NodeState.UP
        apply(world, session, added)
        assert world.call(session.execute, "SELECT x").coordinator is added
        assert second not in [pool.node for pool in pools(session)]


def test_what_is_in_flight_on_a_node_that_goes_still_ends() -> None:
    world = World(count=2)
    with world.session() as session:
        first, second = nodes(session)
        apply(world, session, first)
        world.nodes[0].holding = True
        tasks = [world.start(session.execute, f"INSERT {number}") for number in range(3)]
        unsent = world.reactor.start(session.execute, "INSERT 3")
        apply(world, session, second)
        assert not any(task.done for task in tasks)
        assert len(session._context.executor.router.connections()) == 2
        assert world.call(session.execute, "SELECT x").coordinator is second
        world.nodes[0].release()
        world.settle()
        assert {task.result().coordinator for task in tasks} == {first}
        unsent.result()
        assert len(session._context.executor.router.connections()) == 1
        assert all(link.lost for link in world.nodes[0].links)


def test_what_is_lost_in_flight_on_a_node_that_goes_is_tried_on_another() -> None:
    world = World(count=2)
    with world.session() as session:
        first, second = nodes(session)
        apply(world, session, first)
        world.nodes[0].holding = True
        task = world.start(session.execute, "SELECT x")
        apply(world, session, second)
        world.listeners[0].accepted[0].reset()
        world.settle()
        assert task.result().coordinator is second


def test_what_is_queued_goes_to_the_other_nodes() -> None:
    world = World(count=2, max_in_flight=1)
    with world.session() as session:
        first, second = nodes(session)
        apply(world, session, first)
        world.nodes[0].holding = True
        flying = world.start(session.execute, "INSERT 1")
        queued = world.start(session.execute, "INSERT 2")
        apply(world, session, second)
        assert queued.result().coordinator is second
        world.nodes[0].release()
        world.settle()
        assert flying.result().coordinator is first


def test_what_waits_for_the_dial_of_a_node_that_goes_waits_for_that_of_another() -> None:
    world = World(count=2)
    with world.session() as session:
        first, second = nodes(session)
        apply(world, session, first)
        world.listeners[0].black_hole = True
        world.listeners[1].delay = 1.0
        world.listeners[0].accepted[0].reset()
        world.settle()
        task = world.start(session.execute, "SELECT x", timeout=4.0)
        apply(world, session, second)
        assert not task.done
        world.reactor.advance(1.1)
        assert task.result().coordinator is second
        world.reactor.advance(10)
        assert len(world.clients) == 1
        assert running(world, "PoolRefiller.run") == 1


@pytest.mark.parametrize("queued", [False, True])
def test_what_waits_for_the_last_node_fails_when_that_goes(queued: bool) -> None:
    world = World(max_in_flight=1)
    with world.session() as session:
        if queued:
            world.node.holding = True
            world.start(session.execute, "INSERT 1")
        else:
            world.listeners[0].black_hole = True
            world.listeners[0].accepted[0].reset()
            world.settle()
        task = world.start(session.execute, "SELECT x", timeout=60.0)
        before = world.reactor.now()
        apply(world, session)
        assert isinstance(error_of(task), errors.NoNodeAvailable)
        assert world.reactor.now() == before
        with pytest.raises(errors.NoNodeAvailable, match="no node of the cluster is known"):
            world.call(session.execute, "SELECT y")
        world.node.release()


def test_a_dial_under_way_is_given_up_with_its_node() -> None:
    world = World(count=2)
    with world.session() as session:
        first, second = nodes(session)
        apply(world, session, first)
        world.listeners[1].delay = 2.0
        late = Node(world.addresses[1])
        apply(world, session, first, late)
        apply(world, session, first)
        world.reactor.advance(30)
        assert late.state is NodeState.UNKNOWN
        assert len(session._context.executor.router.connections()) == 1
        assert len(world.clients) == 1
        assert second is not late


def test_whether_a_node_can_be_reached_is_known_of_it() -> None:
    world = World(count=2)
    with world.session() as session:
        first, second = nodes(session)
        assert (first.state, second.state) == (NodeState.UP, NodeState.UP)
        world.listeners[0].refuse = True
        world.listeners[0].accepted[0].reset()
        world.settle()
        assert (first.state, second.state) == (NodeState.DOWN, NodeState.UP)
        world.listeners[0].refuse = False
        world.reactor.advance(5)
        assert first.state is NodeState.UP


def test_a_node_that_goes_and_comes_back_under_load_costs_no_request() -> None:
    world = World(count=3, connections_local=2, max_in_flight=4)
    with world.session() as session:
        first, second, third = nodes(session)
        tasks = []
        for number in range(300):
            tasks.append(world.reactor.start(session.execute, f"INSERT {number}"))
            if number % 60 == 20:
                session._context.cluster.nodes.apply(Snapshot((first, third)))
            elif number % 60 == 40:
                session._context.cluster.nodes.apply(Snapshot((first, second, third)))
        world.reactor.advance(5)
        assert all(task.result() is not None for task in tasks)
        asked = [text for node in world.nodes for text in node.texts()]
        assert sorted(asked) == sorted(f"INSERT {number}" for number in range(300))
