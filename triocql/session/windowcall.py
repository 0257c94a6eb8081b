"""The base of calls that execute many statements: a window, a first failure, a deadline, and one waiter."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from triocql._hints import check_session
from triocql.config.checks import require_integer, require_seconds
from triocql.errors import Error, RequestTimeout, UsageError
from triocql.protocol.constants import MAX_INT

if TYPE_CHECKING:
    from triocql.abc import Waiter
    from triocql.engine.executing import Window
    from triocql.session.session import Session


class ExecutionResult(NamedTuple):
    """The outcome of one statement: whether it succeeded, and its `Result` or its exception."""

    success: bool
    result_or_exc: Any


class WindowCall:
    """One call: its window, the failure that ends it, its deadline, and somebody who waits."""

    def __init__(self, session: Session, timeout: float | None) -> None:
        check_session(session, blocks=False)
        self.session = session
        self.failure: BaseException | None = None
        self.window: Window
        self._waiter: Waiter[None] | None = None
        self._condition: Callable[[], bool] = bool
        self._timeout = timeout
        self._cancel_timer: Callable[[], None] | None = None

    def begin(self) -> None:
        """Set the timer of the call."""
        if self._timeout is not None and self._timeout < inf:
            reactor = self.session.reactor
            self._cancel_timer = reactor.call_at(reactor.now() + self._timeout, self._time_out)

    def end(self) -> None:
        """Abandon what is under way."""
        if self._cancel_timer is not None:
            self._cancel_timer()
        self.window.stop()

    def fail(self, error: BaseException) -> None:
        """End the call with its first error: nothing further is sent."""
        if self.failure is None:
            self.failure = error
            if isinstance(error, Error) and error.index is not None:
                error.add_note(f"statement {error.index} of the call, counted from 0")
            self.window.stop()
        self.check()

    def check(self) -> None:
        """Wake whoever waits, if there is a reason to."""
        if self._waiter is not None and (self.failure is not None or self._condition()):
            self._waiter.resolve(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for `condition` or a failure. A checkpoint, always."""
        if self._waiter is not None:
            raise UsageError("two tasks iterate over the same stream; give each its own")
        self._condition = condition
        try:
            self._waiter = self.session.reactor.waiter(nothing)
            self.check()
            await self._waiter.wait()
        finally:
            self._waiter = None

    def raise_failure(self) -> None:
        """Raise what ended the call, if anything did."""
        if self.failure is not None:
            raise self.failure

    def _time_out(self) -> None:
        assert self._timeout is not None
        self.fail(
            RequestTimeout(
                f"not all statements were executed within {self._timeout:g} s",
                phase="waiting",
                written=True,
                timeout=self._timeout,
            )
        )


def nothing() -> None:
    """The `on_cancel` of a wait in a call: the calls end by themselves when they are unwound."""


def check_call(concurrency: int, timeout: float | None) -> None:
    """Raise OptionError unless `concurrency` is a number of requests, and `timeout` one of seconds or None."""
    require_integer(concurrency, "concurrency", 1, MAX_INT)
    if timeout is not None:
        require_seconds(timeout, "timeout")


def ends_call(error: BaseException, raise_on_first_error: bool) -> bool:
    """Return whether the error of one statement ends the whole call; SystemExit and the like always do."""
    return raise_on_first_error or not isinstance(error, Exception)
