"""Many statements at once: pulled in the caller's thread, bounded, in order, and at an end when the call is."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import triocql
from tests.engine import wire
from tests.engine.peer import Asked
from tests.sync.served import INSERT, SELECT, Served, session
from triocql import errors
from triocql.protocol.constants import Opcode
from triocql.sync import Session
from triocql.sync.feed import HELD, Chunks, Feed
from triocql.testing.simulated import SimulatedReactor

FATAL = wire.integer(500)


def consumed(s: Session, items: Iterable[Any], streaming: bool, **options: Any) -> list[Any]:
    """Execute many statements in one of the two ways."""
    if not streaming:
        return s.execute_concurrent(items, **options)
    with s.stream_concurrent(items, **options) as outcomes:
        return list(outcomes)


@pytest.mark.parametrize("concurrency", [1, 7, 100, 5000])
@pytest.mark.parametrize("count", [0, 1, 100, 3000])
def test_outcomes_in_the_order_of_the_input(concurrency: int, count: int) -> None:
    with session() as (_, s):
        select = s.prepare(SELECT)
        arguments = ([number] for number in range(count))
        results = s.execute_concurrent_with_args(select, arguments, concurrency)
        assert [(success, result.scalar()) for success, result in results] == [
            (True, n) for n in range(count)
        ]
        assert s.stats() == (1, 0, 0, 0)


def test_functions_and_methods() -> None:
    with session() as (_, s):
        select = s.prepare(SELECT)
        items = ["SELECT a", (SELECT, [1]), (select, [2]), select.bind(3), triocql.Statement("SELECT b")]
        expected = ["SELECT a", 1, 2, 3, "SELECT b"]
        for results in (s.execute_concurrent(items), triocql.sync.execute_concurrent(s, iter(items))):
            assert [result.result_or_exc.scalar() for result in results] == expected
        results = triocql.sync.execute_concurrent_with_args(s, SELECT, [[1], {"p0": 2}], 2)
        assert [result.result_or_exc.scalar() for result in results] == [1, 2]
        for stream in (s.stream_concurrent(items), triocql.sync.stream_concurrent(s, items, 2)):
            with stream as outcomes:
                assert [outcome.result_or_exc.scalar() for outcome in outcomes] == expected


def test_rows_are_given_as_the_call_says() -> None:
    with session() as (_, s):
        results = [
            *s.execute_concurrent([[SELECT, [1]]], row_type=dict),
            *s.execute_concurrent_with_args(SELECT, [[1]], row_type=dict),
            *consumed(s, [(SELECT, [1])], True, row_type=dict),
        ]
        assert [result.all() for _, result in results] == [[{"v": 1}]] * 3


@pytest.mark.parametrize("timeout", [0, -1, math.nan, True, "5"])
def test_timeouts_are_checked_first(timeout: Any) -> None:
    with session() as (_, s):
        items = iter(["SELECT a"])
        for fn in (s.execute_concurrent, s.stream_concurrent):
            with pytest.raises(errors.OptionError, match="timeout is"):
                fn(items, timeout=timeout)
        with pytest.raises(errors.OptionError, match="timeout is"):
            s.execute_concurrent_with_args("x", items, timeout=timeout)
        assert list(items) == ["SELECT a"]


@pytest.mark.parametrize("streaming", [False, True])
def test_an_error_says_which_statement_it_is_of(streaming: bool) -> None:
    with session() as (_, s):
        with pytest.raises(errors.BindTypeError) as info:
            consumed(s, [(INSERT, [1]), (INSERT, [2]), (INSERT, ["text"])], streaming)
        assert info.value.index == 2


def test_results_have_all_pages() -> None:
    with session() as (served, s):
        served.node.pages["SELECT p"] = [[1], [2], [3]]
        [(_, result)] = s.execute_concurrent(["SELECT p"])
        assert [row.v for row in result] == [1, 2, 3]


@pytest.mark.parametrize("concurrency", [1, 5, 50])
def test_that_many_are_in_flight(concurrency: int) -> None:
    with session() as (served, s), ThreadPoolExecutor(1) as pool:
        insert = s.prepare(INSERT)
        served.hold()
        arguments = [[number] for number in range(200)]
        running = pool.submit(s.execute_concurrent_with_args, insert, arguments, concurrency)
        for ended in range(200):
            served.until_held(min(concurrency, 200 - ended))
            served.release(1)
        assert len(running.result(60)) == 200
        assert served.most == concurrency


def test_the_input_is_pulled_in_the_callers_thread() -> None:
    pulled: set[int] = set()

    def items(s: Any) -> Iterator[Any]:
        for number in range(3000):
            pulled.add(threading.get_ident())
            if number % 1000 == 999:
                assert (
                    s.execute(SELECT, [number]).scalar() == number
                )  # as a cursor over the same session does
            yield SELECT, [number]

    with session() as (_, s):
        assert len(s.execute_concurrent(items(s))) == 3000
        with s.stream_concurrent(items(s)) as outcomes:
            assert len(list(outcomes)) == 3000
    assert pulled == {threading.get_ident()}


@pytest.mark.parametrize("streaming", [False, True])
def test_the_first_error_ends_it(streaming: bool) -> None:
    with session() as (served, s):
        insert = s.prepare(INSERT)
        served.node.script = lambda asked: asked.values == [FATAL] and asked.error(0x2100, "not for you")
        taken: list[int] = []

        def items() -> Iterator[Any]:
            for number in range(100_000):
                taken.append(number)
                yield insert, [number]

        with pytest.raises(errors.Unauthorized, match="not for you"):
            consumed(s, items(), streaming, concurrency=10)
        assert len(taken) < 10_000
        assert s.stats().in_flight == 0
        sent = len(served.node.asked)
        assert sent < 10_000
        s.execute("SELECT a")
        assert len(served.node.asked) <= sent + 11


@pytest.mark.parametrize("streaming", [False, True])
def test_errors_as_outcomes(streaming: bool) -> None:
    with session() as (served, s):
        insert = s.prepare(INSERT)
        served.node.script = lambda asked: (
            asked.opcode == Opcode.EXECUTE and asked.token % 2 == 1 and asked.error(0x2200, "odd")
        )
        items: list[Any] = [(insert, [number]) for number in range(50)] + [(insert, ["x"]), 7]
        outcomes = consumed(s, items, streaming, raise_on_first_error=False)
        kinds = [type(error) for success, error in outcomes if not success]
        assert kinds == [errors.InvalidQuery] * 25 + [errors.BindTypeError, errors.UsageError]


@pytest.mark.parametrize("streaming", [False, True])
def test_an_iterator_that_fails(streaming: bool) -> None:
    with session() as (_, s):

        def items() -> Iterator[Any]:
            yield from ["SELECT a"] * 300
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            consumed(s, items(), streaming)
        assert s.stats().in_flight == 0


def test_no_iterable() -> None:
    async def items() -> Any:
        yield "SELECT a"

    with session() as (_, s), pytest.raises(TypeError, match="not iterable"):
        s.execute_concurrent(items())


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, None, True])
def test_concurrency_is_checked_first(concurrency: Any) -> None:
    with session() as (_, s):
        items = iter(["SELECT a"])
        for fn in (s.execute_concurrent, s.stream_concurrent):
            with pytest.raises(ValueError, match="concurrency is"):
                fn(items, concurrency)
        with pytest.raises(ValueError, match="concurrency is"):
            s.execute_concurrent_with_args("x", items, concurrency)
        with pytest.raises(ValueError, match="concurrency is"):
            triocql.sync.open_request_nursery(s, concurrency)
        assert list(items) == ["SELECT a"]


@pytest.mark.parametrize("streaming", [False, True])
def test_timeout_of_the_whole(streaming: bool) -> None:
    with session() as (served, s):
        served.hold()
        with pytest.raises(errors.RequestTimeout, match=r"not all statements were executed within 0.05 s"):
            consumed(s, ["SELECT a"] * 3, streaming, timeout=0.05)
        assert s.stats().orphans == 3
        served.answer_all()


def test_a_slow_iterator_holds_up_nobody() -> None:
    """What was pulled is executed while the iterator blocks."""
    with session() as (served, s):

        def items() -> Iterator[Any]:
            for number in range(300):
                if number == 250:
                    while served.node.counts.get(7, 0) < 100:
                        s.execute("SELECT x")
                yield "SELECT a"

        assert len(s.execute_concurrent(items(), 10)) == 300


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("concurrency", [1, 100])
def test_what_was_taken_is_sent_before_the_iterator_has_to_give_more(
    streaming: bool, concurrency: int
) -> None:
    """It waits for each of its statements to come to the node, at times only for some in a row."""
    with session() as (served, s):
        select = s.prepare(SELECT)
        executed = served.node.counts
        before = executed.get(Opcode.EXECUTE, 0)

        def items() -> Iterator[Any]:
            for number in range(100):
                yield select, [number]
                if number % 9 in (0, 1, 5):
                    wanted = before + number + 1
                    served.loop.run(served.until, lambda: executed.get(Opcode.EXECUTE, 0) >= wanted)  # noqa: B023

        outcomes = consumed(s, items(), streaming, concurrency=concurrency)
        assert [result.scalar() for _, result in outcomes] == list(range(100))


# --- Streams ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_order_of_a_stream(ordered: bool) -> None:
    with session() as (served, s):
        select = s.prepare(SELECT)
        waiting: list[Asked] = []

        def reversed_in_tens(asked: Asked) -> bool:
            waiting.append(asked)
            if len(waiting) == 10:
                for each in reversed(waiting):
                    each.respond()
                waiting.clear()
            return True

        served.node.script = reversed_in_tens
        with s.stream_concurrent([(select, [n]) for n in range(100)], 10, ordered=ordered) as outcomes:
            numbers = [outcome.result_or_exc.scalar() for outcome in outcomes]
        assert sorted(numbers) == list(range(100))
        assert (numbers == sorted(numbers)) is ordered


def test_a_stream_is_bounded_by_its_consumer() -> None:
    with session() as (served, s):
        with s.stream_concurrent(["SELECT a"] * 1000, 10) as outcomes:
            for number, _ in enumerate(outcomes):
                assert len(served.node.asked) <= number + 10
                if number == 100:
                    break
        assert s.stats().in_flight == 0


def test_leaving_a_stream_abandons_the_rest() -> None:
    with session() as (served, s):
        select = s.prepare(SELECT)
        served.node.script = lambda asked: asked.token >= 5 and asked.hold()
        with s.stream_concurrent([(select, [number]) for number in range(1000)], 10) as outcomes:
            assert [next(outcomes).result_or_exc.scalar() for _ in range(5)] == [0, 1, 2, 3, 4]
            served.until_held(5)
        assert s.stats()[1:] == (0, 0, 5)
        served.answer_all()


def test_a_stream_misused() -> None:
    with session() as (_, s):
        stream = s.stream_concurrent(["SELECT a"])
        with pytest.raises(errors.UsageError, match="write `with stream_concurrent"):
            next(stream)
        with stream, pytest.raises(errors.UsageError, match="entered once"):
            stream.__enter__()
        for read in (stream.__next__, stream.__iter__):
            with pytest.raises(errors.UsageError, match="after its block"):
                read()
        with s.stream_concurrent(["SELECT a"] * 3) as stream:
            for _ in stream:
                break
            assert len(list(stream)) == 2
            with pytest.raises(errors.UsageError, match="read to its end already"):
                iter(stream)


# --- The request nursery ------------------------------------------------------------------------------------------


def test_nursery() -> None:
    with session() as (_, s), triocql.sync.open_request_nursery(s, 5) as nursery:
        handles = [nursery.start(SELECT, [number]) for number in range(50)]
        assert [handle.result().scalar() for handle in handles] == list(range(50))
        assert all(handle.done for handle in handles)


def test_nursery_waits_for_room_and_for_the_end() -> None:
    with session() as (served, s), ThreadPoolExecutor(1) as pool:
        insert = s.prepare(INSERT)
        served.hold()

        def work() -> None:
            with triocql.sync.open_request_nursery(s, 3) as nursery:
                for number in range(10):
                    nursery.start(insert, [number])

        working = pool.submit(work)
        for ended in range(10):
            served.until_held(min(3, 10 - ended))
            served.release(1)
        working.result(60)
        assert served.most == 3


def test_nursery_fails() -> None:
    with session() as (served, s):
        served.node.script = lambda asked: asked.text == "SELECT b" and asked.error(0x2200, "not valid")
        with pytest.raises(errors.InvalidQuery), triocql.sync.open_request_nursery(s) as nursery:
            nursery.start("SELECT b")
        handles = []

        def interrupted() -> None:
            with triocql.sync.open_request_nursery(s) as nursery:
                served.node.holding = True
                handles.append(nursery.start("SELECT a"))
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            interrupted()
        assert handles[0].done
        with pytest.raises(errors.Abandoned):
            handles[0].result()
        with triocql.sync.open_request_nursery(s) as nursery:
            nursery.start("SELECT a").cancel()


def test_nursery_of_a_closed_session() -> None:
    def work(s: Session) -> None:
        with triocql.sync.open_request_nursery(s):
            s.close()
            raise KeyError("mine")

    with Served() as served, pytest.raises(KeyError, match="mine"):
        work(served.connect())


# --- The feed -----------------------------------------------------------------------------------------------------


class Window:
    """As much of a window as a feed needs: it takes what it has room for."""

    def __init__(self, feed: Feed, concurrency: int) -> None:
        self.occupied = 0
        self.taken: list[Any] = []
        self.room = 0
        self._feed = feed
        self._concurrency = concurrency

    def pump(self) -> None:
        while (
            self.room and self.occupied < self._concurrency and (item := next(self._feed, None)) is not None
        ):
            self.room -= 1
            self.taken.append(item)


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), max_size=20), st.integers(1, 10), st.data())
def test_a_feed_gives_all_in_order_and_holds_the_window_when_empty(
    sizes: list[int], concurrency: int, data: st.DataObject
) -> None:
    feed = Feed(SimulatedReactor(), concurrency, lambda: None)
    window: Any = Window(feed, concurrency)
    feed.feeds(window)
    expected: list[Any] = []
    for size in sizes:
        chunk: Any = [(len(expected) + each, None) for each in range(size)]
        expected += chunk
        feed.items.extend(chunk)
        feed.go_on(ended=False)
        while not feed.is_hungry or data.draw(st.booleans()):
            window.room = data.draw(st.integers(1, 5))
            window.pump()
            assert (window.occupied == concurrency) is (len(window.taken) == len(expected))
        window.room = 0
    feed.go_on(ended=True)
    assert window.occupied == 0
    window.room = len(expected)
    window.pump()
    assert window.taken == expected
    assert not feed.is_hungry


def chunks_of(count: int, size: int) -> tuple[Chunks, Feed]:
    feed = Feed(SimulatedReactor(), 1, lambda: None)
    feed.crossed = math.inf
    return Chunks(iter([(number, None) for number in range(count)]), size, feed), feed


@settings(deadline=None)
@given(st.integers(0, 5000), st.integers(1, 3000))
def test_chunks(count: int, size: int) -> None:
    chunks, feed = chunks_of(count, size)
    while chunks.pull():
        assert not feed.pulling
    assert [number for number, _ in feed.items] == list(range(count))
    assert not chunks.pull()


def test_chunks_of_a_slow_iterator_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("triocql.sync.feed.time.monotonic", lambda: next(clock))
    chunks, feed = chunks_of(100, 32)
    sizes = []
    for _ in range(8):
        feed.items.clear()
        assert chunks.pull()
        sizes.append(len(feed.items))
    assert sizes == [32, 16, 8, 4, 2, 1, 1, 1]


def test_a_caller_that_comes_late_pulls_one() -> None:
    """The loop does not look for what it takes any more."""
    chunks, feed = chunks_of(100, 32)
    feed.crossed = 0.0
    assert chunks.pull()
    assert len(feed.items) == 1


class Stuck(Iterator[Any]):
    """Gives two statements, then lets wait for a third until those before have been taken."""

    def __init__(self, reactor: SimulatedReactor, feed: Feed) -> None:
        self.given = 0
        self._reactor = reactor
        self._feed = feed

    def __next__(self) -> Any:
        self.given += 1
        if self.given == 3:
            assert len(self._feed.items) == 2
            self._reactor.advance(HELD)
            assert not self._feed.items
        return self.given, None


def test_the_loop_takes_what_there_is_while_the_iterator_lets_wait() -> None:
    reactor = SimulatedReactor()
    feed = Feed(reactor, 10, lambda: None)
    window: Any = Window(feed, 10)
    window.room = 10
    feed.feeds(window)
    feed.cross()
    feed.crossed = math.inf
    assert Chunks(Stuck(reactor, feed), 4, feed).pull()
    assert [number for number, _ in window.taken] == [1, 2]
    assert [number for number, _ in feed.items] == [3, 4]
    feed.crossed = 0.0
    reactor.advance(1)
    assert reactor._timers.next_due() == math.inf
