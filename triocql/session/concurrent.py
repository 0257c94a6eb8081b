"""Many statements at once: `execute_concurrent`, `stream_concurrent`, and what they stand on."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from triocql.config.requests import INHERIT
from triocql.engine.executing import CollectingWindow, Entry, PullingWindow, Window
from triocql.results.factories import row_factory
from triocql.session.blocks import AsyncBlock, Block
from triocql.session.sources import AsyncPairs, Puller, pair, pairs
from triocql.session.windowcall import ExecutionResult, WindowCall, check_call, ends_call

if TYPE_CHECKING:
    from typing import Self, TypeAlias

    from triocql.engine.executing import Execution
    from triocql.engine.requests import Response
    from triocql.results.result import BaseResult
    from triocql.session.session import Session
    from triocql.session.sources import Pair, Statements
    from triocql.statements.statement import Parameters

    MakeResult: TypeAlias = Callable[[Response, Execution | None], BaseResult[Any]]


async def execute_concurrent(
    session: Session,
    statements_and_parameters: Statements,
    concurrency: int = 100,
    raise_on_first_error: bool = True,
    *,
    timeout: float | None = None,
    row_type: type[Any] | None = None,
) -> list[ExecutionResult]:
    """Execute many statements, `concurrency` of them at a time, and return the outcomes in the order of the input.

    Args:
        session: the session.
        statements_and_parameters: statements (text, `Statement`, prepared, bound, `Batch`) or pairs of a statement
            and its parameters, as tuples or lists; a list, a generator or an async iterator, taken from as there is
            room. An iterator is taken from on the event loop and must not block it. An async iterator is taken from
            in a task of its own, in the context (`contextvars`) of the caller; whatever ends the call cancels it
            there, and waits for its end.
        concurrency: how many are under way at the same time.
        raise_on_first_error: raise the first error as it is, after everything else of this call was abandoned;
            with False, errors are outcomes like any other.
        timeout: seconds for all of it; each request has its own timeout besides.
        row_type: what rows are given as, see `Session.execute`.

    Raises OptionError for an argument that is not valid, RequestTimeout after `timeout`, what the iterator raises, and
    what `execute` raises; `Error.index` says which statement that was, counted from 0. Once it has raised or was
    cancelled, nothing further is sent.

    >>> results = await execute_concurrent(session, [(insert, (i, "x")) for i in range(1000)])  # doctest: +SKIP
    >>> all(result.success for result in results)                                              # doctest: +SKIP
    True
    """
    run = _Run(session, concurrency, raise_on_first_error, timeout, row_type)
    if isinstance(statements_and_parameters, AsyncIterable):
        return await run.feed(AsyncPairs(statements_and_parameters, pair))
    return await run.pull(pairs(statements_and_parameters))


async def execute_concurrent_with_args(
    session: Session,
    statement: Any,
    parameters: Iterable[Parameters] | AsyncIterable[Parameters],
    concurrency: int = 100,
    raise_on_first_error: bool = True,
    *,
    timeout: float | None = None,
    row_type: type[Any] | None = None,
) -> list[ExecutionResult]:
    """Execute one statement with many values: as `execute_concurrent` for ``(statement, values)`` each.

    >>> rows = ((i, str(i)) for i in range(100_000))                                      # doctest: +SKIP
    >>> await execute_concurrent_with_args(session, insert, rows, concurrency=200)        # doctest: +SKIP
    """
    run = _Run(session, concurrency, raise_on_first_error, timeout, row_type)
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
    row_type: type[Any] | None = None,
) -> ConcurrentStream:
    """Execute many statements and hand over the outcomes one by one, in bounded memory.

    What is under way and what has ended but was not taken yet are `concurrency` together: a slow consumer slows the
    sending down. Leaving the block abandons the rest.

    Args:
        session: the session.
        statements_and_parameters: as for `execute_concurrent`. Outcomes are handed over, and errors and the timeout
            raised, even while an async iterator waits: it may wait for what becomes of earlier outcomes.
        concurrency: how many are under way or wait to be taken.
        raise_on_first_error: raise the first error, after the outcomes that were there before it.
        ordered: outcomes in the order of the input; with False, in the order of their ends.
        timeout: seconds for all of it.
        row_type: what rows are given as, see `Session.execute`.

    Returns an async context manager over an async iterator of `ExecutionResult`. Raises OptionError for an argument
    that is not valid.

    >>> async with stream_concurrent(session, ((select, [k]) for k in keys)) as results:   # doctest: +SKIP
    ...     async for success, result in results:
    ...         print(result.one())
    """
    return ConcurrentStream(
        session,
        statements_and_parameters,
        concurrency,
        raise_on_first_error,
        ordered=ordered,
        timeout=timeout,
        row_type=row_type,
    )


class _Run(WindowCall):
    """One call of `execute_concurrent`."""

    def __init__(
        self,
        session: Session,
        concurrency: int,
        raise_on_first_error: bool,
        timeout: float | None,
        row_type: type[Any] | None,
    ) -> None:
        check_call(concurrency, timeout)
        WindowCall.__init__(self, session, timeout)
        self._results: list[ExecutionResult] = []
        self._concurrency = concurrency
        self._raise = raise_on_first_error
        self._make_result = result_maker(session, row_type)

    async def pull(self, source: Iterator[Pair]) -> list[ExecutionResult]:
        """Execute what an iterator gives."""
        self.window = window = CollectingWindow(
            self.session.executor,
            self._concurrency,
            INHERIT,
            source,
            pair=ExecutionResult,
            make_result=self._make_result,
            stop_on_error=self._raise,
            on_error=self.fail,
            on_over=self.check,
        )
        self.session.protected(self.begin)
        try:
            self.session.protected(window.pump)
            await self.until(lambda: window.is_over)
            self.raise_failure()
        finally:
            self.end()
        return window.outcomes

    async def feed(self, source: AsyncIterator[Pair]) -> list[ExecutionResult]:
        """Execute what an async iterator gives."""
        self.window = window = Window(self.session.executor, self._concurrency, INHERIT, self._ended)
        self._puller = puller = Puller(self.session, window, source, partial(source_ended, self))
        async with puller:
            self.begin()
            try:
                await self.until(lambda: puller.over and window.is_idle)
                self.raise_failure()
            finally:
                self.end()
        return self._results

    def _ended(self, entry: Entry, response: Response | None, error: BaseException | None) -> None:
        results, index = self._results, entry.index
        while len(results) <= index:
            results.append(_PENDING)
        if error is not None and ends_call(error, self._raise):
            self.fail(error)
            return
        results[index] = outcome(self._make_result, entry, response, error)
        self._puller.wake()
        self.check()


class ConcurrentStream(AsyncBlock, WindowCall):
    """Made by `stream_concurrent`: an async context manager over an async iterator of `ExecutionResult`.

    A loop that was left goes on where it was; once all was read, another one raises UsageError, as everything does
    that is not within the block.
    """

    def __init__(
        self,
        session: Session,
        statements_and_parameters: Statements,
        concurrency: int,
        raise_on_first_error: bool,
        *,
        ordered: bool,
        timeout: float | None,
        row_type: type[Any] | None,
    ) -> None:
        check_call(concurrency, timeout)
        WindowCall.__init__(self, session, timeout)
        self._source = statements_and_parameters
        self._concurrency = concurrency
        self._raise = raise_on_first_error
        self._ordered = ordered
        self._make_result = result_maker(session, row_type)
        self._ready: dict[int, ExecutionResult] = {}
        self._taken = 0
        self._block = Block("async with stream_concurrent(...) as results")
        self._puller: Puller | None = None
        self._refill: Callable[[], None]
        self._is_over: Callable[[], bool]

    async def __aenter__(self) -> Self:
        self._block.enter()
        if isinstance(self._source, AsyncIterable):
            self._open_async(AsyncPairs(self._source, pair))
        else:
            self._open(pairs(self._source))
        self.session.protected(self.begin)
        self._fill()
        return self

    def _open(self, source: Iterator[Pair]) -> None:
        executor = self.session.executor
        window = PullingWindow(executor, self._concurrency, INHERIT, self._ended, source, self.fail)
        self.window, self._refill = window, window.pump
        self._is_over = lambda: window.is_over

    def _open_async(self, source: AsyncIterator[Pair]) -> None:
        window = Window(self.session.executor, self._concurrency, INHERIT, self._ended)
        puller = Puller(self.session, window, source, partial(source_ended, self))
        self.window, self._refill = window, puller.wake
        self._is_over = lambda: puller.over and window.is_idle
        puller.start()
        self._puller = puller

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self._block.leave()
            self.end()
            self._ready.clear()
            self.check()
        finally:
            if self._puller is not None:
                await self._puller.__aexit__(exc_type, exc, tb)

    def __aiter__(self) -> Self:
        self._block.check_unread()
        return self

    async def __anext__(self) -> ExecutionResult:
        while True:
            self._block.check_open()
            result = self._take()
            if result is not None:
                return result
            self.raise_failure()
            if self._is_over():
                self._block.exhausted = True
                raise StopAsyncIteration
            await self.until(self._has_news)

    def _take(self) -> ExecutionResult | None:
        """Return the next outcome if it is here, and let another statement take its room."""
        index = self._taken if self._ordered else next(iter(self._ready), -1)
        result = self._ready.pop(index, None)
        if result is not None:
            self._taken += 1
            self.window.occupied -= 1
            self._fill()
        return result

    def _fill(self) -> None:
        self.session.protected(self._refill)

    def _has_news(self) -> bool:
        if self._ready and (not self._ordered or self._taken in self._ready):
            return True
        return self._is_over() or not self._block.is_open

    def _ended(self, entry: Entry, response: Response | None, error: BaseException | None) -> None:
        if error is not None and ends_call(error, self._raise):
            self.fail(error)
            return
        self._ready[entry.index] = outcome(self._make_result, entry, response, error)
        self.window.occupied += 1
        self.check()


_PENDING = ExecutionResult(False, None)


def source_ended(call: WindowCall, error: BaseException | None) -> None:
    """End the source of a call: its async iterator has ended, or raised. The end of the session cancels it, too."""
    router = call.session.executor.router
    if error is None:
        call.check()
    elif router.ending is not None and not isinstance(error, Exception):
        call.fail(router.ended_error())
    else:
        call.fail(error)


def result_maker(session: Session, row_type: type[Any] | None) -> MakeResult:
    """Return what makes the results of a call. Raises OptionError for a class that rows cannot be."""
    return session.result if row_type is None else partial(session.result, factory=row_factory(row_type))


def outcome(
    make_result: MakeResult, entry: Entry, response: Response | None, error: BaseException | None
) -> ExecutionResult:
    """Return the outcome of an entry as users see it."""
    if response is None:
        return ExecutionResult(False, error)
    return ExecutionResult(True, make_result(response, entry.execution))
