"""Opening a session: contact points beside each other, one connection to each node, and dials that are bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.test_nodes import nodes, running
from tests.engine.world import World, pools
from triocql import errors
from triocql.cluster.permits import Permits
from triocql.metadata.node import NodeState
from triocql.session.session import Session
from triocql.testing.simulated import SimCancelled, SimulatedReactor


def opened(world: World) -> Session:
    """Open a session, as `async with` does."""
    return world.call(world.connect().__aenter__)


def states(world: World, session: Session) -> list[NodeState]:
    """Return the states of the nodes, in the order of their addresses."""
    by_address = {node.address: node.state for node in nodes(session)}
    return [by_address[address] for address in world.addresses if address in by_address]


def dials(world: World) -> Callable[[], int]:
    """Return what tells how many dials were under way at the same time at most."""
    most = now = 0
    connect = world.reactor.connect

    async def counted(*args: Any, **options: Any) -> Any:
        nonlocal most, now
        now += 1
        most = max(most, now)
        try:
            return await connect(*args, **options)
        finally:
            now -= 1

    world.reactor.connect = counted  # type: ignore[method-assign]
    return lambda: most


def test_a_session_is_open_once_there_is_a_connection_to_each_node() -> None:
    world = World(count=3, connections_local=2)
    for listener in world.listeners:
        listener.delay = 0.5
    session = opened(world)
    assert all(pool.connections for pool in pools(session))
    assert states(world, session) == [NodeState.UP] * 3
    # To the first node, to the same for the control connection, to the others.
    assert world.reactor.now() == pytest.approx(1.5, abs=0.01)
    world.reactor.advance(1)
    assert [len(pool.connections) for pool in pools(session)] == [2, 2, 2]
    world.call(session.aclose)
    world.assert_closed()


@pytest.mark.parametrize("dead", [0, 1, 2])
def test_a_node_that_refuses_is_down_and_costs_no_time(dead: int) -> None:
    world = World(count=3)
    world.listeners[dead].refuse = True
    session = opened(world)
    assert world.reactor.now() < 0.1
    assert states(world, session).count(NodeState.UP) == 2
    assert states(world, session)[dead] is NodeState.DOWN
    world.listeners[dead].refuse = False
    world.reactor.advance(5)
    assert states(world, session) == [NodeState.UP] * 3
    world.call(session.aclose)
    world.assert_closed()


@pytest.mark.parametrize("dead", [0, 1, 2])
def test_s07_a_black_hole_costs_the_connect_timeout_and_is_down(dead: int) -> None:
    world = World(count=3)
    world.listeners[dead].black_hole = True
    session = opened(world)
    assert world.reactor.now() == pytest.approx(5.0, abs=0.01)
    assert states(world, session)[dead] is NodeState.DOWN
    assert states(world, session).count(NodeState.UP) == 2
    for _ in range(10):
        before = world.reactor.now()
        world.call(session.execute, "SELECT x")
        assert world.reactor.now() == before
    world.listeners[dead].black_hole = False
    world.reactor.advance(10)
    assert states(world, session) == [NodeState.UP] * 3
    world.call(session.aclose)
    world.assert_closed()


def test_all_contact_points_together_have_the_connect_timeout() -> None:
    world = World(count=20)
    for listener in world.listeners[:-1]:
        listener.black_hole = True
    session = opened(world)
    assert world.reactor.now() == pytest.approx(5.0, abs=0.01)
    assert states(world, session) == [NodeState.DOWN] * 19 + [NodeState.UP]
    world.call(session.aclose)
    world.assert_closed()


def test_black_holes_everywhere_end_connect_at_the_timeout_with_every_attempt() -> None:
    world = World(count=3, connect_timeout=4.0)
    for listener in world.listeners:
        listener.black_hole = True
    with pytest.raises(errors.ConnectTimeout) as info:
        opened(world)
    assert world.reactor.now() == pytest.approx(4.0, abs=0.01)
    assert [str(attempt.node) for attempt in info.value.attempts] == [str(each) for each in world.addresses]
    world.assert_closed()


def test_a_contact_point_that_lets_wait_may_still_be_the_first() -> None:
    world = World(count=2)
    world.listeners[0].delay = 1.5
    world.listeners[1].delay = 1.8
    session = opened(world)
    assert states(world, session) == [NodeState.UP] * 2
    world.call(session.aclose)
    world.assert_closed()
    assert len(world.nodes[0].links) == 1


def test_contact_points_are_not_dialled_beside_one_that_answers_soon() -> None:
    world = World(count=3)
    most = dials(world)
    world.listeners[0].delay = 0.5
    world.listeners[1].refuse = world.listeners[2].refuse = True
    session = opened(world)
    assert most() == 2
    world.call(session.aclose)
    world.assert_closed()


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0, 1.5, 3.0])
def test_connect_can_be_cancelled_at_any_time(seconds: float, level: bool) -> None:
    world = World(count=3, level=level)
    world.listeners[0].delay = 1.0
    world.listeners[1].black_hole = True
    world.listeners[2].delay = 2.5
    task = world.start(world.connect().__aenter__)
    world.reactor.advance(seconds)
    assert not task.done
    task.cancel()
    world.settle()
    with pytest.raises(SimCancelled):
        task.result()
    world.assert_closed()


def test_300_nodes_are_dialled_32_at_a_time() -> None:
    world = World(count=300, connections_local=2)
    most = dials(world)
    for listener in world.listeners[1:]:
        listener.delay = 0.1
    began = time.process_time()
    session = opened(world)
    assert time.process_time() - began < 10
    assert most() == 32
    assert states(world, session) == [NodeState.UP] * 300
    assert world.reactor.now() == pytest.approx(1.0, abs=0.1)
    world.reactor.advance(2)
    assert session.stats().connections == 600
    for listener in world.listeners:
        listener.accepted[0].reset()
    world.reactor.advance(6)
    assert most() == 32
    assert session.stats().connections == 600
    world.call(session.aclose)
    world.assert_closed()


def test_nodes_that_go_while_they_wait_for_their_turn_to_be_dialled_take_none() -> None:
    world = World(count=100)
    for listener in world.listeners[1:]:
        listener.black_hole = True
    task = world.start(world.connect().__aenter__)
    world.reactor.advance(1)
    assert not task.done
    world.reactor.advance(5)
    session = task.result()
    cluster = session._context.cluster
    cluster.nodes.apply(type(cluster.nodes.snapshot)(cluster.nodes.snapshot.nodes[:2]))
    world.settle()
    assert running(world, "PoolRefiller.run") == 2
    world.listeners[1].black_hole = False
    world.reactor.advance(10)
    assert states(world, session) == [NodeState.UP] * 2
    world.call(session.aclose)
    world.assert_closed()


@pytest.mark.parametrize("level", [False, True])
def test_permits_go_to_who_asked_first_and_none_is_lost_by_a_cancellation(level: bool) -> None:
    reactor = SimulatedReactor(level=level)
    permits = Permits(reactor, 2)
    order: list[int] = []

    async def use(number: int) -> None:
        await permits.acquire()
        order.append(number)

    tasks = []
    for number in range(6):
        tasks.append(reactor.start(lambda number=number: use(number)))
        reactor.settle()
    assert order == [0, 1]
    tasks[2].cancel()
    reactor.settle()
    permits.release()
    tasks[3].cancel()  # in the same moment in which it is given one
    reactor.settle()
    permits.release()
    reactor.settle()
    assert order in ([0, 1, 4, 5], [0, 1, 3, 4])
