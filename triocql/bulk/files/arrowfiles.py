"""Files of columns: Parquet, and Arrow's own. They need pyarrow."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from triocql.bulk.files.durations import storable, stored
from triocql.codecs.columns import require
from triocql.codecs.registry import Registry
from triocql.results.columns import Batches

if TYPE_CHECKING:
    from typing import BinaryIO

    from triocql.codecs.rows import Page
    from triocql.protocol.types import ColumnSpec

ROWS_AT_ONCE: Final = 100_000
"""So many rows are a row group of Parquet: far fewer make files large, and slow to read."""


class _ColumnWriter:
    """What both formats have in common: pages become batches of one schema.

    Args:
        file: where to.
        columns: those that are written. Pages may have others behind them.
    """

    held = 0

    def __init__(self, file: BinaryIO, columns: tuple[ColumnSpec, ...]) -> None:
        self._pa = require("pyarrow")
        self._decoded = self._pa.schema(Batches(Registry().plan(columns), None))
        self._batches: Batches | None = None
        self._writer = self._opened(file)

    def _opened(self, file: BinaryIO) -> Any:
        raise NotImplementedError

    def _batch(self, page: Page) -> Any:
        if self._batches is None:
            self._batches = Batches(page.plan, None, len(page.plan.columns) - len(self._decoded))
        return self._pa.record_batch(self._batches.read(page))

    def flush(self) -> None:
        """Write what is kept."""

    def finish(self) -> None:
        """Write what is kept, and the end of the file."""
        self.flush()
        self._writer.close()

    def abandon(self) -> None:
        """Let go of the file as it is."""


class ParquetWriter(_ColumnWriter):
    """Writes pages as Parquet, compressed by zstd; pages are kept until they make a row group."""

    def _opened(self, file: BinaryIO) -> Any:
        parquet = require("pyarrow.parquet")
        self._kept: list[Any] = []
        self._rows = 0
        self._schema = storable(self._pa, self._decoded)
        return parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, page: Page) -> None:
        """Keep the rows of a page, and write all that are kept once they are many."""
        batch = self._batch(page)
        self._kept.append(batch)
        self._rows += len(batch)
        self.held += batch.nbytes
        if self._rows >= ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what is kept as a row group."""
        if self._rows:
            batches = [stored(self._pa, batch, self._schema) for batch in self._kept]
            self._writer.write_table(self._pa.Table.from_batches(batches), row_group_size=self._rows)
        self._kept, self._rows, self.held = [], 0, 0

    def abandon(self) -> None:
        """Let go of the file as it is."""
        with suppress(Exception):
            self._writer.close()
        self._writer.is_open = False  # or it tries again when it is garbage, and complains


class IpcWriter(_ColumnWriter):
    """Writes pages as Arrow IPC: a batch for each page."""

    def _opened(self, file: BinaryIO) -> Any:
        return self._pa.ipc.new_file(file, self._decoded)

    def write(self, page: Page) -> None:
        """Write the rows of a page."""
        if page.row_count:
            self._writer.write_batch(self._batch(page))


class IpcStreamWriter(IpcWriter):
    """Writes pages as a stream of Arrow IPC, which can be read while it is written."""

    def _opened(self, file: BinaryIO) -> Any:
        return self._pa.ipc.new_stream(file, self._decoded)
