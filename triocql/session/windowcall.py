"""The bases of calls that execute many statements: a window, a first failure, a deadline, and one waiter."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from triocql.config.checks import require_integer, require_seconds
from triocql.config.profiles import DEFAULT
from triocql.config.requests import INHERIT
from triocql.errors import Error, RequestTimeout, UsageError
from triocql.protocol.constants import MAX_INT

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.abc import Waiter
    from triocql.engine.executing import Entry, Window
    from triocql.engine.requests import Response
    from triocql.session.context import SessionContext
    from triocql.session.outcomes import ExecutionResult, ResultMaker


class WindowCall:
    """One call. Raises OptionError for an argument that is not valid.

    Args:
        context: starts the requests.
        results: makes what users get for responses.
        concurrency: how many statements are under way, or wait to be taken, at the same time.
        raise_on_first_error: whether an error ends the call, or is an outcome.
        timeout: seconds for all of it, None for as long as it takes.
        profile: that of the requests; None for the session's own options.

    Attributes:
        call: the options of each request.
        failure: the error that has ended the call.
        window: starts the requests; set by the kinds of calls.
    """

    window: Window

    def __init__(
        self,
        context: SessionContext,
        results: ResultMaker,
        concurrency: int,
        raise_on_first_error: bool,
        timeout: float | None,
        profile: str | None,
    ) -> None:
        require_integer(concurrency, "concurrency", 1, MAX_INT)
        if timeout is not None:
            require_seconds(timeout, "timeout")
        self.context = context
        self.call = INHERIT if profile is None else context.call_options({"profile": profile})
        context.executor.settings.of_profile(self.call.profile or DEFAULT)  # which raises if there is none
        self.results = results
        self.concurrency = concurrency
        self.raises = raise_on_first_error
        self.failure: BaseException | None = None
        self._timeout = timeout
        self._waiter: Waiter[None] | None = None
        self._condition: Callable[[], bool] = bool
        self._cancel_timer: Callable[[], None] | None = None

    def begin(self) -> None:
        """Set the timer of the call."""
        if self._timeout is not None and self._timeout < inf:
            reactor = self.context.reactor
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

    def is_ended_by(self, error: BaseException) -> bool:
        """Return whether the error of one statement ends the whole call; SystemExit and the like always do."""
        return self.raises or not isinstance(error, Exception)

    def source_ended(self, error: BaseException | None) -> None:
        """Called when the async iterator has ended, or raised. The end of the session cancels it, too."""
        router = self.context.executor.router
        if error is None:
            self.check()
        elif router.ending is not None and not isinstance(error, Exception):
            self.fail(router.ended_error())
        else:
            self.fail(error)

    def check(self) -> None:
        """Wake the task that waits, if there is a reason to."""
        if self._waiter is not None and (self.failure is not None or self._condition()):
            self._waiter.resolve(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for `condition` or a failure. A checkpoint, always."""
        if self._waiter is not None:
            raise UsageError("two tasks iterate over the same stream; give each its own")
        self._condition = condition
        try:
            self._waiter = self.context.waiter(_nothing)
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


class StreamingCall(WindowCall):
    """One call of `stream_concurrent`: outcomes occupy room in the window until they are consumed.

    Args:
        ordered: whether outcomes are handed over in the order of the input, or in that of their ends.

    Attributes:
        ready: the outcomes that have come and were not handed over, by the indexes of their statements.
        handed_over: how many were.
    """

    def __init__(
        self,
        context: SessionContext,
        results: ResultMaker,
        concurrency: int,
        raise_on_first_error: bool,
        timeout: float | None,
        profile: str | None,
        *,
        ordered: bool,
    ) -> None:
        super().__init__(context, results, concurrency, raise_on_first_error, timeout, profile)
        self.ready: dict[int, ExecutionResult] = {}
        self._ordered = ordered
        self.handed_over = 0

    def ended(self, entry: Entry, response: Response | None, error: BaseException | None) -> None:
        """Called with the outcome of an entry of the window."""
        if error is not None and self.is_ended_by(error):
            self.fail(error)
            return
        self.ready[entry.index] = self.results.outcome(entry, response, error)
        self.window.occupied += 1
        self.check()

    @property
    def has_next(self) -> bool:
        """Whether `pop` has an outcome."""
        return self.handed_over in self.ready if self._ordered else bool(self.ready)

    def pop(self) -> ExecutionResult | None:
        """Return the next outcome, None if it has not come. Its room stays occupied."""
        index = self.handed_over if self._ordered else next(iter(self.ready), -1)
        result = self.ready.pop(index, None)
        if result is not None:
            self.handed_over += 1
        return result


def _nothing() -> None:
    """The `on_cancel` of a wait in a call: the calls end by themselves when they are unwound."""
