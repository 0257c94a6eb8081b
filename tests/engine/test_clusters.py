"""Three nodes at a time: what befalls the connections of one touches no other, and all are closed together."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.engine.test_nodes import apply, nodes
from tests.engine.test_refiller import error_of
from tests.engine.world import World, pools
from triocql import errors


@pytest.mark.usefixtures("in_turn")
def test_each_connection_has_its_own_cap_of_what_is_in_flight() -> None:
    world = World(count=3, connections_local=2, max_in_flight=4)
    with world.session() as session:
        world.reactor.advance(1)
        for node in world.nodes:
            node.holding = True
        tasks = [world.reactor.start(session.execute, f"INSERT {number}") for number in range(30)]
        world.settle()
        flying = [len(each.in_flight) for pool in pools(session) for each in pool.connections]
        assert flying == [4] * 6
        assert session.stats() == (6, 24, 6, 0)
        for node in world.nodes:
            node.release()
        world.settle()
        assert all(task.result() is not None for task in tasks)


@pytest.mark.usefixtures("in_turn")
def test_orphans_of_one_node_have_its_connection_replaced_and_no_other() -> None:
    world = World(count=3, connections_local=1, max_orphans=3)
    with world.session() as session:
        before = [pool.connections[0] for pool in pools(session)]
        world.nodes[0].holding = True
        tasks = [
            world.reactor.start(partial(session.execute, timeout=1.0), f"INSERT {number}")
            for number in range(300)
        ]
        world.reactor.advance(2)
        kinds = [type(error_of(task)) for task in tasks if not _succeeded(task)]
        assert set(kinds) == {errors.RequestTimeout}
        assert 3 < len(kinds) <= 150
        world.nodes[0].holding = False
        world.settle()
        after = [pool.connections[0] for pool in pools(session)]
        assert after[0] is not before[0]
        assert after[1:] == before[1:]
        assert session.stats() == (3, 0, 0, 0)
        for number in range(100):
            assert world.call(session.execute, f"SELECT {number}").scalar() == f"SELECT {number}"


def _succeeded(task: Any) -> bool:
    try:
        task.result()
    except errors.Error:
        return False
    return True


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_session_is_closed_in_time_while_nodes_are_dialled_and_others_drain(seconds: float) -> None:
    world = World(count=4)
    session = world.call(world.connect().__aenter__)
    first, second, third, fourth = nodes(session)
    world.nodes[0].holding = world.nodes[1].holding = True
    apply(world, session, first)
    draining = world.start(session.execute, "INSERT 1", timeout=100.0)
    world.listeners[2].black_hole = True
    world.listeners[3].delay = 3.0
    apply(world, session, second, third, fourth)
    flying = world.start(session.execute, "INSERT 2", timeout=100.0)
    began = world.reactor.now()
    closing = [world.start(session.aclose, seconds) for _ in range(3)]
    world.reactor.advance(seconds + 0.01)
    assert [task.result() for task in closing] == [None] * 3
    assert world.reactor.now() - began <= seconds + 0.02
    assert isinstance(error_of(draining), errors.Error)
    assert isinstance(error_of(flying), errors.Error)
    world.call(session.aclose)
    world.assert_closed()


def test_what_drains_of_a_node_that_has_gone_still_ends_while_the_session_is_closed() -> None:
    world = World(count=2)
    session = world.call(world.connect().__aenter__)
    first, second = nodes(session)
    apply(world, session, first)
    world.nodes[0].holding = True
    draining = world.start(session.execute, "INSERT 1", timeout=100.0)
    apply(world, session, second)
    closing = world.start(session.aclose, 5.0)
    assert not closing.done
    world.nodes[0].release()
    world.settle()
    assert draining.result() is not None
    assert closing.done
    world.assert_closed()
