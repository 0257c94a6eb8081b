"""Coroutines without an event loop's help: tasks that are stepped, and the waiters that they are parked in."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

Abort = Callable[[], None]


class Cancelled(BaseException):
    """Raised in a task that was cancelled."""


class Stepper(Protocol):
    """Steps tasks, one at a time."""

    current: Task[Any] | None

    def remember(self, task: Task[Any]) -> None:
        """Called when a task begins."""

    def forget(self, task: Task[Any]) -> None:
        """Called when a task has ended."""

    def soon(self, fn: Callable[[], None]) -> None:
        """Call `fn` in the next turn."""


@coroutine
def park(abort: Abort) -> Generator[Abort, None, None]:
    """Suspend the running task until it is rescheduled; `abort` is called if it is cancelled instead."""
    yield abort


class Task(Generic[T]):
    """A coroutine on its way, in the contextvars of whoever made the task; `on_end` is told how it ended.

    The first step makes the coroutine: a task that is never stepped leaves none that was never awaited.
    """

    __slots__ = ("_abort", "_context", "_coro", "_fn", "_on_end", "_stepper", "_throw", "done")

    is_call = False
    """Whether somebody outside the loop waits for it."""

    def __init__(
        self,
        stepper: Stepper,
        fn: Callable[[], Coroutine[Any, Any, T]],
        on_end: Callable[[T | None, BaseException | None], None],
    ) -> None:
        self.done = False
        self._stepper = stepper
        self._fn: Callable[[], Coroutine[Any, Any, T]] | None = fn
        self._coro: Coroutine[Any, Any, T]
        self._on_end = on_end
        self._context = contextvars.copy_context()
        self._abort: Abort | None = None
        self._throw = False

    def cancel(self) -> None:
        """Raise `Cancelled`, once, where the task is suspended or will be next.

        A task that is about to be resumed gets it in place of its result.
        """
        if self.done:
            return
        self._throw = True
        if (abort := self._abort) is not None:
            self.reschedule()
            abort()

    def reschedule(self) -> None:
        """Have a parked task go on in the next turn."""
        self._abort = None
        self._stepper.soon(self.step)

    def step(self) -> None:
        """Run until the next checkpoint or the end."""
        self._stepper.current, before = self, self._stepper.current
        outcome = None
        try:
            outcome = self._advance()
            if outcome is None:
                self._parked()
            else:
                self._end(*outcome)
        finally:
            self._stepper.current = before
            del outcome  # else the error's traceback would lead to the error

    def _advance(self) -> tuple[T | None, BaseException | None] | None:
        """Resume the coroutine; return how it ended, None if it has not.

        Nobody is told here: what they raise would have the coroutine's end as its context.
        """
        try:
            if self._fn is not None:
                self._stepper.remember(self)
                self._coro, self._fn = self._fn(), None
            if self._throw:
                self._throw = False
                self._abort = self._context.run(self._coro.throw, Cancelled())
            else:
                self._abort = self._context.run(self._coro.send, None)
        except StopIteration as stop:
            return stop.value, None
        except BaseException as error:
            return None, error
        return None

    def _parked(self) -> None:
        if self._throw:  # it was cancelled while it ran
            self.cancel()

    def _end(self, value: T | None, error: BaseException | None) -> None:
        self.done = True
        self._stepper.forget(self)
        self._on_end(value, error)


class StepWaiter:
    """A waiter for tasks that are stepped."""

    __slots__ = ("_done", "_error", "_on_cancel", "_stepper", "_task", "_value", "is_gone")

    def __init__(self, stepper: Stepper, on_cancel: Callable[[], None]) -> None:
        self._stepper = stepper
        self._on_cancel = on_cancel
        self.is_gone = False
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._task: Task[Any] | None = None

    def resolve(self, value: Any) -> None:
        """End the wait with a value (`Waiter`)."""
        if not self._done:
            self._done = True
            self._value = value
            self._wake()

    def reject(self, error: BaseException) -> None:
        """End the wait with an error (`Waiter`)."""
        if not self._done:
            self._done = True
            self._error = error
            self._wake()

    async def wait(self) -> Any:
        """Wait for the outcome: always a checkpoint."""
        self._task = self._stepper.current
        if self._done:
            self._stepper.soon(self._wake)
        try:
            await park(self._leave)
        except BaseException:
            self._done = True
            self._task = None  # it may not have got so far as to wait
            self._on_cancel()
            raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # else the error's traceback would lead to the error
        return self._value

    def _wake(self) -> None:
        task = self._task
        if task is not None:
            self._task = None
            task.reschedule()

    def _leave(self) -> None:
        self._task = None
        self.is_gone = True
