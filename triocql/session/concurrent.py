"""Many statements at once: the calls behind `execute_concurrent` and `stream_concurrent`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.engine.executing import CollectingWindow, PullingWindow, Window
from triocql.session.blocks import AsyncBlock, Block
from triocql.session.outcomes import ExecutionResult
from triocql.session.sources import AsyncPairs, Puller
from triocql.session.windowcall import StreamingCall, WindowCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from triocql.engine.executing import Entry
    from triocql.engine.requests import Response
    from triocql.session.sources import Pair, Source

_PENDING = ExecutionResult(False, None)


class CollectingCall(WindowCall):
    """One call of `execute_concurrent`."""

    async def execute(self, source: Source) -> list[ExecutionResult]:
        """Execute what the source gives, and return the outcomes in its order."""
        if isinstance(source, AsyncPairs):
            return await self._execute_pulled(source)
        return await self._execute(source)

    async def _execute(self, source: Iterator[Pair]) -> list[ExecutionResult]:
        protected = self.context.protected
        self.window = window = CollectingWindow(
            self.context.executor,
            self.concurrency,
            self.call,
            source,
            pair=ExecutionResult,
            results=self.results,
            stop_on_error=self.raises,
            on_error=self.fail,
            on_over=self.check,
        )
        protected(self.begin)
        try:
            protected(window.pump)
            await self.until(lambda: window.is_over)
            self.raise_failure()
        finally:
            self.end()
        return window.hand_over()

    async def _execute_pulled(self, source: AsyncPairs) -> list[ExecutionResult]:
        results: list[ExecutionResult] = []

        def ended(entry: Entry, response: Response | None, error: BaseException | None) -> None:
            results.extend([_PENDING] * (entry.index + 1 - len(results)))
            if error is not None and self.is_ended_by(error):
                self.fail(error)
                return
            results[entry.index] = self.results.outcome(entry, response, error)
            puller.wake()
            self.check()

        self.window = window = Window(self.context.executor, self.concurrency, self.call, ended)
        puller = Puller(self.context, window, source, self.source_ended)
        async with puller:
            self.begin()
            try:
                await self.until(lambda: puller.over and window.is_idle)
                self.raise_failure()
            finally:
                self.end()
        given, results = results, []  # `ended`, which is there until garbage is collected, keeps none of them
        return given


class ConcurrentStream(AsyncBlock):
    """Made by `stream_concurrent`: an async context manager over an async iterator of `ExecutionResult`.

    A loop that was left goes on where it was; once all was read, another one raises UsageError, as everything does
    that is not within the block.
    """

    def __init__(self, call: StreamingCall, make_source: Callable[[], Source]) -> None:
        self._call = call
        self._make_source = make_source
        self._block = Block("async with stream_concurrent(...) as results")
        self._puller: Puller | None = None
        self._refill: Callable[[], None]
        self._is_over: Callable[[], bool]

    async def __aenter__(self) -> Self:
        self._block.enter()
        source = self._make_source()
        if isinstance(source, AsyncPairs):
            self._open_pulled(source)
        else:
            self._open(source)
        protected = self._call.context.protected
        protected(self._call.begin)
        protected(self._refill)
        return self

    def _open(self, source: Iterator[Pair]) -> None:
        call = self._call
        window = PullingWindow(
            call.context.executor, call.concurrency, call.call, call.ended, source, call.fail
        )
        call.window, self._refill = window, window.pump
        self._is_over = lambda: window.is_over

    def _open_pulled(self, source: AsyncPairs) -> None:
        call = self._call
        window = Window(call.context.executor, call.concurrency, call.call, call.ended)
        puller = Puller(call.context, window, source, call.source_ended)
        call.window, self._refill = window, puller.wake
        self._is_over = lambda: puller.over and window.is_idle
        puller.start()
        self._puller = puller

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self._block.leave()
            self._call.end()
            self._call.ready.clear()
            self._call.check()
        finally:
            if self._puller is not None:
                await self._puller.__aexit__(exc_type, exc, tb)

    def __aiter__(self) -> Self:
        self._block.check_unread()
        return self

    async def __anext__(self) -> ExecutionResult:
        while True:
            self._block.check_open()
            result = self._pop()
            if result is not None:
                return result
            self._call.raise_failure()
            if self._is_over():
                self._block.exhausted = True
                raise StopAsyncIteration
            await self._call.until(self._has_news)

    def _pop(self) -> ExecutionResult | None:
        """Return the next outcome if it is here, and let another statement take its room."""
        call = self._call
        result = call.pop()
        if result is not None:
            call.window.occupied -= 1
            call.context.protected(self._refill)
        return result

    def _has_news(self) -> bool:
        return self._call.has_next or self._is_over() or not self._block.is_open
