"""`Session.events` of sessions that block."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.session.test_events import DOWN, UP
from tests.sync.served import session
from triocql.errors import UsageError
from triocql.metadata.events import Event
from triocql.sync import Session


def publish(s: Session, event: Event) -> None:
    hub = s._portal.context.cluster.hub
    s._portal.call(hub.publish, event)


def test_an_iterator_that_waits_and_ends_with_the_session() -> None:
    with session() as (_, s), ThreadPoolExecutor(1) as pool:
        listening = threading.Event()
        seen: list[Event] = []

        def listen() -> list[Event]:
            with s.events() as events:
                listening.set()
                seen.append(next(events))
                return [*events]

        rest = pool.submit(listen)
        assert listening.wait(60)
        publish(s, UP)
        publish(s, DOWN)
        assert s.execute("SELECT v FROM t").scalar() is not None  # others go on meanwhile
        s.close()
        assert rest.result(60) == [DOWN]
        assert seen == [UP]


def test_the_end_of_the_session_between_two_events() -> None:
    with session() as (_, s), s.events() as events:
        s.close()
        assert [*events] == []


def test_outside_of_the_block() -> None:
    with session() as (_, s):
        events = s.events()
        with pytest.raises(UsageError, match="around the loop"):
            iter(events)
        with events:
            pass
        with pytest.raises(UsageError, match="its block had ended"):
            next(events)
        assert s._portal.context.cluster.hub.listeners == ()
