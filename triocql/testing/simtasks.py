"""Tasks and waiters of the simulated reactor: how coroutines are stepped, counted and cancelled."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from triocql.reactors.base import nothing

if TYPE_CHECKING:
    from .simulated import SimulatedReactor

T = TypeVar("T")


class SimCancelled(BaseException):
    """Raised in a task that was cancelled."""


Abort = Callable[[], None]


@coroutine
def park(abort: Abort) -> Generator[Abort, None, None]:
    """Suspend the running task until it is rescheduled; `abort` is called if it is cancelled instead."""
    yield abort


class SimTask(Generic[T]):
    """A coroutine on its way.

    Attributes:
        checkpoints: how many times it was suspended so far.
        done: whether it has ended.
        cancelled: whether it ended with `SimCancelled`.
    """

    def __init__(
        self,
        reactor: SimulatedReactor,
        coro: Coroutine[Any, Any, T],
        name: str,
        cancel_at_checkpoint: int | None,
    ) -> None:
        self.name = name
        self.checkpoints = 0
        self.done = False
        self.cancelled = False
        self._reactor = reactor
        self._coro = coro
        self._cancel_at = cancel_at_checkpoint
        self._context = contextvars.copy_context()
        self._abort: Abort | None = None
        self._cancel_requested = False
        self._throw = False
        self._shields = 0
        self._value: T | None = None
        self._error: BaseException | None = None
        self._joiners: list[SimWaiter] = []

    def cancel(self) -> None:
        """Raise `SimCancelled` where the task is suspended: once, or from then on everywhere (`level=True`).

        A task that is about to be resumed gets it in place of its result, as on asyncio; with `level=True` it gets
        it at its next checkpoint, as on Trio.
        """
        if not self.done:
            self._cancel_requested = True
            self._deliver_cancel()

    def result(self) -> T:
        """Return what the coroutine returned; raises what it raised."""
        if not self.done:
            raise RuntimeError(f"{self.name} has not ended: it waits {self.where()}")
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    async def wait(self) -> None:
        """Wait until the task has ended; raises nothing of it."""
        if not self.done:
            waiter = self._reactor.waiter(nothing)
            self._joiners.append(waiter)
            await waiter.wait()

    def where(self) -> str:
        """Return where the coroutine is suspended, as "file:line in function"."""
        inner: Any = self._coro
        while getattr(getattr(inner, "cr_await", None), "cr_frame", None) is not None:
            inner = inner.cr_await
        frame = inner.cr_frame
        if frame is None:
            return "nowhere"
        return f"at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"

    def __repr__(self) -> str:
        return f"<SimTask {self.name}{' done' if self.done else ''}>"

    # --- What the reactor and the waiters call -------------------------------------------------------------

    def reschedule(self) -> None:
        """Have a parked task go on in the next turn."""
        self._abort = None
        self._reactor.soon(self.step)

    def shield(self, by: int) -> None:
        """Hold cancellation back (1), or no longer (-1)."""
        self._shields += by

    def _deliver_cancel(self) -> None:
        if not self._cancel_requested or self._shields:
            return
        if self._abort is not None:
            abort = self._abort
            self._throw = True
            self.reschedule()
            abort()
        elif not self._reactor.level:
            self._throw = True

    def step(self) -> None:
        """Run until the next checkpoint or the end."""
        self._reactor.current, before = self, self._reactor.current
        try:
            if self._throw:
                self._throw = False
                self._cancel_requested = self._reactor.level
                abort = self._context.run(self._coro.throw, SimCancelled())
            else:
                abort = self._context.run(self._coro.send, None)
        except StopIteration as stop:
            self._end(stop.value, None)
        except BaseException as error:
            self._end(None, error)
        else:
            self._parked(abort)
        finally:
            self._reactor.current = before

    def _parked(self, abort: Abort) -> None:
        self._abort = abort
        if self.checkpoints == self._cancel_at:
            self._cancel_requested = True
        self.checkpoints += 1
        self._deliver_cancel()

    def _end(self, value: T | None, error: BaseException | None) -> None:
        self.done = True
        self.cancelled = isinstance(error, SimCancelled)
        self._value = value
        self._error = error
        self._reactor.ended(self)
        for waiter in self._joiners:
            waiter.resolve(None)


class SimWaiter:
    """A waiter of the simulated reactor."""

    __slots__ = ("_done", "_error", "_on_cancel", "_reactor", "_task", "_value")

    def __init__(self, reactor: SimulatedReactor, on_cancel: Callable[[], None]) -> None:
        self._reactor = reactor
        self._on_cancel = on_cancel
        self._done = False
        self._value: Any = None
        self._error: Exception | None = None
        self._task: SimTask[Any] | None = None

    def resolve(self, value: Any) -> None:
        """Give the value."""
        if not self._done:
            self._done = True
            self._value = value
            self._wake()

    def reject(self, error: Exception) -> None:
        """Give the error."""
        if not self._done:
            self._done = True
            self._error = error
            self._wake()

    async def wait(self) -> Any:
        """Wait for the outcome: always a checkpoint."""
        self._task = self._reactor.current_task()
        if self._done:
            self._reactor.soon(self._wake)
        try:
            await park(self._leave)
        except BaseException:
            self._done = True
            self._on_cancel()
            raise
        if self._error is not None:
            raise self._error
        return self._value

    def _wake(self) -> None:
        task = self._task
        if task is not None:
            self._task = None
            task.reschedule()

    def _leave(self) -> None:
        self._task = None
