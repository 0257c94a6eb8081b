"""The log of slow requests."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import triocql
from tests.engine.test_retries import OVERLOADED, refusing
from tests.engine.world import INSERT, SELECT, World
from triocql import errors
from triocql.observability.logs import EVERY, OnceAMinute
from triocql.session.session import Session
from triocql.statements.texts import without_values

SECRET = "SELECT x FROM t WHERE k = 'secret' AND n = 4711"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the lines so far, and forget them."""
    told = [record.getMessage() for record in caplog.records if record.name.endswith("slowlog")]
    caplog.clear()
    return told


def slow(world: World, session: Session, *call: Any, seconds: float = 0.5, **options: Any) -> None:
    """Have a call take so many seconds."""
    for node in world.nodes:
        node.holding = True
    world.start(lambda: session.execute(*call, **options))
    world.reactor.advance(seconds)
    for node in world.nodes:
        node.release()
    world.settle()


def test_a_slow_request_is_one_line_with_what_its_time_went_into(caplog: pytest.LogCaptureFixture) -> None:
    world = World(slow_request=0.5)
    with world.session() as session:
        slow(world, session, SECRET, seconds=0.25)
        assert lines(caplog) == []
        slow(world, session, SECRET)
    assert lines(caplog) == [
        "slow: SELECT in keyspace -, 'SELECT x FROM t WHERE k = ? AND n = ?', on 10.0.0.1:9042: "
        "success in 0.500 s, 1 attempts (waiting 0.500 s)"
    ]


def test_nothing_is_logged_unless_it_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with world.session() as session:
        slow(world, session, SECRET, seconds=9.0)
    assert lines(caplog) == []


def test_values_are_shown_on_demand_and_passwords_never(caplog: pytest.LogCaptureFixture) -> None:
    world = World(slow_request=0.5, slow_request_values=True)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        slow(world, session, insert, [7])
        slow(world, session, insert, [None])
        slow(world, session, "CREATE ROLE x WITH PASSWORD = 'hunter2'")
        slow(world, session, SECRET)
    told = lines(caplog)
    assert "'INSERT INTO t (k) VALUES (?)' with (7,), on" in told[0]
    assert "hunter2" not in "".join(told)
    assert "CREATE in keyspace" in told[-2]
    assert "k = 'secret' AND n = 4711" in told[-1]


def test_the_same_request_is_told_of_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(slow_request=0.5)
    with world.session() as session:
        own = OnceAMinute(world.reactor.now)
        logger = logging.getLogger("triocql.engine.executing.slowlog")
        monkeypatch.setattr(logger, "filters", [own])
        for number in range(3):
            slow(world, session, f"SELECT x FROM t WHERE n = {number}", seconds=0.5 + number / 10)
        slow(world, session, "SELECT y FROM t", seconds=0.6)
        world.reactor.advance(EVERY)
        slow(world, session, "SELECT x FROM t WHERE n = 9")
    told = lines(caplog)
    assert len(told) == 3
    assert told[-1].endswith("(and 2 times before that were left out)")


def test_failures_and_attempts_are_told(caplog: pytest.LogCaptureFixture) -> None:
    world = World(count=2, slow_request=0.5)
    with world.session() as session:
        for node in world.nodes:
            node.holding = True
        task = world.start(session.execute, "SELECT x")
        first = next(node for node in world.nodes if node.held)
        world.reactor.advance(0.25)
        first.held.pop().error(0x1001)
        world.settle()
        world.reactor.advance(10)
        assert task.done
        for node in world.nodes:
            node.release()
    (record,) = (each for each in caplog.records if each.name.endswith("slowlog"))
    address = str(world.addresses[world.nodes.index(first)])
    (before,) = record.triocql["history"]  # type: ignore[attr-defined]
    assert before == {
        "node": address,
        "outcome": "Overloaded",
        "seconds": pytest.approx(0.25),
        "decision": "next node",
    }
    (line,) = lines(caplog)
    assert f"; before that Overloaded on {address} in 0.250 s, next node)" in line
    assert ": RequestTimeout in 10.0" in line
    assert "2 attempts (" in line
    assert f"waiting 0.250 s on {address}" in line


def test_what_is_cancelled_is_told_and_what_waited_for_room(caplog: pytest.LogCaptureFixture) -> None:
    world = World(max_in_flight=1, slow_request=0.5)
    with world.session() as session:
        world.node.holding = True
        world.start(session.execute, "INSERT 1")
        task = world.start(session.execute, "INSERT 2")
        world.reactor.advance(0.5)
        task.cancel()
        world.settle()
        world.node.release()
    told = lines(caplog)
    assert "Cancelled in 0.500 s, 1 attempts (queued 0.500 s)" in told[0]


def test_an_error_is_logged_with_its_node(caplog: pytest.LogCaptureFixture) -> None:
    world = World(slow_request=0.0)
    with world.session() as session:
        world.node.script = refusing(OVERLOADED)
        with pytest.raises(errors.Overloaded):
            world.call(session.execute, "SELECT x")
    assert ", on 10.0.0.1:9042: Overloaded in 0.000 s" in lines(caplog)[-1]


def test_a_handler_that_fails_is_nothing_to_the_request() -> None:
    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise LookupError("no log")

    logger, handler = logging.getLogger("triocql.engine.executing.slowlog"), Failing()
    logger.addHandler(handler)
    try:
        world = World(slow_request=0.0)
        with world.session() as session:
            assert world.call(session.execute, SELECT, [7]).scalar() == 7
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize("value", [-1, "1", True, float("nan")])
def test_a_threshold_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(errors.OptionError, match="slow_request"):
        triocql.Options(slow_request=value)


def test_what_a_program_reads_of_it(caplog: pytest.LogCaptureFixture) -> None:
    world = World(slow_request=0.5, profiles={"nightly": triocql.Profile(timeout=20.0)})
    with world.session() as session:
        slow(world, session, SECRET, profile="nightly")
    (record,) = (each for each in caplog.records if each.name.endswith("slowlog"))
    told: dict[str, Any] = record.triocql  # type: ignore[attr-defined]
    assert json.loads(json.dumps(told)) == told
    assert told.pop("event").startswith("slow: ")
    assert (told.pop("values")[0], told.pop("left_out")) == ("SELECT", 0)
    assert told.pop("seconds") == pytest.approx(0.5)
    assert told.pop("phases") == {"waiting": pytest.approx(0.5)}
    assert told == {
        "operation": "SELECT",
        "profile": "nightly",
        "keyspace": "",
        "statement": "SELECT x FROM t WHERE k = ? AND n = ?",
        "node": "10.0.0.1:9042",
        "outcome": "success",
        "attempts": 1,
        "history": [],
    }


@pytest.mark.parametrize("payload", [None, {"trace": b"x" * 50}])
@pytest.mark.parametrize("shows", [True, False])
def test_a_batch_is_told_by_its_statements(
    caplog: pytest.LogCaptureFixture, shows: bool, payload: Any
) -> None:
    world = World(slow_request=0.5, slow_request_values=shows)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        for count in (2, 3):
            batch = triocql.Batch(custom_payload=payload)
            for number in range(count):
                batch.add(insert, [number])
            batch.add("INSERT INTO t (k) VALUES (77)").add(insert.bind(5)).add(insert, [None])
            slow(world, session, batch)
    (line,) = lines(caplog)  # the other one is the same but for how many there are
    if shows:
        texts = "INSERT INTO t (k) VALUES (?); INSERT INTO t (k) VALUES (77)"
        values = " with (0,), (1,), (5,), (None,)"
    else:
        texts, values = "INSERT INTO t (k) VALUES (?)", ""
    assert line.startswith(f"slow: BATCH in keyspace ks, '{texts}', 5 statements{values}, on 10.0.0.1:9042: ")


def test_lists_of_any_length_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    world = World(slow_request=0.5)
    with world.session() as session:
        for count in range(1, 4):
            numbers = ", ".join("7" * count)
            markers = ", ".join("?" * count)
            slow(world, session, f"SELECT x FROM t WHERE k IN ({numbers})")
            slow(
                world,
                session,
                f"UPDATE t SET s = {{{numbers}, 8}}, m['a'] = ?, b = true WHERE k IN ({markers})",
            )
            slow(world, session, f"SELECT y FROM t WHERE (a, b) IN (({numbers}), (1, NaN)) AND c = (1, 2)")
    assert [line.split("'")[1] for line in lines(caplog)] == [
        "SELECT x FROM t WHERE k IN (…)",
        "UPDATE t SET s = {…}, m[?] = ?, b = ? WHERE k IN (…)",
        "SELECT y FROM t WHERE (a, b) IN (…) AND c = (?, ?)",
    ]


LITERALS = st.sampled_from(
    [
        "true",
        "False",
        "NaN",
        "-Infinity",
        "'it''s'",
        "$$so$$",
        "42",
        "-1.5",
        "1e10",
        "1.5E-3",
        "0xCAFE",
        "1h30m",
        "550e8400-e29b-41d4-a716-446655440000",
    ]
)


@given(st.lists(LITERALS, min_size=1, max_size=4))
def test_no_literal_is_left_in_a_text_and_no_name_is_lost(literals: list[str]) -> None:
    text = 'UPDATE t1 SET "A\'1" = ?, ' + ", ".join(f"c{n} = {each}" for n, each in enumerate(literals))
    redacted = without_values(text)
    assert redacted.replace("-?", "?") == 'UPDATE t1 SET "A\'1" = ?, ' + ", ".join(
        f"c{n} = ?" for n in range(len(literals))
    )
