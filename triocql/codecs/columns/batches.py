"""From pages to batches of Arrow, in pure Python, on pyarrow.

The pure twin of `_batches`, which needs no pyarrow: both give equal batches, and refuse the same pages.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from triocql.codecs.columns import odd
from triocql.codecs.columns.extras import require
from triocql.codecs.columns.filling import Filling, arrow_type
from triocql.codecs.columns.layout import Layout, spelled
from triocql.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triocql.codecs.columns.filling import Cells
    from triocql.codecs.rows import Page
    from triocql.protocol.types import ColumnSpec

_length = struct.Struct(">i").unpack_from


class Decoder:
    """How pages of these columns become batches.

    Attributes:
        columns: the columns.
        layouts: the layout of each; None for those that are left out.
    """

    def __init__(self, columns: tuple[ColumnSpec, ...], layouts: tuple[Layout | None, ...]) -> None:
        self._arrow = require("pyarrow")
        self.columns = columns
        self.layouts = layouts
        pa = self._arrow
        self._schema = pa.schema(
            [
                pa.field(spelled(column.name), arrow_type(pa, layout))
                for column, layout in zip(columns, layouts, strict=True)
                if layout is not None
            ]
        )

    def batch(self, page: Page) -> Any:
        """Return the values of a page.

        Raises:
            DecodeError: a value is not valid for its type, or is none that a column can have; or the page is cut off.
        """
        count = len(self.columns)
        cells = _walk(self.columns, page.body, page.offset, page.row_count * count)
        filling = Filling(self._arrow, len(page.body))
        columns = []
        for i, layout in enumerate(self.layouts):
            if layout is not None:
                values = cells[i::count]
                try:
                    columns.append(filling.fill(layout, values))
                except DecodeError as error:
                    raise self._placed(i, layout, values, error) from error.__cause__
        if not columns:  # which tell the number of rows
            empty = self._arrow.array([{}] * page.row_count, self._arrow.struct([]))
            return self._arrow.RecordBatch.from_struct_array(empty)
        return self._arrow.RecordBatch.from_arrays(columns, schema=self._schema)

    def schema(self) -> Any:
        """Return a capsule of Arrow's C data interface with the schema."""
        return self._schema.__arrow_c_schema__()

    def stream(self, batches: Iterator[Any]) -> Any:
        """Return a capsule of Arrow's C stream interface, which takes its batches from an iterator."""
        return self._arrow.RecordBatchReader.from_batches(self._schema, batches).__arrow_c_stream__()

    @staticmethod
    def values(batch: Any) -> tuple[Any, Any]:
        """Return a buffer with the values of the first column of a batch, numbers or vectors of them, side by side; and
        one with the bits that say which are not null, or None if all are not.
        """
        buffers = batch.column(0).buffers()
        return buffers[-1], buffers[0] if batch.column(0).null_count else None

    def _placed(self, index: int, layout: Layout, values: Cells, error: DecodeError) -> DecodeError:
        """Return an error that says in which row it is: that of the first value which is refused by itself."""
        for row, value in enumerate(values):
            try:
                Filling(self._arrow, 0).fill(layout, [value])
            except DecodeError as found:
                return DecodeError(f"{odd.named(self.columns[index], row)}: {found}")
        return DecodeError(f"{odd.named(self.columns[index], 0)}: {error}")


def _walk(columns: tuple[ColumnSpec, ...], body: bytes, start: int, count: int) -> Cells:
    """Return the bytes of so many values, row by row."""
    at = start
    cells: Cells = []
    add = cells.append
    try:
        for _ in range(count):
            length = _length(body, at)[0]
            at += 4
            if length < 0:
                add(None)
            else:
                end = at + length
                add(body[at:end])
                at = end
    except struct.error:
        at = len(body) + 1
    if at > len(body):
        raise odd.refused_at(columns, body, start, len(body), odd.PAGE_END)
    return cells
