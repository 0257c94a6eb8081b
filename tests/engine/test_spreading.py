"""Statements that are prepared before they are asked for: on all nodes, and on one that comes back."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.engine.peer import Asked
from tests.engine.test_nodes import apply, nodes
from tests.engine.test_refiller import Dials, lose
from tests.engine.world import INSERT, SELECT, World, pools
from triocql.engine.connections.internal import InternalRequest
from triocql.protocol.constants import Opcode


def prepared(world: World, index: int) -> list[str]:
    """Return the texts that a node was asked to prepare."""
    return world.nodes[index].texts(Opcode.PREPARE)


def forget(world: World) -> None:
    """Have the nodes' logs begin anew."""
    for node in world.nodes:
        node.asked.clear()


def spreading(count: int = 3, **options: Any) -> World:
    """Return nodes, and options that have statements prepared in advance."""
    return World(count=count, **{"prepare_on_all_hosts": True, "reprepare_on_up": True, **options})


@pytest.mark.parametrize("asked", [True, False])
def test_what_one_node_has_prepared_is_prepared_on_all(asked: bool) -> None:
    world = spreading(prepare_on_all_hosts=asked)
    with world.session() as session:
        world.call(session.prepare, SELECT)
        world.call(session.execute, INSERT, [1])
        world.settle()
        found = [prepared(world, index) for index in range(3)]
        if asked:
            assert [sorted(each) for each in found] == [[INSERT, SELECT]] * 3
        else:
            assert sorted(text for each in found for text in each) == [INSERT, SELECT]
        forget(world)
        world.call(session.prepare, SELECT)
        world.settle()
        assert sum(len(prepared(world, index)) for index in range(3)) == 1  # the others know it


def test_a_node_that_does_not_prepare_in_advance_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "triocql")
    world = spreading(2)
    with world.session() as session:
        world.nodes[0].script = world.nodes[1].script = _refuse_the_second()
        statement = world.call(session.prepare, SELECT)
        world.settle()
        world.nodes[0].script = world.nodes[1].script = None
        for number in range(10):
            assert world.call(session.execute, statement, [number]).scalar() == number
    assert "did not prepare a statement in advance" in caplog.text
    assert SELECT not in caplog.text


def _refuse_the_second() -> Any:
    seen: list[Asked] = []

    def script(asked: Asked) -> bool:
        if asked.opcode != Opcode.PREPARE:
            return False
        seen.append(asked)
        return len(seen) > 1 and asked.error(0x2000, "no")

    return script


@pytest.mark.parametrize("asked", [True, False])
def test_a_node_that_comes_back_prepares_what_was_used_before_it_gets_requests(asked: bool) -> None:
    world = spreading(1, reprepare_on_up=asked)
    with world.session() as session:
        statements = [world.call(session.prepare, f"{SELECT} -- {number}") for number in range(100)]
        world.reactor.advance(5)
        world.node.forget()
        forget(world)
        lose(world)
        world.settle()
        assert len(pools(session)[0].connections) == 1
        assert len(prepared(world, 0)) == (100 if asked else 0)
        for number in (0, 99):
            assert world.call(session.execute, statements[number], [number]).scalar() == number
        assert len(prepared(world, 0)) == (100 if asked else 2)


def test_a_node_that_is_new_prepares_what_was_used() -> None:
    world = spreading(2)
    with world.session() as session:
        first, second = nodes(session)
        apply(world, session, first)
        world.call(session.prepare, SELECT)
        assert prepared(world, 1) == []
        apply(world, session, first, second)
        assert prepared(world, 1) == [SELECT]


def test_a_second_connection_prepares_nothing() -> None:
    world = spreading(1, connections_local=2)
    with world.session() as session:
        world.call(session.prepare, SELECT)
        world.reactor.advance(5)
        forget(world)
        world.listeners[0].accepted[0].reset()
        world.reactor.advance(5)
        assert len(pools(session)[0].connections) == 2
        assert prepared(world, 0) == []


def test_no_more_than_32_are_prepared_at_once_and_no_more_than_128() -> None:
    world = spreading(1)
    with world.session() as session:
        for number in range(200):
            world.call(session.prepare, f"{SELECT} -- {number}")
        world.reactor.advance(5)
        forget(world)
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE and asked.hold()
        lose(world)
        most = 0
        while world.node.held:
            most = max(most, len(world.node.held))
            world.node.held.pop(0).respond()
            world.settle()
        assert most == 32
        texts = prepared(world, 0)
        assert len(texts) == 128
        assert sorted(int(re.findall(r"\d+$", text)[0]) for text in texts) == list(range(72, 200))
        world.node.script = None


def test_a_node_that_prepares_slowly_gets_requests_after_a_second() -> None:
    world = spreading(1)
    with world.session() as session:
        world.call(session.prepare, SELECT)
        world.reactor.advance(5)
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE and asked.hold()
        lose(world)
        task = world.start(session.execute, "SELECT x")
        world.reactor.advance(0.9)
        assert not task.done
        world.reactor.advance(0.2)
        assert task.result().scalar() == "SELECT x"
        world.node.script = None
        world.node.release()


def test_a_connection_that_is_lost_while_it_prepares_is_dialled_again() -> None:
    world = spreading(1)
    with world.session() as session:
        world.call(session.prepare, SELECT)
        world.reactor.advance(5)
        dials = Dials(world)
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE and _hang_up(world)
        lose(world)
        world.reactor.advance(10)
        assert dials.pauses() == pytest.approx([1, 2, 4], abs=0.1)
        assert dials.most == 1
        world.node.script = None
        world.reactor.advance(10)
        assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"


def _hang_up(world: World) -> bool:
    world.listeners[0].accepted[-1].reset()
    return True


def test_a_session_that_is_closed_while_a_node_prepares_leaves_nothing() -> None:
    world = spreading(1)
    with world.session() as session:
        world.call(session.prepare, SELECT)
        world.reactor.advance(5)
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE and asked.hold()
        lose(world)


def test_a_burst_of_new_statements_is_spread_with_bounds() -> None:
    world = spreading(2)
    with world.session() as session:
        world.nodes[1].script = lambda asked: asked.opcode == Opcode.PREPARE and asked.hold()
        tasks = [world.reactor.start(session.prepare, f"{SELECT} -- {number}") for number in range(300)]
        world.settle()
        connection = next(pool for pool in pools(session) if pool.node is nodes(session)[1]).connections[0]
        internal = [each for each in connection.in_flight.values() if isinstance(each, InternalRequest)]
        assert len(internal) == 32
        world.nodes[1].script = None
        for held in iter(lambda: world.nodes[1].held.pop(0) if world.nodes[1].held else None, None):
            held.respond()
            world.settle()
        assert all(task.result() is not None for task in tasks)
        assert sorted(prepared(world, 0)) == sorted(prepared(world, 1))
