"""The keeper of a node: back-off, no two dials at once, nudges by users' requests, heartbeats, stalled frames."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import pytest

from tests.engine.peer import Asked
from tests.engine.world import INSERT, SELECT, World, is_control, only, pools
from triocql import errors
from triocql.config.policies import PolicyOptions
from triocql.policies.reconnection import ExponentialBackoff
from triocql.protocol.constants import Opcode


class Dials:
    """Watches a listener: when it was dialled for a pool, and how many such dials were under way at the same time."""

    def __init__(self, world: World, index: int = 0) -> None:
        self.times: list[float] = []
        self.most = self._now = 0
        self._world = world
        self._address = world.addresses[index]
        self._connect = world.reactor.connect
        world.reactor.connect = self.connect  # type: ignore[method-assign]

    async def connect(self, address: Any, link: Any, **options: Any) -> Any:
        if address != self._address or is_control(link):
            return await self._connect(address, link, **options)
        self.times.append(self._world.reactor.now())
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            return await self._connect(address, link, **options)
        finally:
            self._now -= 1

    def pauses(self) -> list[float]:
        """Return the seconds between one dial and the next."""
        return [round(b - a, 6) for a, b in zip(self.times, self.times[1:], strict=False)]


def lose(world: World, index: int = 0) -> None:
    """Reset every connection of the pool of a node."""
    for transport in world.accepted(index):
        transport.reset()
    world.settle()


def test_back_off_doubles_up_to_its_maximum() -> None:
    world = World(reconnection_base=1.0, reconnection_maximum=60.0)
    with world.session():
        world.reactor.advance(5)
        dials = Dials(world)
        world.listeners[0].refuse = True
        lose(world)
        world.reactor.advance(400)
        assert dials.pauses() == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]
        assert dials.most == 1
        world.listeners[0].refuse = False
        world.reactor.advance(60)
        assert len(dials.times) == 13


def test_back_off_starts_anew_after_a_success() -> None:
    world = World()
    with world.session():
        world.reactor.advance(5)
        dials = Dials(world)
        world.listeners[0].refuse = True
        lose(world)
        world.reactor.advance(40)
        world.listeners[0].refuse = False
        world.reactor.advance(40)
        dials.times.clear()
        world.listeners[0].refuse = True
        lose(world)
        world.reactor.advance(8)
        assert dials.pauses() == [1, 2, 4]


@pytest.mark.parametrize("failures", [1, 2, 3, 7, 50])
def test_jitter(failures: int) -> None:
    random.seed(failures)
    exact = ExponentialBackoff(1.0, 60.0, 0.0).delay(failures)
    delays = [ExponentialBackoff(1.0, 60.0, 0.15).delay(failures) for _ in range(200)]
    longest = min(1.15 * exact, 60.0)
    assert 0.85 * exact <= min(delays) < 0.9 * exact
    assert 0.95 * longest < max(delays) <= longest


def test_a_node_that_ends_each_connection_is_dialled_with_back_off() -> None:
    world = World()
    with world.session():
        dials = Dials(world)
        for _ in range(1000):
            lose(world)
            world.reactor.advance(0.1)
        assert dials.pauses() == [2, 4, 8, 16, 32]
        assert dials.most == 1


class Pauses:
    """A reconnection policy; it is asked with these outcomes one after the other, the last of them for ever."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[int] = []

    def delay(self, failures: int) -> float:
        self.asked.append(failures)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        pause: float = outcome
        return pause


def test_a_reconnection_policy_of_the_users_says_when_a_node_is_dialled() -> None:
    policy = Pauses(3.0, Fraction(1, 2), Decimal(7))
    world = World(policies=PolicyOptions(reconnection=policy))
    with world.session():
        world.reactor.advance(5)
        dials = Dials(world)
        world.listeners[0].refuse = True
        lose(world)
        world.reactor.advance(18)
        assert dials.pauses() == [3, 0.5, 7, 7]
        assert policy.asked == [1, 2, 3, 4, 5]
        world.listeners[0].refuse = False
        world.reactor.advance(10)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (KeyError("mine"), "(?s)the reconnection policy failed.*KeyError: 'mine'"),
        (-1.0, r"the delay is -1\.0"),
        (math.nan, "the delay is nan"),
        (math.inf, "the delay is inf"),
        (None, "TypeError: "),
        (10**400, "OverflowError: "),
        (SystemExit("mine"), "SystemExit: mine"),
    ],
)
def test_a_reconnection_policy_that_fails_ends_nothing(
    outcome: Any, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(policies=PolicyOptions(reconnection=Pauses(outcome)), reconnection_maximum=9.0)
    with world.session() as session:
        world.reactor.advance(5)
        dials = Dials(world)
        world.listeners[0].refuse = True
        lose(world)
        world.reactor.advance(20)
        assert dials.pauses() == [9, 9]
        world.listeners[0].refuse = False
        world.reactor.advance(9)
        assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"
    assert re.search(told, caplog.text)


@pytest.mark.parametrize("after", [0.0, 0.5, 1.9])
def test_back_off_begins_anew_only_with_a_connection_that_has_lasted(after: float) -> None:
    """A node that answers READY and hangs up, at once or soon after."""
    world = World()
    with world.session() as session:
        world.reactor.advance(5)
        dials = Dials(world)
        world.node.script = partial(_hang_up, world, after)
        lose(world)
        world.reactor.advance(100)
        assert dials.pauses() == pytest.approx([1, 2, 4, 8, 16, 32], abs=2)
        assert dials.most == 1
        world.node.script = None
        world.reactor.advance(62)
        assert len(pools(session)[0].connections) == 1
        dials.times.clear()
        lose(world)
        assert len(dials.times) == 1


def _hang_up(world: World, after: float, asked: Asked) -> bool:
    if asked.opcode != Opcode.STARTUP:
        return False
    asked.respond()
    transport = asked.link.transport
    assert transport is not None
    world.reactor.call_at(world.reactor.now() + after, transport.close)
    return True


def test_users_have_a_node_that_hangs_up_dialled_once_a_second() -> None:
    world = World()
    with world.session() as session:
        world.reactor.advance(5)
        dials = Dials(world)
        world.node.script = partial(_hang_up, world, 0.01)
        lose(world)
        for _ in range(100):
            world.start(session.execute, "INSERT INTO t", timeout=0.1)
            world.reactor.advance(0.1)
        assert 8 <= len(dials.times) <= 12
        world.node.script = None
        world.reactor.advance(2)


def test_who_waits_when_the_last_connection_is_lost_waits_for_a_dial_that_begins_after_that() -> None:
    """An older dial that is stuck says nothing of the node as it is now."""
    world = World(connections_local=2)
    with world.session() as session:
        world.reactor.advance(5)
        dials = Dials(world)
        (listener,) = world.listeners
        listener.black_hole = True
        first, second = world.accepted()
        first.reset()
        world.reactor.advance(3)
        listener.black_hole = False
        second.reset()
        world.settle()
        task = world.start(session.execute, "SELECT x", timeout=4.0)
        world.reactor.advance(3)
        assert task.result().scalar() == "SELECT x"
        assert dials.times[:2] == pytest.approx([5.0, 10.0], abs=0.1)
        assert world.call(session.execute, "SELECT y").scalar() == "SELECT y"


@pytest.mark.parametrize("refused", [False, True])
def test_who_is_queued_when_the_last_connection_is_lost_waits_for_the_next_dial(refused: bool) -> None:
    world = World(max_in_flight=1)
    with world.session() as session:
        world.reactor.advance(5)
        world.node.holding = True
        first = world.start(session.execute, "INSERT INTO t", timeout=100.0)
        queued = world.start(session.execute, "SELECT x", timeout=100.0)
        world.node.holding = False
        world.listeners[0].refuse = refused
        lose(world)
        assert isinstance(error_of(first), errors.ConnectionLost)
        if refused:
            assert isinstance(error_of(queued), errors.NoNodeAvailable)
        else:
            assert queued.result().scalar() == "SELECT x"
        world.listeners[0].refuse = False
        world.reactor.advance(5)


@pytest.mark.parametrize("connections", [1, 3])
def test_no_two_dials_at_once(connections: int) -> None:
    world = World(connections_local=connections)
    with world.session() as session:
        world.reactor.advance(5)
        dials = Dials(world)
        world.listeners[0].delay = 2.0
        lose(world)
        tasks = [world.start(session.execute, "SELECT x", timeout=4.0) for _ in range(20)]
        world.reactor.advance(20)
        assert dials.most == 1
        assert len(dials.times) == connections
        assert all(task.result().scalar() == "SELECT x" for task in tasks)
        assert len(pools(session)[0].connections) == connections


def down(world: World) -> None:
    """Take all nodes away for so long that the back-off is at its maximum."""
    for index, listener in enumerate(world.listeners):
        listener.refuse = True
        lose(world, index)
    world.reactor.advance(300)


@pytest.mark.parametrize("count", [1, 3])
def test_requests_fail_at_once_while_every_node_is_down(count: int) -> None:
    world = World(count=count)
    with world.session() as session:
        world.reactor.advance(5)
        down(world)
        for _ in range(5):
            before = world.reactor.now()
            with pytest.raises(errors.NoNodeAvailable) as info:
                world.call(session.execute, "INSERT 1")
            assert world.reactor.now() == before
            assert not info.value.maybe_executed
            assert sorted(str(attempt.node) for attempt in info.value.attempts) == [
                str(a) for a in world.addresses
            ]
            assert "ConnectError" in str(info.value)
            with pytest.raises(errors.NoNodeAvailable):
                world.call(session.prepare, SELECT)


def test_the_first_request_after_the_outage_gets_through() -> None:
    world = World()
    with world.session() as session:
        world.reactor.advance(5)
        down(world)
        world.listeners[0].refuse = False
        before = world.reactor.now()
        assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"
        assert world.reactor.now() == before


def test_requests_wait_for_the_next_dial_where_the_cluster_says_that_the_node_is_up() -> None:
    """It may say so more often than the node is dialled: what failed before tells nothing of it as it is now."""
    world = World()
    with world.session() as session:
        world.reactor.advance(5)
        down(world)
        (node,) = session._context.cluster.nodes.snapshot.nodes
        session._context.cluster.nodes.up(node)
        world.reactor.advance(0.2)
        session._context.cluster.nodes.up(node)
        world.listeners[0].refuse = False
        tasks = [world.start(session.execute, f"SELECT {number}") for number in range(3)]
        tasks.append(world.start(session.execute, "SELECT late", timeout=0.1))
        assert session.stats().queued == 4
        world.reactor.advance(0.85)
        assert [task.result().scalar() for task in tasks[:3]] == [f"SELECT {number}" for number in range(3)]
        assert isinstance(error_of(tasks[3]), errors.RequestTimeout)


def test_requests_wait_for_the_dial_after_one_that_had_begun_before_the_node_was_there() -> None:
    world = World(connections_local=2)
    with world.session() as session:
        world.reactor.advance(5)
        first, second = world.accepted()

        def hang_up(asked: Asked) -> bool:
            assert asked.link.transport is not None
            world.reactor.call_at(world.reactor.now() + 0.3, asked.link.transport.close)
            return True

        world.node.script = hang_up
        first.reset()
        world.reactor.advance(0.1)
        second.reset()  # while the first one is dialled again
        world.settle()
        waits = world.start(session.execute, "SELECT x")
        world.reactor.advance(0.3)
        world.node.script = None
        late = world.start(session.execute, "SELECT y")
        world.reactor.advance(1)
        assert [task.result().scalar() for task in (waits, late)] == ["SELECT x", "SELECT y"]


def test_a_herd_of_clients_does_not_dial_at_once() -> None:
    """All of them lose the node in the same moment; their attempts go apart by the jitter of their delays."""
    random.seed(34)
    world = World(reconnection_jitter=0.15)
    sessions = [world.call(world.connect().__aenter__) for _ in range(40)]
    world.reactor.advance(5)
    dials = Dials(world)
    lost = world.reactor.now()
    down(world)
    world.reactor.advance(300)
    after = [when - lost for when in dials.times]
    assert sum(when < 0.1 for when in after) == 40  # the first ones
    late = [when for when in after if when > 120]
    seconds = Counter(int(when) for when in late)
    assert 40 * 480 / 60 <= len(late) <= 40 * 480 / (60 * 0.85) + 40
    assert max(seconds.values()) <= 10
    back = len(dials.times)
    world.listeners[0].refuse = False
    world.reactor.advance(61)
    times = dials.times[back:]
    assert len(times) == 40
    assert max(Counter(int(when) for when in times).values()) <= 10
    for session in sessions:
        world.call(session.aclose)
    world.assert_closed()


def test_requests_bring_the_next_dial_forward_but_once_a_second_only() -> None:
    world = World()
    with world.session() as session:
        world.reactor.advance(5)
        down(world)
        dials = Dials(world)
        for _ in range(50):
            with pytest.raises(errors.NoNodeAvailable):
                world.call(session.execute, "INSERT 1")
            world.reactor.advance(0.1)
        assert 4 <= len(dials.times) <= 6
        assert min(dials.pauses()) >= 1.0
        world.listeners[0].refuse = False
        world.reactor.advance(1.1)
        assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"


def test_requests_wait_for_the_connection_that_is_being_made() -> None:
    world = World()
    with world.session() as session:
        world.reactor.advance(5)
        world.listeners[0].delay = 1.0
        lose(world)
        tasks = [world.start(session.execute, f"INSERT {number}") for number in range(5)]
        assert session.stats().queued == 5
        world.reactor.advance(1.1)
        assert all(task.done for task in tasks)
        assert sorted(world.node.texts()) == [f"INSERT {number}" for number in range(5)]


def test_requests_that_wait_fail_when_the_dial_fails() -> None:
    world = World()
    with world.session() as session:
        world.reactor.advance(5)
        world.listeners[0].black_hole = True
        lose(world)
        task = world.start(session.execute, "INSERT 1", timeout=60)
        world.reactor.advance(5.1)
        with pytest.raises(errors.NoNodeAvailable, match="ConnectTimeout"):
            task.result()


def test_queued_requests_fail_when_the_dial_fails() -> None:
    world = World(max_in_flight=1)
    with world.session() as session:
        world.reactor.advance(5)
        world.node.holding = True
        tasks = [world.start(session.execute, f"INSERT {number}", timeout=60) for number in range(3)]
        world.listeners[0].black_hole = True
        lose(world)
        world.reactor.advance(5.1)
        kinds = [type(error_of(task)) for task in tasks]
        assert kinds == [errors.ConnectionLost, errors.NoNodeAvailable, errors.NoNodeAvailable]
        assert session.stats().queued == 0


def error_of(task: Any) -> errors.Error:
    with pytest.raises(errors.Error) as info:
        task.result()
    return info.value


@pytest.mark.usefixtures("in_turn")
def test_other_nodes_serve_while_one_is_away() -> None:
    world = World(count=3)
    with world.session() as session:
        world.listeners[1].refuse = True
        lose(world, 1)
        assert coordinators(world, session) == {str(world.addresses[0]), str(world.addresses[2])}
        world.listeners[1].refuse = False
        world.reactor.advance(120)
        assert coordinators(world, session) == {str(address) for address in world.addresses}


def coordinators(world: World, session: Any) -> set[str]:
    """Return which nodes answer when there is much to do."""
    tasks = [world.reactor.start(session.execute, "SELECT x") for _ in range(1000)]
    world.settle()
    return {str(task.result().coordinator) for task in tasks}


def test_credentials_refused_at_a_reconnection_are_tried_again_later() -> None:
    world = World()
    with world.session() as session:
        world.reactor.advance(5)
        dials = Dials(world)
        world.node.script = lambda asked: asked.opcode == Opcode.STARTUP and asked.error(0x0100, "no")
        lose(world)
        world.reactor.advance(20)
        assert dials.pauses() == pytest.approx([1, 2, 4, 8], abs=0.01)
        with pytest.raises(errors.NoNodeAvailable, match="AuthenticationError"):
            world.call(session.execute, "SELECT x")
        world.node.script = None
        world.reactor.advance(60)
        assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"


def test_nothing_is_dialled_after_the_session_has_ended_by_a_bug() -> None:
    world = World()
    with world.session():
        world.reactor.advance(5)
        dials = Dials(world)
        world.listeners[0].refuse = True
        lose(world)
        world.reactor.advance(10)
        world.reactor.report_bug(ZeroDivisionError("bug"))
        dials.times.clear()
        world.listeners[0].refuse = False
        world.reactor.advance(600)
        assert dials.times == []


def test_prepared_statements_go_on_after_a_restart() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.reactor.advance(5)
        world.node.forget()
        lose(world)
        world.call(session.execute, insert, [1])
        assert world.node.tokens() == [1, 1]


def test_connection_that_is_lost_as_soon_as_the_session_is_open() -> None:
    world = World()

    async def main() -> None:
        async with world.connect() as session:
            only(session).abort(ConnectionResetError("gone"))
            assert (await session.execute("SELECT x")).scalar() == "SELECT x"

    world.call(main)
    world.assert_closed()


def test_requests_wait_for_the_other_nodes_when_all_are_lost_at_once() -> None:
    world = World(count=2)

    async def main() -> None:
        async with world.connect() as session:
            world.listeners[0].refuse = True
            world.listeners[1].delay = 2.0
            for connection in session._context.executor.router.connections():
                connection.abort(ConnectionResetError("gone"))
            assert str((await session.execute("SELECT x")).coordinator) == str(world.addresses[1])

    world.call(main)
    world.assert_closed()
