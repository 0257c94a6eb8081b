"""What an operator is told: each line once a minute at most, with a count of those that were left out."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from io import StringIO
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


def test_each_line_has_its_parts_for_formatters_that_write_structures() -> None:
    passes = OnceAMinute(now=lambda: 0.0)
    line = logging.makeLogRecord({"msg": "lost %s after %.1f s: %s", "args": ("a", 1.5, KeyError("b"))})
    own = logging.makeLogRecord({"msg": "slow", "args": (), "triocql": {"seconds": 2.0}})
    assert passes.filter(line)
    assert passes.filter(own)
    told: Any = [each.__dict__["triocql"] for each in (line, own)]
    assert told == [
        {"event": "lost %s after %.1f s: %s", "values": ["a", 1.5, "'b'"], "left_out": 0},
        {"event": "slow", "values": [], "left_out": 0, "seconds": 2.0},
    ]


def test_the_parts_tell_how_many_were_left_out() -> None:
    now = [0.0]
    passes = OnceAMinute(now=lambda: now[0])
    records = [logging.makeLogRecord({"msg": "%s is away", "args": ("a",)}) for _ in range(3)]
    assert [passes.filter(each) for each in records] == [True, False, False]
    now[0] = EVERY
    again = logging.makeLogRecord({"msg": "%s is away", "args": ("a",)})
    assert passes.filter(again)
    assert again.__dict__["triocql"] == {"event": "%s is away", "values": ["a"], "left_out": 2}
    assert again.getMessage() == "a is away (and 2 times before that were left out)"


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


class Failing(logging.Handler):
    """Fails, in one way or the other."""

    def __init__(self, *, filtering: bool) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        if filtering:
            self.addFilter(self._fail)

    def _fail(self, record: logging.LogRecord) -> bool:
        self.lines.append(record.getMessage())
        raise LookupError("no log")

    def emit(self, record: logging.LogRecord) -> None:
        self._fail(record)


@pytest.mark.parametrize("filtering", [False, True])
def test_handlers_and_filters_that_fail_are_nothing_to_the_session(
    filtering: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with those of `logging` itself, it is told on stderr."""
    logger, handler = logging.getLogger("triocql"), Failing(filtering=filtering)
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    try:
        world = World(count=2)
        with world.session() as session:
            for node in world.nodes:
                transport = node.links[-1].transport
                assert transport is not None
                transport.abort()
            world.settle()
            world.reactor.advance(10)
            assert world.call(session.execute, SELECT, [7]).scalar() == 7
            assert session.health().connected == 2
    finally:
        logger.manager._clear_cache()  # type: ignore[attr-defined]
    kinds = {line.split()[0] for line in handler.lines}
    assert kinds >= {"agreed", "opened", "lost", "closing"}
    err = capsys.readouterr().err
    assert err.count("--- Logging error ---") == err.count("LookupError: no log") == len(handler.lines)


@pytest.mark.parametrize("there", [False, True])
def test_a_stderr_that_fails_is_nothing_to_the_session(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the handler that programs have without any of their own, once they have closed it."""
    closed = StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    logger = logging.getLogger("triocql")
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(closed)] if there else [])
    monkeypatch.setattr(logger, "propagate", False)
    world = World(count=2)
    with world.session() as session:
        world.nodes[0].links[-1].transport.abort()  # type: ignore[union-attr]
        world.reactor.advance(10)
        assert world.call(session.execute, SELECT, [7]).scalar() == 7
        assert session.health().connected == 2


def test_lines_are_of_the_place_that_writes_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "triocql")
    world = World()
    with world.session():
        pass
    places = {(record.name.split(".")[-1], record.filename) for record in caplog.records}
    assert places == {(name, f"{name}.py") for name, _ in places}
    assert len(places) >= 3


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
