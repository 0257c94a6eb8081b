"""Many statements at once: `execute_concurrent`, `stream_concurrent`, and what they stand on."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from triocql.engine.hot import CollectingWindow, Entry, PullingWindow, Window
from triocql.errors import OptionError, RequestTimeout, UsageError
from triocql.statements import INHERIT

if TYPE_CHECKING:
    from typing import Self

    from triocql.abc import Waiter
    from triocql.engine.response import Response
    from triocql.session import Session
    from triocql.statements import Parameters

Item: TypeAlias = Any
"""A statement, or a pair of a statement and its parameters."""

Statements: TypeAlias = Iterable[Item] | AsyncIterable[Item]


class ExecutionResult(NamedTuple):
    """The outcome of one statement: whether it succeeded, and its `Result` or its exception."""

    success: bool
    result_or_exc: Any


async def execute_concurrent(
    session: Session,
    statements_and_parameters: Statements,
    concurrency: int = 100,
    raise_on_first_error: bool = True,
    *,
    timeout: float | None = None,
) -> list[ExecutionResult]:
    """Execute many statements, `concurrency` of them at a time, and return the outcomes in the order of the input.

    Args:
        session: the session.
        statements_and_parameters: statements (text, `Statement`, prepared, bound, `Batch`) or pairs of a statement
            and its parameters; a list, a generator or an async iterator, taken from as there is room. An iterator
            is taken from on the event loop and must not block it.
        concurrency: how many are under way at the same time.
        raise_on_first_error: raise the first error as it is, after everything else of this call was abandoned;
            with False, errors are outcomes like any other.
        timeout: seconds for all of it; each request has its own timeout besides.

    Raises ValueError for a concurrency below 1, RequestTimeout after `timeout`, and what `execute` raises. Once it
    has raised or was cancelled, nothing further is sent.

    >>> results = await execute_concurrent(session, [(insert, (i, "x")) for i in range(1000)])  # doctest: +SKIP
    >>> all(result.success for result in results)                                              # doctest: +SKIP
    True
    """
    check_concurrency(concurrency)
    run = _Run(session, concurrency, raise_on_first_error, timeout)
    if isinstance(statements_and_parameters, AsyncIterable):
        return await run.feed(AsyncPairs(statements_and_parameters, _pair))
    return await run.pull(pairs(statements_and_parameters))


async def execute_concurrent_with_args(
    session: Session,
    statement: Any,
    parameters: Iterable[Parameters] | AsyncIterable[Parameters],
    concurrency: int = 100,
    raise_on_first_error: bool = True,
    *,
    timeout: float | None = None,
) -> list[ExecutionResult]:
    """Execute one statement with many values: as `execute_concurrent` for ``(statement, values)`` each.

    >>> rows = ((i, str(i)) for i in range(100_000))                                      # doctest: +SKIP
    >>> await execute_concurrent_with_args(session, insert, rows, concurrency=200)        # doctest: +SKIP
    """
    check_concurrency(concurrency)
    run = _Run(session, concurrency, raise_on_first_error, timeout)
    if isinstance(parameters, AsyncIterable):
        return await run.feed(AsyncPairs(parameters, lambda values: (statement, values)))
    return await run.pull((statement, values) for values in parameters)


def stream_concurrent(
    session: Session,
    statements_and_parameters: Statements,
    concurrency: int = 100,
    raise_on_first_error: bool = True,
    *,
    ordered: bool = True,
    timeout: float | None = None,
) -> ConcurrentStream:
    """Execute many statements and hand over the outcomes one by one, in bounded memory.

    What is under way and what has ended but was not taken yet are `concurrency` together: a slow consumer slows the
    sending down. Leaving the block abandons the rest.

    Args:
        session: the session.
        statements_and_parameters: as for `execute_concurrent`; taken from by the consumer's own steps.
        concurrency: how many are under way or wait to be taken.
        raise_on_first_error: raise the first error, after the outcomes that were there before it.
        ordered: outcomes in the order of the input; with False, in the order of their ends.
        timeout: seconds for all of it.

    Returns an async context manager over an async iterator of `ExecutionResult`.

    >>> async with stream_concurrent(session, ((select, [k]) for k in keys)) as results:   # doctest: +SKIP
    ...     async for success, result in results:
    ...         print(result.one())
    """
    check_concurrency(concurrency)
    return ConcurrentStream(
        session,
        statements_and_parameters,
        concurrency,
        raise_on_first_error,
        ordered=ordered,
        timeout=timeout,
    )


class WindowCall:
    """What every call here has: a window, a failure that ends it, a deadline, and somebody who waits."""

    def __init__(self, session: Session, timeout: float | None) -> None:
        self.session = session
        self.failure: Exception | None = None
        self.window: Window
        self._waiter: Waiter[None] | None = None
        self._condition: Callable[[], bool] = bool
        self._timeout = timeout
        self._cancel_timer: Callable[[], None] | None = None

    def begin(self) -> None:
        """Set the timer of the call."""
        if self._timeout is not None:
            reactor = self.session.reactor
            self._cancel_timer = reactor.call_at(reactor.now() + self._timeout, self._time_out)

    def end(self) -> None:
        """Abandon what is under way."""
        if self._cancel_timer is not None:
            self._cancel_timer()
        self.window.stop()

    def fail(self, error: Exception) -> None:
        """End the call with its first error: nothing further is sent."""
        if self.failure is None:
            self.failure = error
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
        self._waiter = self.session.reactor.waiter(_nothing)
        self.check()
        try:
            await self._waiter.wait()
        finally:
            self._waiter = None

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


class _Run(WindowCall):
    """One call of `execute_concurrent`."""

    def __init__(
        self, session: Session, concurrency: int, raise_on_first_error: bool, timeout: float | None
    ) -> None:
        WindowCall.__init__(self, session, timeout)
        self._results: list[ExecutionResult] = []
        self._concurrency = concurrency
        self._raise = raise_on_first_error

    async def pull(self, source: Iterator[tuple[Any, Parameters]]) -> list[ExecutionResult]:
        """Execute what an iterator gives."""
        self.window = window = CollectingWindow(
            self.session.executor,
            self._concurrency,
            INHERIT,
            source,
            pair=ExecutionResult,
            make_result=self.session.result,
            stop_on_error=self._raise,
            on_error=self.fail,
            on_over=self.check,
        )
        self.begin()
        try:
            self.session.protected(window.pump)
            await self.until(lambda: window.is_over)
            self._raise_failure()
        finally:
            self.end()
        return window.outcomes

    async def feed(self, source: AsyncIterator[tuple[Any, Parameters]]) -> list[ExecutionResult]:
        """Execute what an async iterator gives."""
        self.window = window = Window(self.session.executor, self._concurrency, INHERIT, self._ended)
        self.begin()
        try:
            async for statement, parameters in source:
                await self.until(lambda: window.has_room)
                self._raise_failure()
                self.session.protected(window.start, statement, parameters)
            await self.until(lambda: window.is_idle)
            self._raise_failure()
        finally:
            self.end()
        return self._results

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _ended(self, entry: Entry, response: Response | None, error: Exception | None) -> None:
        results, index = self._results, entry.index
        while len(results) <= index:
            results.append(_PENDING)
        results[index] = outcome(self.session, entry, response, error)
        if error is not None and self._raise:
            self.fail(error)
        self.check()


class ConcurrentStream(WindowCall):
    """Made by `stream_concurrent`: an async context manager over an async iterator of `ExecutionResult`."""

    def __init__(
        self,
        session: Session,
        statements_and_parameters: Statements,
        concurrency: int,
        raise_on_first_error: bool,
        *,
        ordered: bool,
        timeout: float | None,
    ) -> None:
        WindowCall.__init__(self, session, timeout)
        self._source = statements_and_parameters
        self._async_source: AsyncIterator[tuple[Any, Parameters]] | None = None
        self._concurrency = concurrency
        self._raise = raise_on_first_error
        self._ordered = ordered
        self._ready: dict[int, ExecutionResult] = {}
        self._taken = 0
        self._entered = False

    async def __aenter__(self) -> Self:
        if self._entered:
            raise UsageError("a stream is entered once; call stream_concurrent again")
        self._entered = True
        items: Iterator[tuple[Any, Parameters]] = iter(())
        if isinstance(self._source, AsyncIterable):
            self._async_source = AsyncPairs(self._source, _pair)
        else:
            items = pairs(self._source)
        executor = self.session.executor
        self.window = PullingWindow(executor, self._concurrency, INHERIT, self._ended, items, self.fail)
        self.begin()
        self.session.protected(self._pulling.pump)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.end()
        self._async_source = None
        self._ready.clear()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ExecutionResult:
        if not self._entered:
            raise UsageError("write `async with stream_concurrent(...) as results:` around the loop")
        while True:
            result = self._take()
            if result is not None:
                return result
            if self.failure is not None:
                raise self.failure
            if self._async_source is not None and self.window.has_room:
                await self._pull_one(self._async_source)
            elif self._pulling.is_over and self._async_source is None:
                raise StopAsyncIteration
            else:
                await self.until(self._has_news)

    @property
    def _pulling(self) -> PullingWindow:
        assert isinstance(self.window, PullingWindow)
        return self.window

    def _take(self) -> ExecutionResult | None:
        """Return the next outcome if it is here, and let another statement take its room."""
        index = self._taken if self._ordered else next(iter(self._ready), -1)
        result = self._ready.pop(index, None)
        if result is not None:
            self._taken += 1
            self.window.occupied -= 1
            self.session.protected(self._pulling.pump)
        return result

    def _has_news(self) -> bool:
        if self._ready and (not self._ordered or self._taken in self._ready):
            return True
        return self._pulling.is_over and self._async_source is None

    async def _pull_one(self, source: AsyncIterator[tuple[Any, Parameters]]) -> None:
        try:
            statement, parameters = await source.__anext__()
        except StopAsyncIteration:
            self._async_source = None
        else:
            self.session.protected(self.window.start, statement, parameters)

    def _ended(self, entry: Entry, response: Response | None, error: Exception | None) -> None:
        if error is not None and self._raise:
            self.fail(error)
            return
        self._ready[entry.index] = outcome(self.session, entry, response, error)
        self.window.occupied += 1
        self.check()


_PENDING = ExecutionResult(False, None)


def _nothing() -> None:
    """What a cancelled wait needs: the calls here end by themselves when they are unwound."""


def outcome(
    session: Session, entry: Entry, response: Response | None, error: Exception | None
) -> ExecutionResult:
    """Return the outcome of an entry as users see it."""
    if response is None:
        return ExecutionResult(False, error)
    return ExecutionResult(True, session.result(response, entry.execution))


def check_concurrency(concurrency: int) -> None:
    """Raise OptionError unless `concurrency` is a number of requests."""
    if not isinstance(concurrency, int) or concurrency < 1:
        raise OptionError(f"concurrency is {concurrency!r}; it has to be a number of requests, 1 or more")


def pairs(items: Iterable[Item]) -> Iterator[tuple[Any, Parameters]]:
    """Iterate over statements with their parameters."""
    return map(_pair, items)


class AsyncPairs:
    """An async iterator over statements with their parameters.

    No generator: event loops want those to be closed, and this one is left wherever the call ends.
    """

    def __init__(self, items: AsyncIterable[Any], make_pair: Callable[[Any], tuple[Any, Parameters]]) -> None:
        self._items = aiter(items)
        self._make_pair = make_pair

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[Any, Parameters]:
        return self._make_pair(await anext(self._items))


def _pair(item: Item) -> tuple[Any, Parameters]:
    return item if type(item) is tuple and len(item) == 2 else (item, None)
