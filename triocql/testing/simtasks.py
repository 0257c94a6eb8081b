"""Tasks of the simulated reactor: how coroutines are counted, cancelled and waited for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, cast

from triocql.reactors.base import nothing
from triocql.reactors.stepping import Cancelled as SimCancelled
from triocql.reactors.stepping import Stepper, Task
from triocql.reactors.stepping import StepWaiter as SimWaiter

__all__ = ["SimCancelled", "SimTask", "SimWaiter"]

T = TypeVar("T")


class SimStepper(Stepper, Protocol):
    """Steps tasks, and says how long a cancellation holds."""

    level: bool


class SimTask(Task[T]):
    """A coroutine on its way.

    Attributes:
        checkpoints: how many times it was suspended so far.
        done: whether it has ended.
        cancelled: whether it ended with `SimCancelled`.
    """

    def __init__(
        self,
        stepper: SimStepper,
        fn: Callable[[], Coroutine[Any, Any, T]],
        name: str,
        cancel_at_checkpoint: int | None,
    ) -> None:
        super().__init__(stepper, fn, self._take_outcome)
        self.name = name
        self.checkpoints = 0
        self.cancelled = False
        self._is_level = stepper.level
        self._cancel_at = cancel_at_checkpoint
        self._cancel_requested = False
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
            waiter = SimWaiter(self._stepper, nothing)
            self._joiners.append(waiter)
            await waiter.wait()

    def where(self) -> str:
        """Return where the coroutine is suspended, as "file:line in function"."""
        if self._fn is not None:
            return "for its first step"
        inner: Any = self._coro
        while getattr(getattr(inner, "cr_await", None), "cr_frame", None) is not None:
            inner = inner.cr_await
        frame = inner.cr_frame
        if frame is None:
            return "nowhere"
        return f"at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"

    def __repr__(self) -> str:
        return f"<SimTask {self.name}{' done' if self.done else ''}>"

    # --- What the reactor calls ----------------------------------------------------------------------------

    def shield(self, by: int) -> None:
        """Hold cancellation back (1), or no longer (-1)."""
        self._shields += by

    def step(self) -> None:
        """Run until the next checkpoint or the end."""
        if self._throw:
            self._cancel_requested = self._is_level
        super().step()

    def _parked(self) -> None:
        if self.checkpoints == self._cancel_at:
            self._cancel_requested = True
        self.checkpoints += 1
        self._deliver_cancel()

    def _deliver_cancel(self) -> None:
        if self._cancel_requested and not self._shields and (self._abort is not None or not self._is_level):
            super().cancel()

    def _take_outcome(self, value: T | None, error: BaseException | None) -> None:
        self.cancelled = isinstance(error, SimCancelled)
        self._value = value
        self._error = error
        for waiter in self._joiners:
            waiter.resolve(None)
