"""Pages as columns: for Arrow, polars, pandas, NumPy, and whatever reads Arrow's C data interface."""

from __future__ import annotations

from abc import abstractmethod
from functools import cache
from typing import TYPE_CHECKING, Any

from triocql.codecs.columns import choices_of, decoder_of, require
from triocql.codecs.columns.batches import Decoder as PureDecoder
from triocql.codecs.registry import Registry
from triocql.errors import DecodeError, UsageError
from triocql.results.arrays import array_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from triocql.codecs.columns.batches import Decoder
    from triocql.codecs.columns.layout import Layout
    from triocql.codecs.rows import Page, RowPlan


CELLS_AT_ONCE = 250_000
"""So many values take about 2 milliseconds to become columns, compiled."""

PURE_CELLS_AT_ONCE = 4_000
"""The same in pure Python."""

BYTES_AT_ONCE = 4 * 1024 * 1024
"""The same by the size of the page, as values may be large."""


class Batches:
    """The pages of one result as batches of Arrow, all of one schema.

    Args:
        plan: that of its first page.
        types: the Arrow types that are chosen for some columns.
        hidden: how many of the last columns are left out.

    Attributes:
        decoder: makes the batches.

    Raises OptionError for a choice that there is not, and MissingExtraError if a package is needed that is not there.
    """

    __slots__ = ("_columns", "decoder")

    def __init__(self, plan: RowPlan, types: Mapping[str, Any] | None, hidden: int = 0) -> None:
        self.decoder: Decoder = decoder_of(plan, choices_of(types), None, hidden)
        self._columns = plan.columns

    def read(self, page: Page) -> Any:
        """Return the batch of a page. Raises DecodeError, for a page of other columns, too."""
        if page.plan.columns is not self._columns and page.plan.columns != self._columns:
            raise DecodeError(
                "the columns changed from one page to the next, as the table was altered meanwhile: read it again"
            )
        return self.decoder.batch(page)

    def takes_long(self, page: Page) -> bool:
        """Whether to read a page would hold a loop for more than about 2 milliseconds: then it is read in a thread."""
        pure = type(self.decoder) is PureDecoder
        most = PURE_CELLS_AT_ONCE if pure else CELLS_AT_ONCE
        return page.row_count * len(self._columns) > most or len(page.body) > BYTES_AT_ONCE

    def table(self, batches: Iterable[Any]) -> pa.Table:
        """Return batches as one table."""
        arrow = require("pyarrow")
        made = [arrow.record_batch(batch) for batch in batches]
        return arrow.Table.from_batches(made, schema=arrow.schema(self))

    def __arrow_c_schema__(self) -> Any:
        return self.decoder.schema()


class Live:
    """Batches as a stream of Arrow, for whoever takes such a stream: each is made when it is pulled."""

    __slots__ = ("_batches", "_read")

    def __init__(self, batches: Batches, read: Iterator[Any]) -> None:
        self._batches = batches
        self._read = read

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        return self._batches.decoder.stream(self._read)


class AsColumns:
    """A base of results whose only page can be had as columns."""

    __slots__ = ()

    @abstractmethod
    def _only_page(self) -> Page | None:
        """Return the page, None if there is none. Raises PagesRemain if more follow."""

    def _batches(self, page: Page, types: Mapping[str, Any] | None) -> Batches:
        return Batches(page.plan, types)

    def _batch(self, types: Mapping[str, Any] | None) -> tuple[Batches, Any]:
        page = self._only_page() or no_page()
        batches = self._batches(page, types)
        return batches, batches.read(page)

    def arrow(self, *, types: Mapping[str, Any] | None = None) -> pa.Table:
        """Return the rows as a table of Arrow.

        The Arrow types follow from those of the columns alone; null, and an empty value of a type whose values have
        bytes, are null. Codecs and classes that are registered are for rows, and play no part in it. Needs the extra
        `arrow`.

        Args:
            types: other Arrow types for some columns, of pyarrow or as text: ``decimal128(precision, scale)`` for
                decimal and varint, which are text by default; ``string`` for uuid and timeuuid. What is in a column is
                named as in Arrow, after a point: ``prices.item`` of a list, ``prices.value`` of a map.

        Raises PagesRemain if there are more pages than this one; DecodeError for a value that is not valid, or is not
        exactly one of the type that was chosen; OptionError for `types` that there are not.

        >>> result.arrow(types={"price": "decimal128(18, 2)"})                           # doctest: +SKIP
        """
        batches, batch = self._batch(types)
        return batches.table((batch,))

    def polars(self, *, types: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the rows as a data frame of polars; arguments and errors are those of `arrow`.

        Needs the extra `polars`, and no pyarrow if triocql is compiled. polars knows no UUIDs, which are bytes there,
        and no durations of CQL, which raise UsageError.
        """
        require("polars")
        return to_polars(*self._batch(types))

    def pandas(self, *, types: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return the rows as a data frame of pandas, whose columns are those of Arrow; arguments and errors are those
        of `arrow`. Needs the extra `pandas`.
        """
        return to_pandas(self.arrow(types=types))

    def numpy(self, column: str) -> np.ndarray[Any, Any]:
        """Return one column as an array of NumPy, without copying where the values lie side by side.

        Numbers, boolean, timestamp (``datetime64[ms]``), date (``datetime64[D]``) and time (``timedelta64[ns]``) have
        a dtype of their own; of vectors of numbers, the array has a second dimension. Where there is null, it is a
        masked array of the same dtype. Of all other types, it is an array of objects, which are those of rows. It
        cannot be written to. Needs the extra `numpy`.

        Raises PagesRemain if there are more pages than this one; UsageError if there is no such column; DecodeError.
        """
        found: np.ndarray[Any, Any] = array_of(self._only_page() or no_page(), column)
        return found

    def __arrow_c_schema__(self) -> Any:
        return self._batches(self._only_page() or no_page(), None).decoder.schema()

    def __arrow_c_array__(self, requested_schema: object = None) -> Any:
        return self._batch(None)[1].__arrow_c_array__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        return self._batch(None)[1].__arrow_c_stream__()


def to_polars(batches: Batches, data: Any) -> pl.DataFrame:
    """Return `data`, which is of these batches, as a data frame of polars. Raises MissingExtraError; UsageError for
    durations, at which polars would panic, by what is no Exception.
    """
    for column, layout in zip(batches.decoder.columns, batches.decoder.layouts, strict=True):
        if layout is not None and _has_duration(layout):
            raise UsageError(
                f"polars has no type for the durations of column {column.name!r}: leave it out, or use `arrow`"
            )
    return require("polars").DataFrame(data)  # type: ignore[no-any-return]


def _has_duration(layout: Layout) -> bool:
    return layout.kernel == "duration" or any(_has_duration(child) for _, child in layout.children)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return a table as a data frame of pandas. Raises MissingExtraError."""
    return table.to_pandas(types_mapper=require("pandas").ArrowDtype)


@cache
def no_page() -> Page:
    """Return what stands for the page of a statement that gives no rows."""
    return Registry().plan(()).page(b"", 0, 0)
