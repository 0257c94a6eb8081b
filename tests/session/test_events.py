"""`Session.events`: whoever listens gets what is published, and nobody waits for whoever does not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.world import World
from tests.session.loops import LOOPS, Stage, run_on
from triocql.abc import Address
from triocql.cluster.hub import CAPACITY, EventHub
from triocql.errors import InternalError, UsageError
from triocql.metadata.events import Event, Missed, NodeAdded, NodeDown, NodeUp, SchemaChanged
from triocql.metadata.node import Node
from triocql.session.session import Session

NODE = Node(Address("10.0.0.9", 9042))
UP, DOWN = NodeUp(NODE), NodeDown(NODE)
CREATED = SchemaChanged("CREATED", "KEYSPACE", "shop")

EVERYWHERE = pytest.mark.parametrize("loop", LOOPS)


def hub_of(session: Session) -> EventHub:
    return session._context.cluster.hub


async def collect(session: Session, into: list[Event]) -> None:
    async with session.events() as events:
        async for event in events:
            into.append(event)


@EVERYWHERE
def test_events_come_in_order_and_end_with_the_session(loop: str) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect() as session, session.events() as events:
            hub = hub_of(session)
            hub.publish(UP)
            hub.publish(CREATED)
            assert [await anext(events), await anext(events)] == [UP, CREATED]
            reactor = session._context.reactor
            reactor.call_at(reactor.now() + 0.01, lambda: hub.publish(DOWN))
            assert await anext(events) is DOWN
            hub.publish(UP)
            await session.aclose()
            assert [event async for event in events] == [UP]
            assert [event async for event in events] == []

    run_on(loop, main)


@EVERYWHERE
def test_a_cancellation_loses_no_event(loop: str) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect() as session, session.events() as events:
            hub = hub_of(session)
            assert (await stage.cancelling_at(0, events.__anext__())).came is not None
            hub.publish(UP)
            hub.publish(DOWN)
            stepped = await stage.cancelling_at(0, events.__anext__())
            if stepped.came is not None:  # else it was too late, and the event was handed over
                assert await anext(events) is UP
            assert await anext(events) is DOWN

    run_on(loop, main)


def test_each_listener_gets_all_and_the_slow_one_is_told_how_many_it_missed() -> None:
    world = World()
    with world.session() as session:
        hub = hub_of(session)
        seen: list[Event] = []
        quick = world.start(collect, session, seen)
        slow = session.events()
        world.call(slow.__aenter__)
        for _ in range(3):
            hub.publish(UP)
            for _ in range(CAPACITY // 2):
                hub.publish(DOWN)
            world.settle()
        assert len(seen) == 3 * (CAPACITY // 2 + 1)

        async def take(count: int) -> list[Event]:
            return [await anext(slow) for _ in range(count)]

        dropped = len(seen) - CAPACITY
        assert world.call(take, CAPACITY + 1) == [Missed(dropped), *seen[dropped:]]
        hub.publish(UP)
        assert world.call(take, 1) == [UP]
        world.call(slow.__aexit__, None, None, None)
        (only,) = hub.listeners
        assert only.is_waiting
        quick.cancel()
        world.settle()
        assert not hub.listeners
        hub.publish(UP)


def test_those_who_wait_learn_of_a_bug_that_ends_the_session() -> None:
    world = World()
    with world.session() as session:
        task = world.start(collect, session, [])
        session._context.cluster._bug(ValueError("a bug"))
        world.settle()
        with pytest.raises(InternalError, match="a bug"):
            task.result()


def test_outside_of_the_block_and_by_two_tasks() -> None:
    world = World()
    with world.session() as session:
        events: Any = session.events()
        with pytest.raises(UsageError, match="around the loop"):
            aiter(events)
        with pytest.raises(UsageError, match="async with"):
            events.__enter__()
        world.call(events.__aenter__)
        first = world.start(events.__anext__)
        with pytest.raises(UsageError, match="two tasks"):
            world.call(events.__anext__)
        hub_of(session).publish(UP)
        world.settle()
        assert first.result() is UP
        world.call(events.__aexit__, None, None, None)
        with pytest.raises(UsageError, match="its block had ended"):
            world.call(events.__anext__)
        with pytest.raises(UsageError, match="once"):
            world.call(events.__aenter__)


def test_events_are_values() -> None:
    assert NodeUp(NODE) == UP != NodeUp(Node(NODE.address))
    assert len({UP, NodeUp(NODE), DOWN, NodeAdded(NODE)}) == 3
    match DOWN:
        case NodeDown(node):
            assert node is NODE
