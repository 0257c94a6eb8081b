"""The watch over a connection: signs of life, frames that do not end, and its own end."""

from __future__ import annotations

import math

import pytest

from tests.engine import wire
from tests.engine.peer import Asked
from tests.engine.test_nodes import running
from tests.engine.test_refiller import error_of
from tests.engine.world import World, only
from triocql import errors
from triocql.protocol.constants import Opcode


def test_heartbeat_when_nothing_was_read_for_a_while() -> None:
    world = World()
    with world.session() as session:
        greetings = world.node.counts[Opcode.OPTIONS]
        world.reactor.advance(29)
        assert world.node.counts[Opcode.OPTIONS] == greetings
        world.reactor.advance(300)
        assert 7 <= world.node.counts[Opcode.OPTIONS] - greetings <= 10
        assert len(world.node.links) == 1
        for _ in range(100):
            world.call(session.execute, "SELECT x")
            world.reactor.advance(5)
        assert world.node.counts[Opcode.OPTIONS] - greetings <= 10


@pytest.mark.parametrize("writing", [False, True])
def test_a_connection_that_died_silently_is_replaced(writing: bool) -> None:
    world = World()
    with world.session() as session:
        world.reactor.advance(5)
        world.listeners[0].accepted[0].black_hole()
        began = world.reactor.now()
        failures = []
        while len(world.node.links) == 1:
            if writing:
                failures.append(world.start(session.execute, "INSERT 1"))
            world.reactor.advance(0.5)
            assert world.reactor.now() - began < 41
        assert world.reactor.now() - began >= 30
        world.reactor.advance(15)
        world.node.links[0].lost = True  # it will never learn
        assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"
        assert all(
            isinstance(error_of(task), errors.RequestTimeout | errors.ConnectionLost)
            for task in failures[:-1]
        )


def test_a_node_that_answers_late_is_alive() -> None:
    world = World()
    with world.session():

        def late(asked: Asked) -> bool:
            if asked.opcode == Opcode.OPTIONS:
                world.reactor.call_at(world.reactor.now() + 4.9, asked.respond)
            return asked.opcode == Opcode.OPTIONS

        world.node.script = late
        world.reactor.advance(200)
        assert len(world.node.links) == 1


def test_a_node_that_answers_others_but_not_the_heartbeat_is_alive() -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True
        task = world.start(session.execute, "SELECT x", timeout=1000)
        world.node.script = lambda asked: asked.opcode == Opcode.OPTIONS
        world.reactor.advance(31)
        world.node.release()
        world.reactor.advance(10)
        assert task.result() is not None
        assert not world.node.links[0].lost


@pytest.mark.parametrize("length", [3, 9, 60])
def test_a_frame_that_begins_and_does_not_end(length: int) -> None:
    world = World(4)
    with world.session() as session:
        world.node.holding = True
        task = world.start(session.execute, "INSERT 1", timeout=1000)
        (asked,) = world.node.held
        frame = wire.frame(4, asked.stream, wire.RESULT, wire.void() + bytes(100))
        link = world.node.links[-1]
        link.send_raw(frame[:length])
        world.settle()
        for position in range(length, length + 4):  # trickling does not put off the end
            world.reactor.advance(7)
            link.send_raw(frame[position : position + 1])
        world.reactor.advance(9)
        error = error_of(task)
        assert isinstance(error, errors.ConnectionLost)
        assert "sent the beginning of a frame, and not the rest of it in time" in str(error)


def test_a_long_frame_has_more_time() -> None:
    world = World(4)
    with world.session() as session:
        world.node.holding = True
        task = world.start(session.execute, "SELECT x", timeout=1000)
        (asked,) = world.node.held
        cell = b"x" * (20 << 20)
        body = wire.rows([("text", "text")], [[cell]])
        frame = wire.frame(4, asked.stream, wire.RESULT, body)
        link = world.node.links[-1]
        for number in range(10):
            step = len(frame) // 10 + 1
            link.send_raw(frame[number * step : (number + 1) * step])
            world.reactor.advance(4.5)
        assert len(task.result().scalar()) == len(cell)
        assert only(session).frame_begun is None


def test_the_watch_ends_with_its_connection() -> None:
    world = World(connections_local=2)
    with world.session():
        world.listeners[0].refuse = True
        first, second = world.accepted()
        for left, transport in ((1, first), (0, second)):
            transport.reset()
            world.settle()
            assert running(world, "Heartbeat.run") == left


def test_a_full_connection_that_falls_silent_is_given_up() -> None:
    """No stream id is left to ask for a sign of life, and the requests wait for ever."""
    world = World(max_in_flight=3)
    with world.session() as session:
        world.reactor.advance(1)
        world.node.holding = True
        tasks = [world.start(session.execute, "INSERT 1", timeout=math.inf) for _ in range(5)]
        began = world.reactor.now()
        world.node.holding = False
        world.reactor.advance(30)
        assert not any(task.done for task in tasks)
        world.reactor.advance(50)
        for task in tasks[:3]:
            assert isinstance(error_of(task), errors.ConnectionLost)
            assert "no free stream id and answered nothing" in str(error_of(task))
        assert all(task.result() is not None for task in tasks[3:])
        assert world.reactor.now() - began < 100


def test_a_full_connection_that_answers_is_kept() -> None:
    world = World(max_in_flight=3)
    with world.session() as session:
        world.node.holding = True
        tasks = [world.start(session.execute, "INSERT 1", timeout=math.inf) for _ in range(20)]
        for _ in range(20):
            world.reactor.advance(20)
            world.node.held.pop(0).respond()
        world.settle()
        assert all(task.result() is not None for task in tasks)
        assert len(world.node.links) == 1


def test_events_are_no_sign_of_life() -> None:
    world = World()
    with world.session() as session:
        world.node.script = lambda asked: True
        body = wire.string("STATUS_CHANGE") + wire.string("UP") + bytes.fromhex("040a00000100002352")
        for _ in range(12):
            world.node.links[0].send(-1, wire.EVENT, body)
            world.reactor.advance(5)
        assert world.node.links[0].lost
        world.node.script = None
        world.reactor.advance(20)
        assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"
