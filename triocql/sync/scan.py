"""Whole tables, as batches of rows, for programs that block."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from triocql._hints import SCAN, old_names
from triocql.results.columns import Batches
from triocql.results.factories import row_factory
from triocql.sync.columns import AllAsColumns, read_aside
from triocql.sync.parts import Parts, ScanBlock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from triocql.bulk.bar import ProgressBar
    from triocql.bulk.batch import RowBatch
    from triocql.bulk.files.targets import Target
    from triocql.bulk.intervals import Intervals, TokenRange
    from triocql.bulk.order import ScanOrder
    from triocql.results.row import Row
    from triocql.sync.portal import Portal

T = TypeVar("T")


@old_names(SCAN)
class Scan(AllAsColumns, ScanBlock):
    """Made by `Session.scan`: a context manager, and the iterator over batches in it.

    Pages are fetched while batches are used. Leaving the block, however that happens, abandons what is under way. A
    loop that was left goes on where it was; once all was read, another one raises UsageError, as everything does that
    is not within the block, but `progress`, `checkpoint` and `failed_ranges`. Batches remain what they are.
    """

    def __init__(self, portal: Portal, order: ScanOrder) -> None:
        super().__init__(portal, order, "with session.scan(...) as scan")

    def __iter__(self) -> Self:
        self._block.check_unread()
        return self

    def __next__(self) -> RowBatch:
        self._block.check_open()
        batch = self._portal.run(self._reader.next)
        if batch is None:
            self._block.exhausted = True
            raise StopIteration
        return batch

    def parts(
        self,
        *,
        restart: bool = False,
        done: Intervals | None = None,
        rows: int = 0,
        bytes: int = 0,  # noqa: A002
    ) -> Parts:
        """Return a reader of this table for those who write it somewhere, and say by themselves what is done: see
        `triocql.session.scan.Scan.parts`.
        """
        order = self._reader.order.of_parts(restart=restart, done=done, rows=rows, bytes=bytes)
        return Parts(self._portal, order)

    # --- Parts, for several processes ------------------------------------------------------------------------

    def ranges(self) -> list[TokenRange]:
        """Return the ranges of tokens in which this scan reads the table: for several processes, each of which reads
        some by `within`. They are plain numbers. A table that cannot be divided is one range.

        Raises what asking the nodes for its size can raise.
        """
        return [task.range for task in self._portal.run(self._reader.tasks)]

    def within(self, start: int, end: int) -> Scan:
        """Return a scan of what this one reads in a range of tokens: behind `start`, up to and with `end`.

        Raises OptionError if that is none.

        >>> for start, end in session.scan("shop.events").ranges():                     # doctest: +SKIP
        ...     print(session.scan("shop.events").within(start, end).count())
        """
        return Scan(self._portal, self._reader.order_of(start, end))

    # --- Rows, and columns ---------------------------------------------------------------------------------

    @overload
    def rows(self, row_type: type[Row] | None = None) -> Iterator[Row]: ...
    @overload
    def rows(self, row_type: type[dict[str, Any]]) -> Iterator[dict[str, Any]]: ...
    @overload
    def rows(self, row_type: type[T]) -> Iterator[T]: ...
    def rows(self, row_type: type[Any] | None = None) -> Iterator[Any]:
        """Return an iterator over the rows of the batches that come; `row_type` is as for `Session.execute`.

        >>> with session.scan("shop.events") as scan:                                   # doctest: +SKIP
        ...     for row in scan.rows():
        ...         print(row.day)
        """
        self._block.check_unread()
        factory = row_factory(row_type)
        return chain.from_iterable(batch.iterate(factory) for batch in self)

    def _columns(self, types: Mapping[str, Any] | None) -> tuple[Batches, Iterator[Any]]:
        """Begin, and return what reads the batches, and what it makes of them as they are pulled."""
        reading = self._read_columns(types)
        batches: Batches = next(reading)
        return batches, reading

    def _read_columns(self, types: Mapping[str, Any] | None) -> Iterator[Any]:
        """Yield what reads the batches, and then what it makes of each; within a block, if there is none yet."""
        if not self._block.entered:
            self._enter(whole=True)
            try:
                yield from self._read_columns(types)
            finally:
                self._leave()
            return
        self._block.check_unread()
        batches = Batches(self._reader.plan, types, self._reader.hidden)
        yield batches
        for batch in self:
            yield read_aside(batches, batch.page)

    def count(self) -> int:
        """Return how many rows there are, or `limit` if that is less, counted by the nodes, range by range. It needs no
        block of its own.

        Raises what executing a statement can raise, and ScanIncomplete.

        >>> session.scan("shop.events").count()                                         # doctest: +SKIP
        198214
        """
        self._enter(whole=True, counts=True)
        try:
            return self._portal.run(self._reader.count)
        finally:
            self._leave()

    # --- Files ---------------------------------------------------------------------------------------------

    def export(
        self,
        target: Target,
        *,
        format: Literal["parquet", "csv", "jsonl", "ipc"] = "parquet",  # noqa: A002
        resume: bool = False,
        bar: ProgressBar | None = None,
    ) -> int:
        """Write all rows to files, and return how many there are. Arguments and errors are those of
        `triocql.session.scan.Scan.export`. It is the calling thread that writes.

        >>> session.scan("shop.events").export("events", format="csv")                  # doctest: +SKIP
        198214
        """
        from triocql.sync.exporting import export  # few programs do: formats take time to be imported

        return export(self.order, self.parts, target, format, resume=resume, bar=bar)
