"""`execute_async`: futures as those of `concurrent.futures`, with the callbacks of cassandra-driver's."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import math
import threading
from typing import Any

import pytest

from tests.sync.served import SELECT, session
from triocql import errors


def test_results() -> None:
    with session() as (_, s):
        futures = [s.execute_async(SELECT, [number], row_type=dict) for number in range(300)]
        assert [future.result(60).all() for future in futures] == [[{"v": number}] for number in range(300)]
        assert all(future.done() and future.exception() is None for future in futures)


def test_the_tools_of_concurrent_futures() -> None:
    with session() as (_, s):
        futures: dict[Any, int] = {s.execute_async(SELECT, [number]): number for number in range(50)}
        done, pending = concurrent.futures.wait(futures, timeout=60)
        assert (len(done), len(pending)) == (50, 0)
        for future in concurrent.futures.as_completed(futures, timeout=60):
            assert future.result().scalar() == futures[future]


def test_errors() -> None:
    with session() as (served, s):
        with pytest.raises(errors.UsageError, match="cannot execute int"):
            s.execute_async(7).result()  # type: ignore[call-overload]
        served.node.script = lambda asked: asked.error(0x2000, "no CQL")
        future = s.execute_async("SELECT a")
        assert isinstance(future.exception(10), errors.SyntaxError)
        with pytest.raises(errors.SyntaxError):
            future.result()


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_each_callback_is_called_once(late: bool, fails: bool) -> None:
    calls: list[Any] = []
    with session() as (served, s):
        served.hold()
        future = s.execute_async("SELECT a")
        served.until_held(1)

        def add() -> None:
            future.add_callback(lambda result, *more: calls.append(("one", result.scalar(), *more)), 1, 2)
            future.add_callbacks(
                lambda result, *, key: calls.append(("two", result.scalar(), key)),
                lambda error, number, *, key: calls.append((type(error), number, key)),
                callback_kwargs={"key": "k"},
                errback_args=(3,),
                errback_kwargs={"key": "e"},
            )
            future.add_errback(lambda error: calls.append(type(error)))

        if not late:
            add()
        if fails:
            served.loop.run(failing, served)
        else:
            served.answer_all()
        future.exception(10)
        if late:
            add()
        s.execute_async(SELECT, [1])
    if fails:
        assert calls == [(errors.InvalidQuery, 3, "e"), errors.InvalidQuery]
    else:
        assert calls == [("one", "SELECT a", 1, 2), ("two", "SELECT a", "k")]


async def failing(served: Any) -> None:
    served.node.script = None
    served.node.held.pop().error(0x2200, "not valid")


def test_a_call_that_waits_is_refused_in_a_callback() -> None:
    raised: list[Exception] = []
    ended = threading.Event()
    with session() as (served, s):
        served.node.pages["SELECT p"] = [[1], [2]]

        def callback(result: Any) -> None:
            other = s.execute_async("SELECT b")
            calls: list[Any] = [
                lambda: s.execute("SELECT c"),
                other.result,
                other.exception,
                result.all,
                lambda: s.execute_concurrent(["SELECT d"]),
                s.close,
            ]
            for call in calls:
                try:
                    call()
                except errors.UsageError as error:
                    raised.append(error)
            other.add_callback(lambda result: ended.set())

        s.execute_async("SELECT p").add_callback(callback)
        assert ended.wait(60)
        assert len(raised) == 6
        assert all("in the thread that does its work" in str(error) for error in raised)
        assert s.execute("SELECT a").one()


def test_a_callback_with_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    called = threading.Event()
    with session() as (_, s):
        future = s.execute_async("SELECT a")
        future.add_callback(lambda result: 1 // 0).add_callback(lambda result: called.set())
        assert called.wait(60)
        assert s.execute("SELECT a").one()
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
        "a callback of a request failed"
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_a_callback_with_a_bug_is_logged_without_what_happened_before(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    called = threading.Event()
    with session() as (served, s):
        served.hold()
        future = s.execute_async("SELECT a", timeout=0.2 if fails else 10)
        future.add_callbacks(lambda result: 1 // 0, lambda error: 1 // 0)
        future.add_done_callback(lambda _: called.set())
        served.until_held(1)
        if not fails:
            served.release()
        assert called.wait(60)
    (told,) = [record.exc_info for record in caplog.records if record.levelno >= logging.ERROR]
    assert told is not None
    assert isinstance(told[1], ZeroDivisionError)
    assert told[1].__context__ is None


def test_cancel() -> None:
    calls: list[Any] = []
    with session() as (served, s):
        served.hold()
        future = s.execute_async("SELECT a")
        future.add_callback(calls.append).add_errback(lambda error: calls.append(type(error)))
        served.until_held(1)
        assert future.cancel()
        assert future.cancel()
        assert future.cancelled()
        with pytest.raises(concurrent.futures.CancelledError):
            future.result()
        s.stats()
        assert s.stats().orphans == 1
        served.answer_all()
        done = s.execute_async("SELECT a")
        done.result()
        assert not done.cancel()
        assert s.stats() == (1, 0, 0, 0)
    assert calls == [errors.Abandoned]


def test_waiting_has_a_bound() -> None:
    with session() as (served, s):
        served.hold()
        future = s.execute_async("SELECT a")
        with pytest.raises(TimeoutError):
            future.result(timeout=0.01)
        served.until_held(1)
        served.answer_all()
        assert future.result(60).one()


@pytest.mark.parametrize("timeout", [-1, math.nan, True, "5", 10**400])
def test_how_long_to_wait_is_checked(timeout: Any) -> None:
    with session() as (_, s):
        future = s.execute_async("SELECT a")
        for wait in (future.result, future.exception, s.close):
            with pytest.raises(errors.OptionError, match="timeout is"):
                wait(timeout)
        assert future.result(math.inf) is future.result(1e300)


def test_not_to_wait_at_all() -> None:
    with session() as (served, s):
        served.hold()
        future = s.execute_async("SELECT a")
        with pytest.raises(TimeoutError):
            future.result(0)
        served.until_held(1)
        served.answer_all()
        future.result(60)
        assert future.result(0)


@pytest.mark.parametrize("kind", [LookupError, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_callbacks_that_raise_end_nothing(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """Not the thread that calls them, and not the callbacks after them; whoever adds one too late calls it."""
    called = threading.Event()

    def failing(*_: object) -> None:
        raise kind("mine")

    with session() as (served, s):
        served.hold()
        future = s.execute_async("SELECT a").add_callback(failing).add_errback(failing)
        future.add_done_callback(failing)
        future.add_callback(lambda _: called.set())
        served.until_held(1)
        served.answer_all()
        assert called.wait(60)
        assert s.execute("SELECT b").scalar() == "SELECT b"
        if issubclass(kind, Exception):
            future.add_callback(failing)
        else:
            with pytest.raises(kind, match="mine"):
                future.add_callback(failing)
        cancelled = s.execute_async("SELECT c")
        assert s.execute("SELECT b").scalar() == "SELECT b"
        cancelled.result(60)
    assert "a callback of a request failed" in caplog.text
