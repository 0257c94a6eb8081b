"""Whatever ends when: a pool holds only what lives, and what is missing is being dialled or has a time for that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.peer import Asked, Node
from tests.engine.world import World, check, pools
from triocql import errors
from triocql.engine.connections.connection import State
from triocql.protocol.constants import Opcode
from triocql.session.session import Session
from triocql.testing.simulated import SimTask

MAXIMUM = 4.0
"""Seconds of back-off at most."""

ENDS = st.sampled_from(["fin with it", "fin soon", "fin instead", "reset", "garbage", "silence", "error"])
OPCODES = st.sampled_from([Opcode.OPTIONS, Opcode.STARTUP, Opcode.QUERY, Opcode.EXECUTE, Opcode.PREPARE])


class Play:
    """A session with two nodes that end connections at the next messages of some kinds."""

    def __init__(self, world: World, session: Session) -> None:
        self.world = world
        self.session = session
        self.tasks: list[SimTask[Any]] = []
        self.plans: list[tuple[int, str]] = []
        for index, node in enumerate(world.nodes):
            node.script = partial(self._take, index, node)

    def _take(self, index: int, node: Node, asked: Asked) -> bool:
        for plan in self.plans:
            opcode, how = plan
            if opcode == asked.opcode:
                self.plans.remove(plan)
                self._end(index, asked, how)
                return True
        return False

    def _end(self, index: int, asked: Asked, how: str) -> None:
        transport = asked.link.transport
        assert transport is not None
        if how in ("fin with it", "fin soon", "reset"):
            asked.respond()
        if how == "fin soon":
            self.world.reactor.call_at(self.world.reactor.now() + 0.01, transport.close)
        elif how == "reset":
            self.world.reactor.soon(self.world.listeners[index].accepted[-1].reset)
        elif how == "garbage":
            asked.link.send_raw(b"garbage that is no frame at all")
        elif how == "error":
            asked.error(0x0000)
        elif how != "silence":
            transport.close()

    def start(self, statement: str, values: list[Any] | None) -> None:
        """Have one more task execute something."""
        self.tasks.append(
            self.world.reactor.start(lambda: self.session.execute(statement, values, timeout=2.0))
        )

    def check(self) -> None:
        """Check what holds at any time."""
        check(self.session)
        for pool in pools(self.session):
            assert all(connection.state is State.OPEN for connection in pool.connections), pool
            assert len(pool.connections) <= 2


Step = Callable[[Play], None]


def _plan(opcode: int, how: str, times: int) -> Step:
    return lambda play: play.plans.extend([(opcode, how)] * times)


def _request(kind: str) -> Step:
    statement, values = {
        "select": ("SELECT x", None),
        "insert": ("INSERT INTO t (k) VALUES (?)", [1]),
        "use": ("USE one", None),
        "use another": ("USE two", None),
    }[kind]
    return lambda play: play.start(statement, values)


def _lose(node: int, number: int) -> Step:
    def step(play: Play) -> None:
        accepted = play.world.listeners[node].accepted
        accepted[number % len(accepted)].reset()

    return step


def _drain(number: int) -> Step:
    def step(play: Play) -> None:
        connections = play.session._context.executor.router.connections()
        if connections:
            connections[number % len(connections)].drain()

    return step


def _reach(node: int, way: str, on: bool) -> Step:
    return lambda play: setattr(play.world.listeners[node], way, on)


def _turn(play: Play) -> None:
    play.world.reactor._run_ready()


STEPS = st.one_of(
    st.builds(_plan, OPCODES, ENDS, st.integers(1, 3)),
    st.builds(_request, st.sampled_from(["select", "insert", "use", "use another"])),
    st.builds(_lose, st.integers(0, 1), st.integers(0, 7)),
    st.builds(_drain, st.integers(0, 7)),
    st.builds(_reach, st.integers(0, 1), st.sampled_from(["refuse", "black_hole"]), st.booleans()),
    st.sampled_from([_turn, lambda play: play.world.settle()]),
    st.builds(lambda seconds: lambda play: play.world.reactor.advance(seconds), st.floats(0.0, 3.0)),
)


def _run(steps: list[Step], seed: int, leaving: bool) -> None:
    world = World(
        count=2,
        seed=seed,
        connections_local=2,
        max_in_flight=4,
        max_orphans=1,
        connect_timeout=1.0,
        reconnection_maximum=MAXIMUM,
    )
    with world.session() as session:
        play = Play(world, session)
        for step in steps:
            step(play)
            play.check()
        if not leaving:
            _healed(play)
    for task in play.tasks:
        world.reactor.advance(3)
        assert task.done
        if task._error is not None:
            assert isinstance(task._error, errors.Error), repr(task._error)


def _healed(play: Play) -> None:
    """Once the nodes are well, every connection is there by the longest back-off and the longest dial."""
    play.plans.clear()
    for listener in play.world.listeners:
        listener.refuse = listener.black_hole = False
    # What fell silent is found out by heartbeats, and a move that is not answered by its timeout.
    play.world.reactor.advance(40 + 2 * MAXIMUM)
    play.check()
    assert [len(pool.connections) for pool in pools(play.session)] == [2, 2]
    assert all(task.done for task in play.tasks)
    current = play.session._context.executor.keyspaces.current
    for connection in play.session._context.executor.router.connections():
        assert connection.has_room
        assert connection.keyspace == current
    for _ in range(4):
        assert play.world.call(play.session.execute, "SELECT y").scalar() == "SELECT y"


QUICK = settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(steps=st.lists(STEPS, max_size=16), seed=st.integers(0, 1000), leaving=st.booleans())
def test_whatever_ends_when(steps: list[Step], seed: int, leaving: bool) -> None:
    _run(steps, seed, leaving)


@pytest.mark.long
@settings(QUICK, max_examples=5000, derandomize=False)
@given(steps=st.lists(STEPS, max_size=40), seed=st.integers(0, 1000), leaving=st.booleans())
def test_whatever_ends_when_for_a_long_time(steps: list[Step], seed: int, leaving: bool) -> None:
    _run(steps, seed, leaving)
