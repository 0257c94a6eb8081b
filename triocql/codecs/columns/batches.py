"""From pages to batches of Arrow, in pure Python, on pyarrow.

The pure twin of `_batches`, which needs no pyarrow: both give equal batches, and refuse the same pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.codecs.columns import odd
from triocql.codecs.columns.extras import require
from triocql.codecs.columns.filling import Filling, arrow_type
from triocql.codecs.columns.layout import Layout, spelled
from triocql.codecs.columns.splitting import walk
from triocql.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triocql.codecs.columns.splitting import Cells
    from triocql.codecs.rows import Page
    from triocql.protocol.types import ColumnSpec


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
        cells = walk(page.body, page.offset, page.row_count * count)
        size = len(page.body)
        if len(cells) < count * page.row_count:
            end = odd.refused(self.columns[len(cells) % count], len(cells) // count, odd.PAGE_END)
            raise self._refused(Filling(self._arrow, size), cells) or end
        try:
            columns = self._filled(Filling(self._arrow, size), cells)
        except DecodeError as error:
            raise self._refused(Filling(self._arrow, size), cells) or error from error.__cause__
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
        """Return a read-only buffer with the values of the first column of a batch, numbers or vectors, side by
        side; and one with the bits that say which are not null, or None if all are not.
        """
        buffers = batch.column(0).buffers()
        return memoryview(buffers[-1]).toreadonly(), buffers[0] if batch.column(0).null_count else None

    def _filled(self, filling: Filling, cells: Cells) -> list[Any]:
        """Return the arrays of some rows."""
        count = len(self.columns)
        return [
            filling.fill(layout, cells[i::count])
            for i, layout in enumerate(self.layouts)
            if layout is not None
        ]

    def _refused(self, filling: Filling, cells: Cells) -> DecodeError | None:
        """Return the error for the first value that is refused, in the order of the page, which columns do not have."""
        count = len(self.columns)
        start, end = 0, -(-len(cells) // count)
        while end - start > 1:
            middle = (start + end) // 2
            padding = filling.padding
            try:
                self._filled(filling, cells[start * count : middle * count])
            except DecodeError:
                filling.padding = padding
                end = middle
            else:
                start = middle
        for i, cell in enumerate(cells[start * count : end * count]):
            layout = self.layouts[i]
            try:
                if layout is not None:
                    filling.fill(layout, [cell])
            except DecodeError as error:
                return odd.refused(self.columns[i], start, str(error))
        return None
