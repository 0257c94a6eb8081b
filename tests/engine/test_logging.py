"""What an operator is told: each line once a minute at most, with a count of those that were left out."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.world import SELECT, World, only
from triocql.errors import ConnectError
from triocql.observability.logs import EVERY, OnceAMinute, once_a_minute


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="triocql")


def lines(caplog: pytest.LogCaptureFixture) -> Iterator[tuple[str, str]]:
    """Return the level and the text of each line so far, and forget them."""
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    caplog.clear()
    yield from told


# --- What is logged ------------------------------------------------------------------------------------------


def test_a_session_from_its_beginning_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    world = World(4)
    with world.session():
        pass
    assert list(lines(caplog)) == [
        ("INFO", "10.0.0.1:9042 refuses protocol v5, trying v4"),
        ("INFO", "agreed on protocol v4 with 10.0.0.1:9042"),
        ("INFO", "connected to 10.0.0.1:9042"),
        ("INFO", "opened a session with 10.0.0.1:9042"),
        ("INFO", "closing a session with 10.0.0.1:9042: the session is closed"),
    ]


def test_a_node_that_goes_away_and_comes_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(reconnection_base=4.0)
    monkeypatch.setattr(once_a_minute, "_now", world.reactor.now)
    with world.session():
        world.reactor.advance(3)
        list(lines(caplog))
        world.listeners[0].refuse = True
        world.listeners[0].accepted[0].reset()
        world.reactor.advance(3)
        lost, failed = lines(caplog)
        assert lost[0] == failed[0] == "WARNING"
        assert lost[1].startswith("lost a connection to 10.0.0.1:9042: ")
        assert failed[1].startswith("could not connect to 10.0.0.1:9042, trying again in 4.0 s: ")
        world.reactor.advance(30)  # it fails three times more; nobody has to be told
        assert list(lines(caplog)) == []
        world.reactor.advance(60)
        ((level, text),) = lines(caplog)
        assert level == "WARNING"
        assert text.endswith("(and 3 times before that were left out)")
        world.listeners[0].refuse = False
        world.reactor.advance(120)
        assert ("INFO", "connected to 10.0.0.1:9042") in lines(caplog)


def test_an_attempt_that_is_due_at_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World(reconnection_base=0.01)
    with world.session():
        list(lines(caplog))
        world.listeners[0].refuse = True
        world.listeners[0].accepted[0].reset()
        world.reactor.advance(3)
        texts = [text for _, text in lines(caplog)]
        assert any(
            text.startswith("could not connect to 10.0.0.1:9042, trying again now: ") for text in texts
        )


def test_a_connection_that_drains(caplog: pytest.LogCaptureFixture) -> None:
    world = World(max_orphans=1)
    with world.session() as session:
        world.call(session.prepare, SELECT)
        list(lines(caplog))
        world.node.holding = True
        tasks = [world.start(session.execute, SELECT, [number]) for number in range(2)]
        for task in tasks:
            task.cancel()
        world.settle()
        assert next(lines(caplog)) == (
            "INFO",
            "a connection to 10.0.0.1:9042 takes no more requests and is replaced: 2 abandoned ones have no answer",
        )
        world.node.release()
        world.reactor.advance(2)
        assert only(session).has_room


def test_what_could_not_be_opened_is_told_by_its_error_alone(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.listeners[0].refuse = True
    with pytest.raises(ConnectError):
        world.call(world.connect().__aenter__)
    assert list(lines(caplog)) == []


# --- How often -----------------------------------------------------------------------------------------------


class Told(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def told(clock: list[float]) -> Any:
    logger = logging.Logger("a module")
    logger.addFilter(OnceAMinute(lambda: clock[0]))
    logger.addHandler(handler := Told())
    return logger, handler.lines


def test_a_line_is_repeated_once_a_minute_with_a_count(told: Any, clock: list[float]) -> None:
    logger, seen = told
    for number in range(100):
        logger.warning("lost %s after %d s", "10.0.0.1", number)
    assert seen == ["lost 10.0.0.1 after 0 s"]
    logger.warning("lost %s after %d s", "10.0.0.2", 1)
    assert seen.pop() == "lost 10.0.0.2 after 1 s"
    clock[0] += EVERY
    logger.warning("lost %s after %d s", "10.0.0.1", 7)
    assert seen.pop() == "lost 10.0.0.1 after 7 s (and 99 times before that were left out)"
    clock[0] += EVERY
    logger.warning("lost %s after %d s", "10.0.0.1", 8)
    assert seen.pop() == "lost 10.0.0.1 after 8 s"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


def test_causes_are_told_apart(told: Any, clock: list[float]) -> None:
    logger, seen = told
    for _ in range(2):
        logger.error("it ends: %r", ValueError("one"))
        logger.error("it ends: %r", ValueError("two"))
        logger.error("it ends: %r", Unspeakable())
        logger.error("100 % done")
    assert seen == [
        "it ends: ValueError('one')",
        "it ends: ValueError('two')",
        "it ends: Unspeakable()",
        "100 % done",
    ]
    clock[0] += EVERY
    logger.error("100 % done")
    logger.error("it ends: %r", ValueError("one"))
    count = "(and 1 times before that were left out)"
    assert seen[4:] == [f"100 % done {count}", f"it ends: ValueError('one') {count}"]


def test_levels_and_texts_are_told_apart(told: Any) -> None:
    logger, seen = told
    for _ in range(2):
        logger.warning("here")
        logger.error("here")
        logger.error("there")
        logger.error("%(what)s", {"what": "there"})
    assert seen == ["here", "here", "there", "there"]


def test_what_is_remembered_is_bounded(clock: list[float]) -> None:
    once = OnceAMinute(lambda: clock[0])
    records = [
        logging.LogRecord("module", logging.INFO, "", 0, "%s", (str(number),), None) for number in range(5000)
    ]
    assert all(once.filter(record) for record in records)
    assert len(once._lines) <= 1000
    assert not once.filter(records[-1])


def test_a_line_within_a_line(clock: list[float]) -> None:
    """A signal handler may log the same line while it is being decided about."""
    record = logging.LogRecord("module", logging.INFO, "", 0, "here", (), None)
    inner: list[bool] = []

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if event == "line" and frame.f_code is OnceAMinute.filter.__code__ and len(inner) < 20:
            sys.settrace(None)
            inner.append(once.filter(logging.LogRecord("module", logging.INFO, "", 0, "here", (), None)))
            sys.settrace(trace)
        return trace

    once = OnceAMinute(lambda: clock[0])
    sys.settrace(trace)
    try:
        outer = once.filter(record)
    finally:
        sys.settrace(None)
    assert sum([outer, *inner]) == 1
    clock[0] += EVERY
    assert once.filter(record)
