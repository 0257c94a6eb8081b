"""The future that `execute_async` of a blocking session gives."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from triocql._hints import FUTURE, old_names
from triocql.config.checks import require_seconds
from triocql.errors import Abandoned
from triocql.observability.logs import get_logger
from triocql.reactors.calls import Call, error_for_caller
from triocql.reactors.threadloop import running_thread_loop

if TYPE_CHECKING:
    from typing import Self

    from triocql.reactors.threadloop import ThreadLoop
    from triocql.sync.results import Result

R = TypeVar("R")

logger = get_logger(__name__)

_FOR_EVER = 1e9  # seconds; more than the locks of every system can take


@old_names(FUTURE)
class ResultFuture(Future["Result[R]"]):
    """A request that is under way: a `concurrent.futures.Future`, with the callbacks of cassandra-driver's.

    Callbacks are called once, in the session's own thread, or at once if the request has ended. They
    must be short, and must not wait: `Session.execute` raises UsageError there; `Session.execute_async` is fine.

    >>> future = session.execute_async("SELECT * FROM users WHERE id = ?", [7])        # doctest: +SKIP
    >>> future.add_callbacks(lambda result: print(result.one()), lambda error: print(error))  # doctest: +SKIP
    >>> future.result().one()                                                          # doctest: +SKIP
    """

    def __init__(
        self,
        loop: ThreadLoop,
        execute: Callable[[], Coroutine[Any, Any, Any]],
        make_result: Callable[[Any], Result[R]],
    ) -> None:
        super().__init__()
        self._loop = loop
        self._call = Call(loop, execute, self._end)
        self._make_result = make_result
        loop.begin(self._call)

    # --- Called by users ------------------------------------------------------------------------------------

    def add_callback(self, fn: Callable[..., object], *args: Any, **kwargs: Any) -> Self:
        """Call ``fn(result, *args, **kwargs)`` if the request succeeds. What it raises is logged."""

        def ended(future: Future[Result[R]]) -> None:
            if not future.cancelled() and future.exception() is None:
                fn(future.result(), *args, **kwargs)

        self.add_done_callback(ended)
        return self

    def add_errback(self, fn: Callable[..., object], *args: Any, **kwargs: Any) -> Self:
        """Call ``fn(error, *args, **kwargs)`` if the request fails, with Abandoned if it is cancelled."""

        def ended(future: Future[Result[R]]) -> None:
            error = Abandoned("the request was cancelled") if future.cancelled() else future.exception()
            if error is not None:
                fn(error, *args, **kwargs)

        self.add_done_callback(ended)
        return self

    def add_callbacks(
        self,
        callback: Callable[..., object],
        errback: Callable[..., object],
        callback_args: Sequence[Any] = (),
        callback_kwargs: Mapping[str, Any] | None = None,
        errback_args: Sequence[Any] = (),
        errback_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Add both: one of them is called, once."""
        self.add_callback(callback, *callback_args, **(callback_kwargs or {}))
        return self.add_errback(errback, *errback_args, **(errback_kwargs or {}))

    def add_done_callback(self, fn: Callable[[Future[Result[R]]], object]) -> None:
        """Call ``fn(future)`` once the request has ended. What it raises is logged; that goes for SystemExit and the
        like, too, in the session's own thread, where nobody is to be told.
        """
        super().add_done_callback(partial(self._tell, fn))

    def result(self, timeout: float | None = None) -> Result[R]:
        """Return the `Result`, waiting for it, `timeout` seconds at most; 0 does not wait.

        Raises what the request failed with, TimeoutError, CancelledError, OptionError for a timeout that is none, and
        UsageError in callbacks, where waiting would be for ever.
        """
        return super().result(self._may_wait(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the request failed with, None if it succeeded; waits and raises as `result` does."""
        return super().exception(self._may_wait(timeout))

    def cancel(self) -> bool:
        """Abandon the request; returns whether it was still under way. It may have been executed all the same."""
        cancelled = super().cancel()
        if cancelled:
            self._loop.post(self._call.cancel)
        return cancelled

    # --- Called by the session -----------------------------------------------------------------------------

    def _end(self, result: Any, error: BaseException | None) -> None:
        """Set the outcome, unless the future was cancelled meanwhile."""
        with suppress(InvalidStateError):
            if error is not None:
                self.set_exception(error_for_caller(error, self._loop.failure))
            else:
                self.set_result(self._make_result(result))

    def _may_wait(self, timeout: float | None) -> float | None:
        """Return how long to wait, None for as long as it takes. Raises OptionError and UsageError."""
        if timeout is not None:
            require_seconds(timeout, "timeout", zero=True)
        if not self.done():
            self._loop.check_may_block()
        return None if timeout is None or timeout > _FOR_EVER else timeout

    def _tell(self, fn: Callable[[Future[Result[R]]], object], _: Future[Result[R]]) -> None:
        try:
            fn(self)
        except BaseException as error:
            if not isinstance(error, Exception) and running_thread_loop() is not self._loop:
                raise  # whoever adds it to a request that has ended calls it
            logger.exception("a callback of a request failed")
