"""Whole tables, as batches of rows, for Trio, AnyIO and asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from triocql._hints import SCAN, old_names
from triocql.results.columns import Batches
from triocql.results.factories import R_co, row_factory
from triocql.session.columns import AllAsColumns, read_aside
from triocql.session.parts import Parts, ScanBlock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from typing import Self

    from triocql.bulk.bar import ProgressBar
    from triocql.bulk.batch import RowBatch
    from triocql.bulk.files.targets import Target
    from triocql.bulk.intervals import Intervals, TokenRange
    from triocql.bulk.order import ScanOrder
    from triocql.results.factories import RowFactory
    from triocql.results.row import Row
    from triocql.session.context import SessionContext

T = TypeVar("T")


@old_names(SCAN)
class Scan(AllAsColumns, ScanBlock):
    """Made by `Session.scan`: an async context manager, and the async iterator over batches in it.

    Leaving the block, however that happens, abandons what is under way. A loop that was left goes on where it was; once
    all was read, another one raises UsageError, as everything does that is not within the block, but `progress`,
    `checkpoint` and `failed_ranges`. Batches remain what they are.
    """

    __slots__ = ()

    def __init__(self, context: SessionContext, order: ScanOrder) -> None:
        super().__init__(context, order, "async with session.scan(...) as scan")

    def __aiter__(self) -> Self:
        self._block.check_unread()
        return self

    async def __anext__(self) -> RowBatch:
        batch = await self._reader.next()
        if batch is None:
            self._block.exhausted = True
            raise StopAsyncIteration
        return batch

    def parts(
        self,
        *,
        restart: bool = False,
        done: Intervals | None = None,
        rows: int = 0,
        bytes: int = 0,  # noqa: A002
    ) -> Parts:
        """Return a reader of this table for those who write it somewhere, and say by themselves what is done.

        Args:
            restart: whether a task that cannot be read to its end counts for nothing, and comes again in parts.
            done: what is left out; by default, what this scan leaves out.
            rows: how many rows that has.
            bytes: how many bytes these had on the wire.
        """
        order = self._reader.order.of_parts(restart=restart, done=done, rows=rows, bytes=bytes)
        return Parts(self._context, order)

    # --- Parts, for several processes ------------------------------------------------------------------------

    async def ranges(self) -> list[TokenRange]:
        """Return the ranges of tokens in which this scan reads the table: for several processes, each of which reads
        some by `within`. They are plain numbers. A table that cannot be divided is one range.

        Raises what asking the nodes for its size can raise.
        """
        return [task.range for task in await self._reader.tasks()]

    def within(self, start: int, end: int) -> Scan:
        """Return a scan of what this one reads in a range of tokens: behind `start`, up to and with `end`.

        Raises OptionError if that is none.

        >>> for start, end in await session.scan("shop.events").ranges():                     # doctest: +SKIP
        ...     print(await session.scan("shop.events").within(start, end).count())
        """
        return Scan(self._context, self._reader.order_of(start, end))

    # --- Rows, and columns ---------------------------------------------------------------------------------

    @overload
    def rows(self, row_type: type[Row] | None = None) -> AsyncIterator[Row]: ...
    @overload
    def rows(self, row_type: type[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]: ...
    @overload
    def rows(self, row_type: type[T]) -> AsyncIterator[T]: ...
    def rows(self, row_type: type[Any] | None = None) -> AsyncIterator[Any]:
        """Return an iterator over the rows of the batches that come; `row_type` is as for `Session.execute`.

        >>> async with session.scan("shop.events") as scan:                             # doctest: +SKIP
        ...     async for row in scan.rows():
        ...         print(row.day)
        """
        self._block.check_unread()
        return _Rows(self, row_factory(row_type))

    async def _columns(self, types: Mapping[str, Any] | None) -> tuple[Batches, list[Any]]:
        """Return what has read all batches, and what it has made of them."""
        if self._block.entered:
            return await self._read_columns(types)
        await self._enter(whole=True)
        try:
            return await self._read_columns(types)
        finally:
            self._leave()

    async def _read_columns(self, types: Mapping[str, Any] | None) -> tuple[Batches, list[Any]]:
        self._block.check_unread()
        batches = Batches(self._reader.plan, types, self._reader.hidden)
        reactor = self._context.reactor
        return batches, [await read_aside(reactor, batches, batch.page) async for batch in self]

    async def count(self) -> int:
        """Return how many rows there are, or `limit` if that is less, counted by the nodes, range by range. It needs no
        block of its own.

        Raises what executing a statement can raise, and ScanIncomplete.

        >>> await session.scan("shop.events").count()                                   # doctest: +SKIP
        198214
        """
        await self._enter(whole=True, counts=True)
        try:
            return await self._reader.count()
        finally:
            self._leave()

    # --- Files ---------------------------------------------------------------------------------------------

    async def export(
        self,
        target: Target,
        *,
        format: Literal["parquet", "csv", "jsonl", "ipc"] = "parquet",  # noqa: A002
        resume: bool = False,
        bar: ProgressBar | None = None,
    ) -> int:
        """Write all rows to files, and return how many there are. It needs no block of its own.

        In a directory, each part of the table is a file, which gets its name once it is complete. So whenever and by
        whatever an export was ended, what is there is right, and `resume` adds what is missing: each row is there
        once, whatever is divided in another way then. Files are written in threads, a step at a time; leaving, by a
        cancellation, too, waits for the step that is under way.

        Args:
            target: a directory, which is made if it is not there, whatever its name ends with; or a file that is open
                for bytes, which gets all rows, and cannot be resumed.
            format: ``"parquet"``, to directories only; ``"csv"``; ``"jsonl"``; ``"ipc"``, the format of Arrow.
            resume: go on in a directory where an export of the same rows was ended.
            bar: is shown how far it has come.

        Raises OptionError and UsageError, also for a directory that has something else already; MissingExtraError;
        OSError where files cannot be written; and as reading does: ScanIncomplete, after all parts that could be
        read were written.

        >>> await session.scan("shop.events").export("events", format="csv")            # doctest: +SKIP
        198214
        """
        from triocql.session.exporting import export  # few programs do: formats take time to be imported

        return await export(
            self._context.reactor, self.order, self.parts, target, format, resume=resume, bar=bar
        )


class _Rows(Generic[R_co]):
    """The rows of what a scan gives. A checkpoint a page."""

    __slots__ = ("_factory", "_rows", "_scan")

    def __init__(self, scan: Scan, factory: RowFactory[R_co]) -> None:
        self._scan = scan
        self._factory = factory
        self._rows: Iterator[R_co] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R_co:
        while True:
            for row in self._rows:
                return row
            self._rows = (await self._scan.__anext__()).iterate(self._factory)
