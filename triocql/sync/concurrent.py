"""Many statements at once, for programs that block: the calls behind `execute_concurrent` and `stream_concurrent`.

Their input is pulled in the caller's thread, as cursors and iterators of an ORM need it, and handed to the loop's in
chunks.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from triocql.engine.executing import CollectingWindow, PullingWindow
from triocql.errors import UsageError
from triocql.session import windowcall
from triocql.session.blocks import Block, BlockingBlock
from triocql.session.outcomes import ExecutionResult
from triocql.session.windowcall import WindowCall
from triocql.sync.feed import Chunks, Feed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from triocql.session.outcomes import ResultMaker
    from triocql.session.sources import Pair
    from triocql.sync.portal import Portal


class CollectingCall(WindowCall):
    """One call of `execute_concurrent`. `execute` is the caller's side; the coroutines run in the loop."""

    def __init__(
        self,
        portal: Portal,
        results: ResultMaker,
        concurrency: int,
        raise_on_first_error: bool,
        timeout: float | None,
        profile: str | None,
    ) -> None:
        super().__init__(portal.context, results, concurrency, raise_on_first_error, timeout, profile)
        self._portal = portal
        self._feed = Feed(self.context.reactor, concurrency, self.check)
        self._collecting = CollectingWindow(
            self.context.executor,
            concurrency,
            self.call,
            self._feed,
            pair=ExecutionResult,
            results=results,
            stop_on_error=raise_on_first_error,
            on_error=self.fail,
            on_over=self.check,
        )
        self._feed.feeds(self._collecting)
        self.window = self._collecting

    def execute(self, source: Iterator[Pair]) -> list[ExecutionResult]:
        """Execute what an iterator gives."""
        run, chunks = self._portal.run, Chunks(source, self.concurrency, self._feed)
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
        return self._collecting.hand_over()

    async def _close(self) -> None:
        self._feed.close()
        self.end()


class StreamingCall(windowcall.StreamingCall):
    """One call of `stream_concurrent`: the loop's side of it.

    Attributes:
        portal: leads into the loop.
        feed: what the caller's thread takes statements into.
        room: how many statements there is room for: more must not be taken, for they would wait for the consumer.
        is_over: whether every outcome was handed over.
    """

    def __init__(
        self,
        portal: Portal,
        results: ResultMaker,
        concurrency: int,
        raise_on_first_error: bool,
        timeout: float | None,
        profile: str | None,
        *,
        ordered: bool,
    ) -> None:
        super().__init__(
            portal.context, results, concurrency, raise_on_first_error, timeout, profile, ordered=ordered
        )
        self.portal = portal
        self.room = concurrency
        self.is_over = False
        self.feed = Feed(self.context.reactor, concurrency, self.check)
        self._pulling = PullingWindow(
            self.context.executor, concurrency, self.call, self.ended, self.feed, self.fail
        )
        self.feed.feeds(self._pulling)
        self.window = self._pulling
        self._unconsumed = 0

    async def open(self) -> None:
        """Begin."""
        self.begin()
        self.feed.cross()

    async def advance(self, ended: bool | None) -> list[ExecutionResult]:
        """Hand over a chunk, if there is one, and return the outcomes so far; [] if another chunk is wanted first.

        Those that were returned before have been consumed: others take their room.
        """
        self._pulling.occupied -= self._unconsumed
        if ended is None:
            self._pulling.pump()
        else:
            self.feed.go_on(ended=ended)
        await self.until(self._has_news)
        outcomes = self._pop_ready()
        if not outcomes:
            self.raise_failure()
        self.room = self._free()
        self.is_over = self.failure is None and self._pulling.is_over and not self.ready
        self.feed.cross()
        return outcomes

    async def close(self) -> None:
        """Abandon what is under way."""
        self.feed.close()
        self.end()

    def _has_news(self) -> bool:
        return self.has_next or self._pulling.is_over or self._free() > 0

    def _free(self) -> int:
        """Return how many statements more there is room for, once what was handed over is consumed."""
        if self.feed.ended:
            return 0
        return self.concurrency - (self._pulling.started - self.handed_over) - len(self.feed.items)

    def _pop_ready(self) -> list[ExecutionResult]:
        outcomes = [*iter(self.pop, None)]
        self._unconsumed = len(outcomes)
        return outcomes


class ConcurrentStream(BlockingBlock):
    """Made by `stream_concurrent`: a context manager over an iterator of `ExecutionResult`.

    A loop that was left goes on where it was; once all was read, another one raises UsageError, as everything does
    that is not within the block.
    """

    def __init__(self, call: StreamingCall, source: Iterator[Pair]) -> None:
        self._call = call
        self._run = call.portal.run
        self._chunks = Chunks(source, call.concurrency, call.feed)
        self._outcomes: deque[ExecutionResult] = deque()
        self._idle = False
        self._block = Block("with stream_concurrent(...) as results")

    def __enter__(self) -> Self:
        self._block.enter()
        self._run(self._call.open)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._block.leave()
        with suppress(UsageError):  # the session is closed already
            self._run(self._call.close)

    def __iter__(self) -> Self:
        self._block.check_unread()
        return self

    def __next__(self) -> ExecutionResult:
        self._block.check_open()
        while not self._outcomes:
            if self._call.is_over:
                self._block.exhausted = True
                raise StopIteration
            self._advance()
        return self._outcomes.popleft()

    def _advance(self) -> None:
        """Get outcomes; an iterable that lets wait is asked for more only if there are none."""
        ended: bool | None = None
        room = self._call.room
        if room and (self._idle or self._chunks.quick):
            ended = not self._chunks.pull(room)
        outcomes = self._run(self._call.advance, ended)
        self._idle = not outcomes
        self._outcomes.extend(outcomes)
