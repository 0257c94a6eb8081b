"""From scans to files, for Trio, AnyIO and asyncio: files are written in threads, one step after the other."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from triocql.bulk.files.targets import open_sink
from triocql.bulk.pieces import Discarded
from triocql.cluster.waiting import nothing
from triocql.errors import SessionClosed
from triocql.reactors.exclusion import Exclusion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from triocql.abc import Reactor, Waiter
    from triocql.bulk.bar import ProgressBar
    from triocql.bulk.files.exporting import Sink
    from triocql.bulk.files.targets import Target
    from triocql.bulk.order import ScanOrder
    from triocql.session.parts import Parts

T = TypeVar("T")


async def export(
    reactor: Reactor,
    order: ScanOrder,
    parts_of: Callable[..., Parts],
    target: Target,
    form: str,
    *,
    resume: bool,
    bar: ProgressBar | None,
) -> int:
    """Write what a scan reads: `Scan.export`."""
    async with Writing(reactor) as writing:
        sink = await writing.open(open_sink, order.selection, order.before, target, form, resume=resume)
        async with parts_of(restart=sink.restart, done=sink.done, rows=sink.rows, bytes=sink.bytes) as parts:
            await writing.step(sink.begin, parts.columns)
            async for piece in parts:
                if isinstance(piece, Discarded):
                    await writing.step(sink.discard, piece.task)
                    continue
                await writing.step(sink.take, piece)
                if piece.ended:
                    parts.acknowledge(piece.task)
                if bar is not None:
                    bar.show(parts)
            await writing.step(sink.finish)
    return sink.rows


class Writing:
    """A block in which steps that block are taken in threads, and one at a time: also if whoever waits for one is
    cancelled. Leaving it waits for the one that is under way, and closes what was opened, whatever has become of the
    session.
    """

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._sink: Sink | None = None
        self._stepping = Exclusion()
        self._is_over = self._is_busy = False
        self._idle: Waiter[None] | None = None
        self._error: Exception | None = None

    async def open(self, fn: Callable[..., Sink], *args: Any, **options: Any) -> Sink:
        """Return what a function opens, which is closed at the end of the block."""

        def opening() -> Sink:
            self._sink = fn(*args, **options)  # even if nobody waits for it any more
            return self._sink

        return await self.step(opening)

    async def step(self, fn: Callable[..., T], *args: Any) -> T:
        """Return what a function returns, or raise what it raises."""
        waiter: Waiter[T] = self._begun(self._step, fn, *args)
        return await waiter.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if exc_type is GeneratorExit:  # in a coroutine that is closed, nothing can be awaited
            return
        await self._reactor.outlast(self._end)
        if self._error is not None and exc is None:
            raise self._error

    async def _end(self) -> None:
        """Wait until nothing is under way, and all is closed. Called again if it is cancelled."""
        while self._is_busy or self._sink is not None:
            if not self._is_busy:
                if self._is_over:  # the end of the session has stopped who was to close it
                    self._close()
                    return
                self._is_over = True
                with suppress(SessionClosed):
                    self._begun(self._close)
                continue
            self._idle = self._reactor.waiter(nothing)
            await self._idle.wait()

    def _close(self) -> None:
        with self._stepping:
            sink, self._sink = self._sink, None
            try:
                if sink is not None:
                    sink.close()
            except Exception as error:
                self._error = error

    def _step(self, fn: Callable[..., T], *args: Any) -> T:
        """Take a step, which may be under way still when nobody waits for it any more."""
        with self._stepping:
            if self._is_over:
                raise SessionClosed("the session was closed while files were written")
            return fn(*args)

    def _begun(self, fn: Callable[..., T], *args: Any) -> Waiter[T]:
        waiter: Waiter[T] = self._reactor.waiter(nothing)
        self._is_busy = True
        try:
            self._reactor.spawn(self._work, iter(((fn, args),)), waiter)
        except RuntimeError as error:  # it takes no work any more
            self._is_busy = False
            raise SessionClosed("the session is closed") from error
        return waiter

    async def _work(self, steps: Iterator[tuple[Callable[..., Any], Any]], waiter: Waiter[Any]) -> None:
        """Take the step once: a task that was cancelled from outside is run again (`Reactor.spawn`)."""
        try:
            for fn, args in steps:
                waiter.resolve(await self._reactor.run_blocking(fn, *args))
        except Exception as error:
            waiter.reject(error)
        finally:
            waiter.reject(SessionClosed("the session was closed while files were written"))
            self._is_busy = False
            if self._idle is not None:
                self._idle.resolve(None)
