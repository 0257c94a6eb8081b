"""Calls that threads make to a `ThreadLoop`: the task, and the slot in which its outcome is waited for."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from triocql.errors import InternalError, SessionClosed

from .stepping import Cancelled, Task

T = TypeVar("T")


class Call(Task[T]):
    """A task that somebody outside the loop waits for."""

    __slots__ = ()

    is_call = True


class Slot(Generic[T]):
    """Holds the outcome of one task for the one thread that waits for it.

    Attributes:
        full: whether the outcome is there.
    """

    __slots__ = ("_error", "_lock", "_value", "full")

    def __init__(self) -> None:
        self.full = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    def put(self, value: T | None, error: BaseException | None) -> None:
        """Set the outcome; called by whoever drives the loop."""
        self._value = value
        self._error = error
        self.full = True
        self._lock.release()

    def wait(self) -> None:
        """Wait for the outcome."""
        self._lock.acquire()

    def take(self, cause: BaseException | None = None) -> T:
        """Return the result, or raise; `cause` is what the loop has ended by, if that was a failure."""
        if self._error is None:
            return self._value  # type: ignore[return-value]
        try:
            raise error_for_caller(self._error, cause)
        finally:
            self._error = None  # else the error's traceback would lead to the error


def error_for_caller(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Return what the caller of a task gets to see of an error: a task that was cancelled unasked, the loop has ended.

    `cause` is what the loop has ended by, if that was a failure.
    """
    if not isinstance(error, Cancelled):
        return error
    if cause is not None:
        return ended_by(cause)
    return SessionClosed("the session was closed before the call had ended")


def ended_by(cause: BaseException) -> InternalError:
    """Return the error of what is asked of a loop that has ended by a failure."""
    error = InternalError(f"the session has ended: {cause!r} was raised in the thread that did its work")
    error.__cause__ = cause
    error.maybe_executed = True
    return error
