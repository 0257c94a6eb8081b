"""The keeper of a node: back-off, no two dials at once, nudges by users' requests, heartbeats, stalled frames."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.engine.world import INSERT, SELECT, World, only, pools
from triocql import errors
from triocql.policies.reconnection import ExponentialBackoff
from triocql.protocol.constants import Opcode


class Dials:
    """Watches a listener: when it was dialled, and how many dials were under way at the same time."""

    def __init__(self, world: World, index: int = 0) -> None:
        self.times: list[float] = []
        self.most = self._now = 0
        self._world = world
        self._address = world.addresses[index]
        self._connect = world.reactor.connect
        world.reactor.connect = self.connect  # type: ignore[method-assign]

    async def connect(self, address: Any, link: Any, **options: Any) -> Any:
        if address != self._address:
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
    """Reset every connection to a node."""
    for transport in world.listeners[index].accepted:
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
    assert 0.85 * exact <= min(delays) < 0.9 * exact
    assert 1.1 * exact < max(delays) <= 1.15 * exact


def test_a_node_that_ends_each_connection_is_not_dialled_in_a_tight_loop() -> None:
    world = World()
    with world.session():
        dials = Dials(world)
        for _ in range(100):
            lose(world)
            world.reactor.advance(0.1)
        assert 8 <= len(dials.times) <= 12
        assert dials.most == 1


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
            assert [attempt.node for attempt in info.value.attempts] == [str(a) for a in world.addresses]
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
    return {task.result().coordinator for task in tasks}


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


def test_requests_wait_for_the_other_nodes_when_the_first_is_lost_at_once() -> None:
    world = World(count=2)
    world.listeners[1].delay = 2.0

    async def main() -> None:
        async with world.connect() as session:
            world.listeners[0].refuse = True
            only(session).abort(ConnectionResetError("gone"))
            assert (await session.execute("SELECT x")).coordinator == str(world.addresses[1])

    world.call(main)
    world.assert_closed()
