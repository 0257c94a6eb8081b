"""Many statements at once, for programs that block: `execute_concurrent`, `stream_concurrent` and their kin.

Their input is pulled in the caller's thread, as cursors and iterators of an ORM need it, and handed to the loop's in
chunks.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from triocql._hints import check_session
from triocql.config.requests import INHERIT
from triocql.engine.executing import CollectingWindow, Entry, PullingWindow
from triocql.errors import UsageError
from triocql.results.factories import row_factory
from triocql.session.blocks import Block, BlockingBlock
from triocql.session.concurrent import outcome
from triocql.session.sources import pairs
from triocql.session.windowcall import ExecutionResult, WindowCall, check_call, ends_call
from triocql.sync.feed import Chunks, Feed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from triocql.engine.requests import Response
    from triocql.session.concurrent import MakeResult
    from triocql.session.sources import Item, Pair
    from triocql.statements.statement import Parameters
    from triocql.sync.session import Session


def execute_concurrent(
    session: Session,
    statements_and_parameters: Iterable[Item],
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
            and its parameters, as tuples or lists; any iterable. It is taken from in the caller's thread, some chunks
            ahead; while it waits there, what was taken is sent, but nothing can be raised.
        concurrency: how many are under way at the same time.
        raise_on_first_error: raise the first error as it is, after everything else of this call was abandoned;
            with False, errors are outcomes like any other.
        timeout: seconds for all of it; each request has its own timeout besides.
        row_type: what rows are given as, see `triocql.Session.execute`.

    Raises OptionError for an argument that is not valid, RequestTimeout after `timeout`, what the iterable raises, and
    what `Session.execute` raises; `Error.index` says which statement that was, counted from 0. Once it has raised,
    nothing further is sent.

    >>> results = execute_concurrent(session, [(insert, (i, "x")) for i in range(1000)])  # doctest: +SKIP
    """
    run = _Run(session, concurrency, raise_on_first_error, timeout, row_type)
    return run.execute(pairs(statements_and_parameters))


def execute_concurrent_with_args(
    session: Session,
    statement: Any,
    parameters: Iterable[Parameters],
    concurrency: int = 100,
    raise_on_first_error: bool = True,
    *,
    timeout: float | None = None,
    row_type: type[Any] | None = None,
) -> list[ExecutionResult]:
    """Execute one statement with many values: as `execute_concurrent` for ``(statement, values)`` each.

    >>> rows = ((i, str(i)) for i in range(100_000))                                   # doctest: +SKIP
    >>> execute_concurrent_with_args(session, insert, rows, concurrency=200)           # doctest: +SKIP
    """
    run = _Run(session, concurrency, raise_on_first_error, timeout, row_type)
    return run.execute((statement, values) for values in parameters)


def stream_concurrent(
    session: Session,
    statements_and_parameters: Iterable[Item],
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
        statements_and_parameters: as for `execute_concurrent`; taken from by the consumer's own steps.
        concurrency: how many are under way or wait to be taken.
        raise_on_first_error: raise the first error, after the outcomes that were there before it.
        ordered: outcomes in the order of the input; with False, in the order of their ends.
        timeout: seconds for all of it.
        row_type: what rows are given as, see `triocql.Session.execute`.

    Returns a context manager over an iterator of `ExecutionResult`. Raises OptionError for an argument that is not
    valid.

    >>> with stream_concurrent(session, ((select, [k]) for k in keys)) as results:     # doctest: +SKIP
    ...     for success, result in results:
    ...         print(result.one())
    """
    sending = _Sending(
        session, concurrency, raise_on_first_error, ordered=ordered, timeout=timeout, row_type=row_type
    )
    return ConcurrentStream(session, pairs(statements_and_parameters), sending)


class ConcurrentStream(BlockingBlock):
    """Made by `stream_concurrent`: a context manager over an iterator of `ExecutionResult`.

    A loop that was left goes on where it was; once all was read, another one raises UsageError, as everything does
    that is not within the block.
    """

    def __init__(self, session: Session, source: Iterator[Pair], sending: _Sending) -> None:
        self._session = session
        self._sending = sending
        self._chunks = Chunks(source, sending.concurrency, sending.feed)
        self._outcomes: deque[ExecutionResult] = deque()
        self._idle = False
        self._block = Block("with stream_concurrent(...) as results")

    def __enter__(self) -> Self:
        self._block.enter()
        self._session.run(self._sending.open)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._block.leave()
        with suppress(UsageError):  # the session is closed already
            self._session.run(self._sending.close)

    def __iter__(self) -> Self:
        self._block.check_unread()
        return self

    def __next__(self) -> ExecutionResult:
        self._block.check_open()
        while not self._outcomes:
            if self._sending.is_over:
                self._block.exhausted = True
                raise StopIteration
            self._advance()
        return self._outcomes.popleft()

    def _advance(self) -> None:
        """Get outcomes; an iterable that lets wait is asked for more only if there are none."""
        ended: bool | None = None
        room = self._sending.room
        if room and (self._idle or self._chunks.quick):
            ended = not self._chunks.pull(room)
        outcomes = self._session.run(self._sending.advance, ended)
        self._idle = not outcomes
        self._outcomes.extend(outcomes)


class _Run(WindowCall):
    """One call of `execute_concurrent`. `execute` is the caller's side; the coroutines run in the loop."""

    def __init__(
        self,
        session: Session,
        concurrency: int,
        raise_on_first_error: bool,
        timeout: float | None,
        row_type: type[Any] | None,
    ) -> None:
        check_call(concurrency, timeout)
        check_session(session, blocks=True)
        super().__init__(session.inner, timeout)
        self._caller = session
        self._concurrency = concurrency
        self._feed = Feed(self.session.reactor, concurrency, self.check)
        self._collecting = CollectingWindow(
            self.session.executor,
            concurrency,
            INHERIT,
            self._feed,
            pair=ExecutionResult,
            make_result=result_maker(session, row_type),
            stop_on_error=raise_on_first_error,
            on_error=self.fail,
            on_over=self.check,
        )
        self._feed.feeds(self._collecting)
        self.window = self._collecting

    def execute(self, source: Iterator[Pair]) -> list[ExecutionResult]:
        """Execute what an iterator gives."""
        run, chunks = self._caller.run, Chunks(source, self._concurrency, self._feed)
        try:
            run(self._open)
            while chunks.pull():
                run(self._give)
            return run(self._finish)
        except BaseException:
            with suppress(UsageError):  # the session is closed already
                run(self._close)
            raise

    async def _open(self) -> None:
        self.begin()
        self._feed.cross()

    async def _give(self) -> None:
        """Hand a chunk to the window, and wait until it is time for the next one."""
        self._feed.go_on(ended=False)
        await self.until(lambda: self._feed.is_hungry)
        self.raise_failure()
        self._feed.cross()

    async def _finish(self) -> list[ExecutionResult]:
        """Wait for the rest."""
        self._feed.go_on(ended=True)
        await self.until(lambda: self._collecting.is_over)
        self.raise_failure()
        await self._close()
        return self._collecting.outcomes

    async def _close(self) -> None:
        self._feed.close()
        self.end()


class _Sending(WindowCall):
    """The loop's side of `stream_concurrent`.

    Attributes:
        concurrency: how many are under way or wait to be taken.
        feed: what the caller's thread takes statements into.
        room: how many statements there is room for: more must not be taken, for they would wait for the consumer.
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
        row_type: type[Any] | None,
    ) -> None:
        check_call(concurrency, timeout)
        check_session(session, blocks=True)
        super().__init__(session.inner, timeout)
        self.concurrency = concurrency
        self.room = concurrency
        self.is_over = False
        self.feed = Feed(self.session.reactor, concurrency, self.check)
        self._make_result = result_maker(session, row_type)
        self._raise = raise_on_first_error
        self._ordered = ordered
        self._pulling = PullingWindow(
            self.session.executor, concurrency, INHERIT, self._ended, self.feed, self.fail
        )
        self.feed.feeds(self._pulling)
        self.window = self._pulling
        self._ready: dict[int, ExecutionResult] = {}
        self._taken = 0
        self._ended_count = 0
        self._handed_over = 0

    async def open(self) -> None:
        """Begin."""
        self.begin()
        self.feed.cross()

    async def advance(self, ended: bool | None) -> list[ExecutionResult]:
        """Hand over a chunk, if there is one, and return the outcomes so far; [] if another chunk is wanted first.

        Those that were returned before have been consumed: others take their room.
        """
        self._pulling.occupied -= self._handed_over
        if ended is None:
            self._pulling.pump()
        else:
            self.feed.go_on(ended=ended)
        await self.until(self._has_news)
        outcomes = self._pop_ready()
        if not outcomes:
            self.raise_failure()
        self.room = self._free()
        self.is_over = self.failure is None and self._pulling.is_over and not self._ready
        self.feed.cross()
        return outcomes

    async def close(self) -> None:
        """Abandon what is under way."""
        self.feed.close()
        self.end()

    def _has_news(self) -> bool:
        ready = self._taken in self._ready if self._ordered else bool(self._ready)
        return ready or self._pulling.is_over or self._free() > 0

    def _free(self) -> int:
        """Return how many statements more there is room for, once what was handed over is consumed."""
        if self.feed.ended:
            return 0
        under_way = self._pulling.started - self._ended_count
        return self.concurrency - under_way - len(self._ready) - len(self.feed.items)

    def _pop_ready(self) -> list[ExecutionResult]:
        if self._ordered:
            outcomes = []
            while (ready := self._ready.pop(self._taken, None)) is not None:
                outcomes.append(ready)
                self._taken += 1
        else:
            outcomes = list(self._ready.values())
            self._ready.clear()
        self._handed_over = len(outcomes)
        return outcomes

    def _ended(self, entry: Entry, response: Response | None, error: BaseException | None) -> None:
        self._ended_count += 1
        if error is not None and ends_call(error, self._raise):
            self.fail(error)
            return
        self._ready[entry.index] = outcome(self._make_result, entry, response, error)
        self._pulling.occupied += 1
        self.check()


def result_maker(session: Session, row_type: type[Any] | None) -> MakeResult:
    """Return what makes the results of a call. Raises OptionError for a class that rows cannot be."""
    return session.result if row_type is None else partial(session.result, factory=row_factory(row_type))
