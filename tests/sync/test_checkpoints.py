"""Every blocking call, interrupted by Ctrl-C at each of its moments: the session stays as good as new.

The same for those that wait in a loop of their own is in `tests/session/test_checkpoints.py`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

import triocql
from tests.bulk.tables import keyspaces, table
from tests.engine.peer import Asked
from tests.session.test_checkpoints import PAGES, PREPARED_PAGES, TRACED, scripted
from tests.sync.interruptions import (
    AT_ONCE,
    PATIENCE,
    AtCalls,
    AtRequests,
    AtSomeCalls,
    AtSuspensions,
    Interruption,
    check_as_new,
    check_ended,
    interrupted_in_turn,
    nothing_left,
    run_interrupted,
    wait_until,
    watched,
)
from tests.sync.served import INSERT, SELECT, Served
from triocql import Batch, errors
from triocql.protocol.constants import Opcode
from triocql.sync import Session

__all__ = ["watched"]

pytestmark = pytest.mark.usefixtures("watched")

AT_CALLS = [AtSomeCalls, pytest.param(AtCalls, marks=pytest.mark.long)]


@contextlib.contextmanager
def serving() -> Iterator[Served]:
    """Serve the node of the other loops; nothing may be left behind."""
    with nothing_left(), Served() as served:
        served.node = scripted()
        yield served


# --- What is interrupted -----------------------------------------------------------------------------------------


def execute_text(served: Served, session: Session) -> None:
    session.execute("INSERT 1")


def execute_values(served: Served, session: Session) -> None:
    session._portal.context.executor.preparing._known.clear()
    assert session.execute(SELECT, [1]).scalar() == 1


def execute_prepared(served: Served, session: Session) -> None:
    statement = session.prepare(SELECT)
    assert session.execute(statement, [1]).scalar() == 1


def execute_batch(served: Served, session: Session) -> None:
    session._portal.context.executor.preparing._known.clear()
    session.execute(Batch().add(INSERT, [1]).add("DELETE x"))


def execute_unprepared(served: Served, session: Session) -> None:
    statement = session.prepare(SELECT)
    served.node.forget()
    assert session.execute(statement, [1]).scalar() == 1


def execute_async(served: Served, session: Session) -> None:
    outcomes: list[object] = []
    futures = [session.execute_async(SELECT, [number]) for number in range(3)]
    for future in futures:
        future.add_done_callback(outcomes.append)
    assert [future.result(PATIENCE).scalar() for future in futures] == [0, 1, 2]
    assert session._portal.call(list, outcomes) == futures


def prepare(served: Served, session: Session) -> None:
    session._portal.context.executor.preparing._known.clear()
    session.prepare(SELECT)


def use(served: Served, session: Session) -> None:
    session.execute("USE shop")


def all_pages(served: Served, session: Session) -> None:
    assert len(session.execute(PAGES).all()) == 3


def iterate(served: Served, session: Session) -> None:
    assert [row.v for row in session.execute(PREPARED_PAGES, [1])] == [1, 2, 3]


def stream(served: Served, session: Session, prefetch: int) -> None:
    with session.stream(PAGES, prefetch=prefetch) as rows:
        assert [row.v for row in rows] == [1, 2, 3]


def scan(served: Served, session: Session) -> None:
    with session.scan(known(served, session), tasks=1) as scan:
        assert [row.v for row in scan.rows()] == [1, 2, 3]


def scan_columns(served: Served, session: Session) -> None:
    assert session.scan(known(served, session), tasks=1).arrow().num_rows == 3


def known(served: Served, session: Session) -> str:
    """Have the session know of a table, which has pages, and return its name."""
    nodes = session._portal.context.cluster.nodes
    nodes.snapshot = replace(nodes.snapshot, keyspaces=keyspaces(table(v="partition int")))
    text = "SELECT v FROM shop.events WHERE token(v) > ? AND token(v) <= ?"
    served.node.parameters[text] = (("start", "bigint"), ("end", "bigint"))
    served.node.pages[text] = [[1, 2], [], [3], []]  # in the order of their tokens
    return "shop.events"


def trace(served: Served, session: Session) -> None:
    assert len(session.execute(TRACED, tracing=True).trace().events) == 2


def concurrent(served: Served, session: Session) -> None:
    results = session.execute_concurrent([(SELECT, [number]) for number in range(6)], 3)
    assert [result.scalar() for _, result in results] == list(range(6))


def concurrent_generator(served: Served, session: Session) -> None:
    items = ((SELECT, [number]) for number in range(6))
    assert [result.scalar() for _, result in session.execute_concurrent(items, 2)] == list(range(6))


def concurrent_with_args(served: Served, session: Session) -> None:
    rows = ([number] for number in range(6))
    assert len(session.execute_concurrent_with_args(INSERT, rows, 3)) == 6


def stream_concurrent(served: Served, session: Session, ordered: bool) -> None:
    items = ((SELECT, [number]) for number in range(6))
    with session.stream_concurrent(items, 3, ordered=ordered) as results:
        assert sorted(result.scalar() for _, result in results) == list(range(6))


def nursery(served: Served, session: Session) -> None:
    with triocql.sync.open_request_nursery(session, 2) as requests:
        first = requests.start(SELECT, [1])
        for number in range(3):
            requests.start(INSERT, [number])
        assert first.result().scalar() == 1
        requests.start(INSERT, [9])


SCENARIOS: Mapping[str, Callable[[Served, Session], None]] = {
    fn.__name__: fn
    for fn in (
        execute_text,
        execute_values,
        execute_prepared,
        execute_batch,
        execute_unprepared,
        execute_async,
        prepare,
        use,
        all_pages,
        iterate,
        scan,
        scan_columns,
        trace,
        concurrent,
        concurrent_generator,
        concurrent_with_args,
        nursery,
    )
} | {
    "stream, nothing ahead": partial(stream, prefetch=0),
    "stream, two pages ahead": partial(stream, prefetch=2),
    "stream_concurrent, ordered": partial(stream_concurrent, ordered=True),
    "stream_concurrent, as completed": partial(stream_concurrent, ordered=False),
}


@pytest.mark.parametrize("way", [AtSuspensions, AtRequests, *AT_CALLS])
@pytest.mark.parametrize("name", SCENARIOS)
def test_interrupted_at_each_moment(way: type[Interruption], name: str) -> None:
    with serving() as served, served.connect(max_in_flight=8) as session:

        def run(interruption: Interruption) -> None:
            run_interrupted(interruption, partial(SCENARIOS[name], served, session))
            check_as_new(served, session, interruption, abandons=name != "execute_async")

        assert interrupted_in_turn(way, run) > 0


# --- Connecting and closing: no session is left, and nothing of it -----------------------------------------------


def check_nothing_left(served: Served, scenario: Callable[[], object], interruption: Interruption) -> None:
    """Run what opens and ends a session, and check that nothing of it is left."""
    with nothing_left(served):
        run_interrupted(interruption, scenario)
    check_ended(served, interruption)


FROM_OUTSIDE = pytest.mark.parametrize("way", [AtSuspensions, AtRequests])
"""Not at calls: Python itself may lose a session between `connect` and `with`."""


@FROM_OUTSIDE
@pytest.mark.parametrize("options", [{}, {"keyspace": "shop"}, {"protocol_version": 4}])
def test_connecting_interrupted_at_each_moment(way: type[Interruption], options: dict[str, Any]) -> None:
    with serving() as served:

        def scenario() -> None:
            with served.connect(**options) as session:
                session.execute("INSERT 1")

        assert interrupted_in_turn(way, partial(check_nothing_left, served, scenario)) > 2


@FROM_OUTSIDE
def test_connecting_in_vain_interrupted_at_each_moment(way: type[Interruption]) -> None:
    def refuse(asked: Asked) -> bool:
        return asked.opcode == Opcode.STARTUP and asked.error(0x0100, "wrong password")

    with serving() as served:
        served.node.script = refuse

        def scenario() -> None:
            with pytest.raises(errors.AuthenticationError, match="wrong password"):
                served.connect()

        assert interrupted_in_turn(way, partial(check_nothing_left, served, scenario)) > 0


@pytest.mark.parametrize("way", [AtSuspensions, *AT_CALLS])
def test_closing_interrupted_at_each_moment(way: type[Interruption]) -> None:
    """Once a close has begun to wait for what is in flight, the next one need not wait."""
    with serving() as served:

        def run(interruption: Interruption) -> None:
            with nothing_left(served):
                session = served.connect()
                served.node.holding = True
                future = session.execute_async("INSERT 1")
                wait_until(lambda: len(served.node.held) == 1)
                run_interrupted(interruption, partial(session.close, 0.05))
                began = time.monotonic()
                session.close(5.0 if way is AtSuspensions else 0)
                assert time.monotonic() - began < AT_ONCE
                assert isinstance(future.exception(PATIENCE), errors.SessionClosed)
                served.node.holding = False
                served.node.held.clear()
            check_ended(served, interruption)

        assert interrupted_in_turn(way, run) > 2
