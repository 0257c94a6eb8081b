"""Many statements at once, for programs that block: `execute_concurrent`, `stream_concurrent` and their kin.

Their input is pulled in the caller's thread, as cursors and iterators of an ORM need it, and handed to the loop's in
chunks.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from triocql.concurrent import ExecutionResult, WindowCall, check_concurrency, pairs
from triocql.engine.hot import CollectingWindow, Entry, PullingWindow
from triocql.errors import UsageError
from triocql.statements import INHERIT
from triocql.sync.feed import Chunks, Feed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from triocql.concurrent import Item
    from triocql.engine.response import Response
    from triocql.statements import Parameters
    from triocql.sync.feed import Pair
    from triocql.sync.session import Session


def execute_concurrent(
    session: Session,
    statements_and_parameters: Iterable[Item],
    concurrency: int = 100,
    raise_on_first_error: bool = True,
    *,
    timeout: float | None = None,
) -> list[ExecutionResult]:
    """Execute many statements, `concurrency` of them at a time, and return the outcomes in the order of the input.

    Args:
        session: the session.
        statements_and_parameters: statements (text, `Statement`, prepared, bound, `Batch`) or pairs of a statement
            and its parameters; any iterable. It is taken from in the caller's thread, some chunks ahead.
        concurrency: how many are under way at the same time.
        raise_on_first_error: raise the first error as it is, after everything else of this call was abandoned;
            with False, errors are outcomes like any other.
        timeout: seconds for all of it; each request has its own timeout besides.

    Raises ValueError for a concurrency below 1, RequestTimeout after `timeout`, and what `Session.execute` raises.
    Once it has raised, nothing further is sent.

    >>> results = execute_concurrent(session, [(insert, (i, "x")) for i in range(1000)])  # doctest: +SKIP
    """
    check_concurrency(concurrency)
    run = _Run(session, concurrency, raise_on_first_error, timeout)
    return run.execute(pairs(statements_and_parameters))


def execute_concurrent_with_args(
    session: Session,
    statement: Any,
    parameters: Iterable[Parameters],
    concurrency: int = 100,
    raise_on_first_error: bool = True,
    *,
    timeout: float | None = None,
) -> list[ExecutionResult]:
    """Execute one statement with many values: as `execute_concurrent` for ``(statement, values)`` each.

    >>> rows = ((i, str(i)) for i in range(100_000))                                   # doctest: +SKIP
    >>> execute_concurrent_with_args(session, insert, rows, concurrency=200)           # doctest: +SKIP
    """
    check_concurrency(concurrency)
    run = _Run(session, concurrency, raise_on_first_error, timeout)
    return run.execute((statement, values) for values in parameters)


def stream_concurrent(
    session: Session,
    statements_and_parameters: Iterable[Item],
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

    Returns a context manager over an iterator of `ExecutionResult`.

    >>> with stream_concurrent(session, ((select, [k]) for k in keys)) as results:     # doctest: +SKIP
    ...     for success, result in results:
    ...         print(result.one())
    """
    check_concurrency(concurrency)
    sending = _Sending(session, concurrency, raise_on_first_error, ordered=ordered, timeout=timeout)
    return ConcurrentStream(session, Chunks(pairs(statements_and_parameters), concurrency), sending)


class ConcurrentStream:
    """Made by `stream_concurrent`: a context manager over an iterator of `ExecutionResult`."""

    def __init__(self, session: Session, chunks: Chunks, sending: _Sending) -> None:
        self._session = session
        self._chunks = chunks
        self._sending = sending
        self._outcomes: deque[ExecutionResult] = deque()
        self._entered = False

    def __enter__(self) -> Self:
        if self._entered:
            raise UsageError("a stream is entered once; call stream_concurrent again")
        self._session.run(self._sending.open)
        self._entered = True
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        with suppress(UsageError):  # the session is closed already
            self._session.run(self._sending.close)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ExecutionResult:
        if not self._entered:
            raise UsageError("write `with stream_concurrent(...) as results:` around the loop")
        while not self._outcomes:
            if self._sending.is_over:
                raise StopIteration
            chunk = self._chunks.pull() if self._sending.is_hungry else None
            self._outcomes.extend(self._session.run(self._sending.advance, chunk))
        return self._outcomes.popleft()


class _Run(WindowCall):
    """One call of `execute_concurrent`. `execute` is the caller's side; the coroutines run in the loop."""

    def __init__(
        self, session: Session, concurrency: int, raise_on_first_error: bool, timeout: float | None
    ) -> None:
        super().__init__(session.inner, timeout)
        self._caller = session
        self._concurrency = concurrency
        self._feed = Feed(concurrency, self.check)
        self._collecting = CollectingWindow(
            self.session.executor,
            concurrency,
            INHERIT,
            self._feed,
            pair=ExecutionResult,
            make_result=session.result,
            stop_on_error=raise_on_first_error,
            on_error=self.fail,
            on_over=self.check,
        )
        self._feed.feeds(self._collecting)
        self.window = self._collecting

    def execute(self, source: Iterator[Pair]) -> list[ExecutionResult]:
        """Execute what an iterator gives."""
        run, chunks = self._caller.run, Chunks(source, self._concurrency)
        try:
            run(self._open)
            while chunk := chunks.pull():
                run(self._give, chunk)
            return run(self._finish)
        except BaseException:
            with suppress(UsageError):  # the session is closed already
                run(self._close)
            raise

    async def _open(self) -> None:
        self.begin()

    async def _give(self, chunk: list[Pair]) -> None:
        """Take a chunk, and wait until it is time for the next one."""
        self._feed.add(chunk)
        self._collecting.pump()
        await self.until(lambda: self._feed.is_hungry)
        self._raise_failure()

    async def _finish(self) -> list[ExecutionResult]:
        """Wait for the rest."""
        self._feed.add([])
        self._collecting.pump()
        await self.until(lambda: self._collecting.is_over)
        self._raise_failure()
        self.end()
        return self._collecting.outcomes

    async def _close(self) -> None:
        self.end()

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure


class _Sending(WindowCall):
    """The loop's side of `stream_concurrent`.

    Attributes:
        is_hungry: whether `advance` wants another chunk.
        is_over: whether every outcome was handed over.
    """

    def __init__(
        self,
        session: Session,
        concurrency: int,
        raise_on_first_error: bool,
        *,
        ordered: bool,
        timeout: float | None,
    ) -> None:
        super().__init__(session.inner, timeout)
        self.is_hungry = True
        self.is_over = False
        self._caller = session
        self._raise = raise_on_first_error
        self._ordered = ordered
        self._feed = Feed(concurrency, self.check)
        self._pulling = PullingWindow(
            self.session.executor, concurrency, INHERIT, self._ended, self._feed, self.fail
        )
        self._feed.feeds(self._pulling)
        self.window = self._pulling
        self._ready: dict[int, ExecutionResult] = {}
        self._taken = 0
        self._handed_over = 0

    async def open(self) -> None:
        """Begin."""
        self.begin()

    async def advance(self, chunk: list[Pair] | None) -> list[ExecutionResult]:
        """Take a chunk, and return the outcomes that are there; [] if another chunk is wanted first.

        Those that were returned before have been consumed: others take their room.
        """
        if chunk is not None:
            self._feed.add(chunk)
        self._pulling.occupied -= self._handed_over
        self._handed_over = 0
        self._pulling.pump()
        await self.until(self._has_news)
        outcomes = self._take()
        if not outcomes and self.failure is not None:
            raise self.failure
        self.is_hungry = self._feed.is_hungry
        self.is_over = self.failure is None and self._pulling.is_over and not self._ready
        return outcomes

    async def close(self) -> None:
        """Abandon what is under way."""
        self.end()

    def _has_news(self) -> bool:
        ready = self._taken in self._ready if self._ordered else bool(self._ready)
        return ready or self._feed.is_hungry or self._pulling.is_over

    def _take(self) -> list[ExecutionResult]:
        if self._ordered:
            outcomes = []
            while (outcome := self._ready.pop(self._taken, None)) is not None:
                outcomes.append(outcome)
                self._taken += 1
        else:
            outcomes = list(self._ready.values())
            self._ready.clear()
        self._handed_over = len(outcomes)
        return outcomes

    def _ended(self, entry: Entry, response: Response | None, error: Exception | None) -> None:
        if error is not None and self._raise:
            self.fail(error)
            return
        if response is None:
            outcome = ExecutionResult(False, error)
        else:
            outcome = ExecutionResult(True, self._caller.result(response, entry.execution))
        self._ready[entry.index] = outcome
        self._pulling.occupied += 1
        self.check()
