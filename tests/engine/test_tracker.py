"""A tracker is told of each request from its start to its end, and of its attempts; it can do no harm."""

from __future__ import annotations

from typing import Any

import pytest

import triocql
from tests.engine.peer import Asked
from tests.engine.test_retries import OVERLOADED, UNAVAILABLE, refusing
from tests.engine.world import INSERT, SELECT, World
from triocql import errors
from triocql.metadata.node import Node
from triocql.observability.tracker import IGNORED, Tracked
from triocql.protocol.constants import Opcode


class Notes:
    """Notes what it is told: (number of the request, hook, what came with it)."""

    def __init__(self) -> None:
        self.notes: list[tuple[Any, ...]] = []
        self.requests: list[Tracked] = []

    def start(self, request: Tracked) -> int:
        self.requests.append(request)
        self.notes.append((len(self.requests), "start"))
        return len(self.requests)

    def attempt(self, token: int, node: Node, seconds: float, error: BaseException | None) -> None:
        self.notes.append((token, "attempt", str(node), round(seconds, 3), type(error)))

    def retry(self, token: int, error: Exception) -> None:
        self.notes.append((token, "retry", type(error)))

    def finish(self, token: int, error: BaseException | None) -> None:
        self.notes.append((token, "finish", type(error)))

    def hooks(self) -> list[str]:
        """Return the names of the hooks, in order."""
        return [note[1] for note in self.notes]


@pytest.fixture
def tracker() -> Notes:
    return Notes()


def test_a_request_that_is_answered(tracker: Notes) -> None:
    world = World(tracker=tracker)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        tracker.notes.clear()
        begun = len(tracker.requests)
        world.node.holding = True
        task = world.start(session.execute, select, [7])
        world.reactor.advance(0.25)
        world.node.release()
        world.settle()
        assert task.result().scalar() == 7
        number = begun + 1
        assert tracker.notes == [
            (number, "start"),
            (number, "attempt", "10.0.0.1:9042", 0.25, type(None)),
            (number, "finish", type(None)),
        ]
        assert tracker.requests[-1].statement == SELECT
        assert tracker.requests[-1].idempotent


@pytest.mark.parametrize("statement", ["SELECT x", "batch", "prepared", "values"])
def test_every_kind_of_statement_has_one_start_and_one_end(tracker: Notes, statement: str) -> None:
    world = World(tracker=tracker)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        tracker.notes.clear()
        given: Any = {"batch": triocql.Batch().add(insert, [1]), "prepared": insert, "values": SELECT}
        world.call(
            session.execute,
            given.get(statement, statement),
            [1] if statement in ("prepared", "values") else None,
        )
        ended = [note for note in tracker.notes if note[1] == "finish"]
        started = [note for note in tracker.notes if note[1] == "start"]
        assert len(ended) == len(started) >= 1
        assert tracker.hooks()[-1] == "finish"


def test_a_retry_is_another_attempt(tracker: Notes) -> None:
    world = World(count=2, tracker=tracker)
    with world.session() as session:
        for node in world.nodes:
            node.script = refusing(UNAVAILABLE)
        with pytest.raises(errors.Unavailable):
            world.call(session.execute, "SELECT x")
    assert tracker.hooks() == ["start", "attempt", "retry", "attempt", "finish"]
    assert {note[-1] for note in tracker.notes[1:]} == {errors.Unavailable}
    assert len({note[2] for note in tracker.notes if note[1] == "attempt"}) == 2


def test_the_end_of_a_connection_ends_an_attempt(tracker: Notes) -> None:
    world = World(tracker=tracker)
    with world.session() as session:
        world.node.holding = True
        task = world.start(session.execute, "INSERT 1")
        transport = world.node.links[-1].transport
        assert transport is not None
        transport.abort()
        world.settle()
        with pytest.raises(errors.ConnectionLost):
            task.result()
        world.node.holding = False
        world.reactor.advance(2)
    assert tracker.hooks() == ["start", "attempt", "finish"]
    assert tracker.notes[1][-1] is errors.ConnectionLost


def test_who_waits_no_longer_and_what_comes_too_late(tracker: Notes) -> None:
    world = World(tracker=tracker)
    with world.session() as session:
        world.node.holding = True
        task = world.start(session.execute, "SELECT x")
        task.cancel()
        world.settle()
        late = world.start(lambda: session.execute("SELECT x", timeout=1.0))
        world.reactor.advance(1.5)
        with pytest.raises(errors.RequestTimeout):
            late.result()
        world.node.release()
    assert tracker.notes == [
        (1, "start"),
        (1, "attempt", "10.0.0.1:9042", 0.0, errors.Abandoned),
        (1, "finish", errors.Abandoned),
        (2, "start"),
        (2, "attempt", "10.0.0.1:9042", 1.0, errors.RequestTimeout),
        (2, "finish", errors.RequestTimeout),
    ]


def test_what_a_tracker_ignores_it_is_told_no_more_of() -> None:
    """Whatever comes of it: an answer, another attempt, a failure, a cancellation."""

    class Choosing(Notes):
        def start(self, request: Tracked) -> Any:
            number = Notes.start(self, request)
            return IGNORED if "ignored" in request.statement else number

    tracker = Choosing()
    world = World(count=2, tracker=tracker)
    with world.session() as session:
        world.call(session.execute, "SELECT ignored")
        for node in world.nodes:
            node.script = refusing(UNAVAILABLE)
        with pytest.raises(errors.Unavailable):
            world.call(session.execute, "SELECT ignored")
        for node in world.nodes:
            node.script, node.holding = None, True
        task = world.start(session.execute, "SELECT ignored")
        task.cancel()
        world.settle()
        assert tracker.hooks() == ["start"] * 3
        for node in world.nodes:
            node.release()
        world.call(session.execute, "SELECT x")
        assert tracker.hooks()[3:] == ["start", "attempt", "finish"]


class Broken:
    """Raises at every hook but those in `fine`."""

    def __init__(self, kind: type[BaseException]) -> None:
        self._kind = kind

    def start(self, *_: object) -> Any:
        raise self._kind("mine")

    attempt = retry = finish = start


@pytest.mark.parametrize("kind", [ValueError, errors.Error, SystemExit, KeyboardInterrupt])
def test_a_tracker_that_raises_is_logged_once(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    world = World(count=2, tracker=Broken(kind))
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        assert [world.call(session.execute, select, [n]).scalar() for n in range(3)] == [0, 1, 2]
        world.node.script = refusing(OVERLOADED)
        for _ in range(2):
            world.call(session.execute, "SELECT x")
    said = [record.getMessage() for record in caplog.records if "tracker" in record.name]
    assert len(said) == 1
    assert "no more of that is logged" in said[0]


class BrokenAtFirst(Notes):
    """Fails to begin with the requests that are given their number."""

    def start(self, request: Tracked) -> int:
        number = super().start(request)
        if "broken" in request.statement:
            raise ValueError(number)
        return number


def test_a_tracker_that_could_not_begin_with_a_request_is_told_no_more_of_it() -> None:
    tracker = BrokenAtFirst()
    world = World(count=2, tracker=tracker)
    with world.session() as session:
        world.node.script = refusing(OVERLOADED)
        world.call(session.execute, "SELECT broken", idempotent=True)
        world.node.script = None
        assert tracker.notes == [(1, "start")]
        world.call(session.execute, "SELECT x")
    assert [note[:2] for note in tracker.notes[1:]] == [(2, "start"), (2, "attempt"), (2, "finish")]


class Choosing(Notes):
    """Wants requests as long as it says so; it may also raise."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Any = True
        self.asked = 0

    def wants(self) -> bool:
        self.asked += 1
        if isinstance(self.answer, type):
            raise self.answer("mine")
        return bool(self.answer)


@pytest.mark.parametrize("answer", [False, ValueError, SystemExit, KeyboardInterrupt])
def test_a_tracker_is_told_nothing_of_what_it_does_not_want(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Choosing()
    world = World(count=2, tracker=tracker)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        tracker.notes.clear()
        asked, tracker.answer = tracker.asked, answer
        world.node.script = refusing(OVERLOADED)
        world.call(session.execute, select, [1])
        world.call(session.execute, "SELECT x")
        world.node.script = None
        world.call(session.execute, triocql.Batch().add(select, [1]))
        assert tracker.asked >= asked + 3
        assert tracker.notes == []
        tracker.answer = True
        assert world.call(session.execute, select, [1]).scalar() == 1
    assert tracker.hooks()[0] == "start"
    assert tracker.hooks()[-1] == "finish"
    assert len([each for each in caplog.records if "tracker" in each.name]) == (answer is not False)


class Meddling(Notes):
    """Closes the session, or starts other requests, when it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.deed: Any = None

    def attempt(self, token: int, node: Node, seconds: float, error: BaseException | None) -> None:
        super().attempt(token, node, seconds, error)
        if self.deed is not None:
            deed, self.deed = self.deed, None
            deed()


def test_a_tracker_that_closes_the_session() -> None:
    tracker = Meddling()
    world = World(tracker=tracker)
    with world.session() as session:
        world.node.script = refusing(OVERLOADED)
        tracker.deed = session._context.cluster.close
        with pytest.raises(errors.Overloaded):
            world.call(session.execute, "SELECT x")
        with pytest.raises(errors.SessionClosed):
            world.call(session.execute, "SELECT x")
    assert tracker.hooks().count("finish") == tracker.hooks().count("start")


def test_a_tracker_sees_a_request_that_is_prepared_again(tracker: Notes) -> None:
    world = World(tracker=tracker)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        tracker.notes.clear()
        forgotten: list[Asked] = []

        def script(asked: Asked) -> bool:
            if asked.opcode != Opcode.EXECUTE or forgotten:
                return False
            forgotten.append(asked)
            asked.unprepared()
            return True

        world.node.script = script
        assert world.call(session.execute, select, [7]).scalar() == 7
    assert tracker.hooks() == ["start", "attempt", "attempt", "finish"]
    assert [note[-1] for note in tracker.notes if note[1] == "attempt"] == [errors.Unprepared, type(None)]


def test_what_is_no_tracker_is_refused() -> None:
    with pytest.raises(errors.OptionError, match=r"tracker is object; .* start\(\), .*, finish\(\)"):
        triocql.Options(tracker=object())  # type: ignore[arg-type]
    with pytest.raises(errors.OptionError, match="tracker is the class Notes"):
        triocql.Options(tracker=Notes)  # type: ignore[arg-type]


@pytest.mark.parametrize("hook", ["wants", "payload"])
def test_a_tracker_with_something_else_for_a_method_is_refused(hook: str) -> None:
    tracker = Notes()
    setattr(tracker, hook, {"a": b"b"})
    with pytest.raises(
        errors.OptionError, match=rf"{hook} of the tracker is .*; it has to be a method, or None"
    ):
        triocql.Options(tracker=tracker)


@pytest.mark.parametrize("hook", ["start", "attempt", "retry", "finish", "wants", "payload"])
def test_a_tracker_that_would_have_to_be_awaited_is_refused(hook: str) -> None:
    async def awaited(*_: object) -> None:
        """Nobody would await it."""

    tracker = Notes()
    setattr(tracker, hook, awaited)
    with pytest.raises(errors.OptionError, match=rf"{hook}\(\) of the tracker is `async def`"):
        triocql.Options(tracker=tracker)
