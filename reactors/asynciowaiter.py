# cython: language_level=3, annotation_typing=False, nonecheck=True
# cython: freethreading_compatible=False
"""Waiters on asyncio, and what wakes them.

A task waits for one of them as for a future, which it is like as far as tasks need: asyncio takes for one whatever has
`_asyncio_future_blocking`. It is one object in place of a future and what is around it; and those that a batch of
answers resolves are woken in one step of the loop, as a step for each costs more than all the rest of waiting.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context

_running_loop = asyncio._get_running_loop  # which also says whether this is the loop's thread


class Waker:
    """Wakes the tasks of one loop whose waits have ended, in the order of their ends, in its next step.

    Args:
        loop: the loop.
        check_caller: raises UsageError outside of it.
        waiting: what a task goes through as long as it waits: `waiting`, which cannot be compiled.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        check_caller: Callable[[], None],
        waiting: Callable[[AsyncioWaiter], Awaitable[Any]],
    ) -> None:
        self.loop = loop
        self.check_caller = check_caller
        self.waiting = waiting
        self._ended: list[AsyncioWaiter] = []

    def wake_soon(self, waiter: AsyncioWaiter) -> None:
        """Wake the task that waits for `waiter`."""
        if not self._ended:
            self.loop.call_soon(self._wake)
        self._ended.append(waiter)  # not before: what has raised has told nobody

    def _wake(self) -> None:
        ended: list[AsyncioWaiter] = []
        try:
            ended, self._ended = self._ended, ended
            ended.reverse()
            while ended:
                ended[-1].wake()
                ended.pop()  # not before: Ctrl-C may come at any place
        finally:
            if ended:  # a task has ended by SystemExit, and the loop with it, unless it is run again
                self._ended = ended[::-1] + self._ended
                self.resume()

    def resume(self) -> None:
        """Make up for a step that was taken from the loop and has not begun, as Ctrl-C may have it."""
        if self._ended:
            self.loop.call_soon(self._wake)


class AsyncioWaiter:
    """A waiter that tasks take for a future."""

    __slots__ = (
        "_asyncio_future_blocking",
        "_callback",
        "_context",
        "_done",
        "_error",
        "_loop",
        "_message",
        "_on_cancel",
        "_value",
        "_waker",
        "is_gone",
    )

    def __init__(self, waker: Waker, on_cancel: Callable[[], None]) -> None:
        self._loop = loop = waker.loop
        if _running_loop() is not loop:
            waker.check_caller()
        self._waker = waker
        self._on_cancel = on_cancel
        self._value: Any = None
        self._error: BaseException | None = None
        self._done = self.is_gone = self._asyncio_future_blocking = False
        self._message: Any = None
        self._callback: Callable[[AsyncioWaiter], object] | None = None
        self._context: Context | None = None

    def resolve(self, value: Any) -> None:
        """End the wait with a value (`Waiter`)."""
        if not self._done:
            if self._callback is not None:
                self._waker.wake_soon(self)
            self._value = value
            self._done = True

    def reject(self, error: BaseException) -> None:
        """End the wait with an error (`Waiter`)."""
        if not self._done:
            if self._callback is not None:
                self._waker.wake_soon(self)
            self._error = error
            self._done = True

    def wait(self) -> Awaitable[Any]:
        """Wait for the outcome: always a checkpoint (`Waiter`)."""
        return self._waker.waiting(self)

    def begin(self) -> AsyncioWaiter | None:
        """Return what a task is to be given, for it to wait; None if it need not."""
        if self._done:
            return None
        self._asyncio_future_blocking = True
        return self

    def give_up(self) -> None:
        """Called when something was raised in the task where it waited: a cancellation, mostly."""
        self._done = self.is_gone = True
        self._on_cancel()

    def outcome(self) -> Any:
        """Return the value, or raise the error."""
        if self._error is None:
            return self._value
        try:
            raise self._error
        finally:
            self._error = None  # else the error's traceback would lead to the error

    # --- What tasks need of a future -----------------------------------------------------------------------

    def add_done_callback(self, fn: Callable[[AsyncioWaiter], object], *, context: Context) -> None:
        """Called by the task that waits, with what wakes it."""
        self._callback = fn
        self._context = context

    def cancel(self, msg: Any = None) -> bool:
        """Called by the task when it is cancelled; returns whether it has to be woken for that."""
        if self._done:
            return False
        self._waker.wake_soon(self)
        self._message = msg
        self._done = self.is_gone = True
        return True

    def result(self) -> None:
        """Called by the task when it is woken. Raises CancelledError if it was cancelled."""
        if self.is_gone:
            raise asyncio.CancelledError(*() if self._message is None else (self._message,))

    def wake(self) -> None:
        """Let the task go on, which is known no more then: it may lead here by what it raises."""
        callback, context, self._callback = self._callback, self._context, None
        if callback is not None and context is not None:
            context.run(callback, self)
