"""Who drives a thread loop: its own thread, or a caller that waits anyhow."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from triocql.errors import InternalError, SessionClosed, UsageError
from triocql.reactors.base import nothing
from triocql.reactors.calls import Call
from triocql.reactors.stepping import Cancelled, StepWaiter, park
from triocql.reactors.threadloop import ThreadLoop

PATIENCE = 60


class Driven:
    """A loop, and which thread does its work.

    Attributes:
        loop: the loop; its thread rests, so that callers may drive.
        own: the ident of its own thread.
    """

    def __init__(self) -> None:
        self.loop = ThreadLoop()
        self.loop.start()
        self.own = self.loop.run(self.driver)

    async def driver(self) -> int:
        """Return the ident of the thread that drives."""
        return threading.get_ident()

    def until_rest(self) -> None:
        """Return once the loop's thread lets callers drive."""
        while self.loop.run(self.driver) == self.own:
            pass

    def later(self) -> StepWaiter:
        """Return a waiter that other threads resolve by `resolve`."""
        return StepWaiter(self.loop, nothing)

    def resolve(self, waiter: StepWaiter, value: object = None) -> None:
        """Give a waiter its value, from outside the loop."""
        self.loop.post(lambda: waiter.resolve(value))

    def begin(self, fn: Callable[[], Any]) -> Future[tuple[Any, int]]:
        """Begin a call; its future has the result and the ident of the thread that told of the end."""
        future: Future[tuple[Any, int]] = Future()

        def ended(value: Any, error: BaseException | None) -> None:
            if error is None:
                future.set_result((value, threading.get_ident()))
            else:
                future.set_exception(error)

        self.loop.begin(Call(self.loop, fn, ended))
        return future


@pytest.fixture
def driven() -> Iterator[Driven]:
    driven = Driven()
    driven.until_rest()
    yield driven
    driven.loop.stop()
    driven.loop.join(PATIENCE)
    assert driven.loop.ended


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def blocked(driven: Driven, pool: ThreadPoolExecutor) -> tuple[StepWaiter, Future[int], int]:
    """Have another thread drive; return what its call waits for, its future, and its ident."""
    waiter, parked = driven.later(), threading.Event()
    idents: list[int] = []

    async def main() -> int:
        idents.append(threading.get_ident())
        parked.set()
        value: int = await waiter.wait()
        return value

    future = pool.submit(driven.loop.run, main)
    assert parked.wait(PATIENCE)
    return waiter, future, idents[0]


# --- Who drives ---------------------------------------------------------------------------------------------------


def test_a_caller_drives(driven: Driven, pool: ThreadPoolExecutor) -> None:
    waiter, future, ident = blocked(driven, pool)
    assert ident != driven.own
    driven.resolve(waiter, 7)
    assert future.result(PATIENCE) == 7


def test_other_calls_are_served_by_the_caller_that_drives(driven: Driven, pool: ThreadPoolExecutor) -> None:
    waiter, future, ident = blocked(driven, pool)
    assert driven.loop.run(driven.driver) == ident
    driven.resolve(waiter, 7)
    assert future.result(PATIENCE) == 7


def test_a_caller_that_has_its_outcome_hands_over(driven: Driven, pool: ThreadPoolExecutor) -> None:
    first, first_future, _ = blocked(driven, pool)
    second, second_future, _ = blocked(driven, pool)
    driven.resolve(first, 1)
    assert first_future.result(PATIENCE) == 1
    driven.resolve(second, 2)
    assert second_future.result(PATIENCE) == 2


def test_a_caller_from_deep_down_does_not_drive(driven: Driven) -> None:
    def deep(levels: int) -> int:
        return deep(levels - 1) if levels else driven.loop.run(driven.driver)

    assert deep(sys.getrecursionlimit() // 4) == driven.own
    driven.until_rest()
    assert deep(10) != driven.own


def test_the_thread_serves_callers_that_come_together(driven: Driven, pool: ThreadPoolExecutor) -> None:
    calls = [blocked(driven, pool) for _ in range(2)]
    for waiter, future, _ in calls:
        driven.resolve(waiter, 7)
        assert future.result(PATIENCE) == 7
    assert driven.loop.run(driven.driver) == driven.own
    driven.until_rest()


def test_what_is_begun_is_begun_and_told_by_the_thread(driven: Driven, pool: ThreadPoolExecutor) -> None:
    assert driven.begin(driven.driver).result(PATIENCE) == (driven.own, driven.own)
    driven.until_rest()
    waiter, future, ident = blocked(driven, pool)
    assert ident != driven.own
    assert driven.begin(driven.driver).result(PATIENCE) == (driven.own, driven.own)
    assert driven.loop.run(driven.driver) == driven.own  # a call is under way: it goes on driving
    driven.resolve(waiter, 3)
    assert future.result(PATIENCE) == 3


def test_what_was_begun_first_goes_first(driven: Driven, pool: ThreadPoolExecutor) -> None:
    """Whoever drives when they are begun."""
    for number in range(200):
        order: list[int] = []

        async def note(number: int, order: list[int] = order) -> None:
            order.append(number)

        waiter = None
        if number % 2:
            waiter, _, _ = blocked(driven, pool)
        futures = [driven.begin(partial(note, n)) for n in range(3)]
        driven.loop.run(note, 3)
        assert order == [0, 1, 2, 3]
        if waiter is not None:
            driven.resolve(waiter)
        for future in futures:
            future.result(PATIENCE)
        driven.until_rest()


def test_the_thread_attends_to_what_no_caller_waits_for(driven: Driven) -> None:
    posted, due = threading.Event(), threading.Event()

    async def set_timer() -> None:
        driven.loop.call_at(driven.loop.now() + 0.001, due.set)

    driven.loop.run(set_timer)
    assert due.wait(PATIENCE)
    driven.until_rest()
    driven.loop.post(posted.set)
    assert posted.wait(PATIENCE)


def test_many_threads(driven: Driven, pool: ThreadPoolExecutor) -> None:
    """Callers that drive and the thread take turns without losing a call."""

    async def echo(number: int) -> int:
        waiter = driven.later()
        driven.resolve(waiter, number)
        value: int = await waiter.wait()
        return value

    def work(base: int) -> None:
        for number in range(base, base + 300):
            assert driven.loop.run(echo, number) == number
            if number % 10 == 0:
                assert driven.begin(partial(echo, number)).result(PATIENCE) == (
                    number,
                    driven.own,
                )

    for future in [pool.submit(work, 1000 * number) for number in range(8)]:
        future.result(60)


def test_not_from_what_a_caller_drives(driven: Driven) -> None:
    async def main() -> int:
        with pytest.raises(UsageError, match="in the thread that does its work"):
            driven.loop.run(driven.driver)
        return threading.get_ident()

    assert driven.loop.run(main) == threading.get_ident()


def test_a_loop_may_be_called_from_another_one(driven: Driven) -> None:
    other = Driven()
    other.until_rest()

    async def main() -> int:
        return other.loop.run(other.driver)

    assert driven.loop.run(main) == other.own  # a thread drives one loop only
    other.loop.stop()
    other.loop.join(PATIENCE)


# --- Its end ------------------------------------------------------------------------------------------------------


def test_stopped_while_a_caller_drives(driven: Driven, pool: ThreadPoolExecutor) -> None:
    _, future, _ = blocked(driven, pool)
    driven.loop.stop()
    with pytest.raises(SessionClosed):
        future.result(PATIENCE)
    driven.loop.join(PATIENCE)
    with pytest.raises(SessionClosed):
        driven.loop.run(driven.driver)


def test_a_bug_ends_the_loop_whoever_drives(driven: Driven, pool: ThreadPoolExecutor) -> None:
    _, first, _ = blocked(driven, pool)
    _, second, _ = blocked(driven, pool)

    def bug() -> None:
        raise ZeroDivisionError

    driven.loop.post(bug)
    with pytest.raises(ZeroDivisionError):
        first.result(PATIENCE)
    with pytest.raises(InternalError, match="ZeroDivisionError") as info:
        second.result(PATIENCE)
    assert isinstance(info.value.__cause__, ZeroDivisionError)
    driven.loop.join(PATIENCE)


def test_fork_while_a_caller_drives(driven: Driven, pool: ThreadPoolExecutor) -> None:
    waiter, future, _ = blocked(driven, pool)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # Python 3.12 warns of threads, which this is about
        child = os.fork()
    if child == 0:
        try:
            driven.loop.run(driven.driver)
        except UsageError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    driven.resolve(waiter, 4)
    assert future.result(PATIENCE) == 4


# --- Ctrl-C -------------------------------------------------------------------------------------------------------


def test_ctrl_c_waits_for_the_end_of_the_step(driven: Driven) -> None:
    went_on, cancelled = threading.Event(), threading.Event()

    async def main() -> None:
        signal.raise_signal(signal.SIGINT)
        went_on.set()
        try:
            await park(nothing)
        except Cancelled:
            cancelled.set()
            raise

    with pytest.raises(KeyboardInterrupt):
        driven.loop.run(main)
    assert went_on.is_set()
    assert cancelled.wait(PATIENCE)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_the_last_step(driven: Driven) -> None:
    ended: list[int] = []

    async def main() -> None:
        signal.raise_signal(signal.SIGINT)
        ended.append(threading.get_ident())

    with pytest.raises(KeyboardInterrupt):
        driven.loop.run(main)
    assert ended == [threading.get_ident()]
    assert driven.loop.run(driven.driver)


def test_a_program_with_handlers_of_its_own_leaves_the_work_to_the_thread(driven: Driven) -> None:
    """They may raise what they like, and would in the middle of a step."""
    for number in (signal.SIGINT, signal.SIGALRM, signal.SIGUSR1):
        before = signal.signal(number, lambda *_: None)
        try:
            assert driven.loop.run(driven.driver) == driven.own
        finally:
            signal.signal(number, before)
        driven.until_rest()


def test_a_program_that_ignores_ctrl_c(driven: Driven) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        driven.until_rest()
    finally:
        signal.signal(signal.SIGINT, before)
