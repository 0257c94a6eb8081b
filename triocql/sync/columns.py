"""All rows of what is read page by page, as columns, for programs that block."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from triocql.codecs.columns import require
from triocql.reactors.green import beside_green_threads
from triocql.results.columns import Live, to_pandas, to_polars

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from triocql.codecs.rows import Page
    from triocql.results.columns import Batches


class AllAsColumns:
    """A base of what reads all pages, and makes columns of them."""

    @abstractmethod
    def _columns(self, types: Mapping[str, Any] | None) -> tuple[Batches, Iterator[Any]]:
        """Begin, and return what reads the pages, and what it makes of them as they are pulled."""

    def arrow(self, *, types: Mapping[str, Any] | None = None) -> pa.Table:
        """Return all rows as a table of Arrow, in which each page is a chunk.

        It needs no block of its own. Within one, it reads what no loop has begun to read. Arguments and errors are
        those of `Result.arrow`, and what reading raises.

        >>> session.stream("SELECT * FROM events").arrow()                               # doctest: +SKIP
        >>> session.scan("shop.events").arrow()                                          # doctest: +SKIP
        """
        batches, read = self._columns(types)
        return batches.table(read)

    def polars(self, *, types: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return all rows as a data frame of polars, as `arrow` does."""
        require("polars")
        batches, read = self._columns(types)
        return to_polars(batches, Live(batches, read))

    def pandas(self, *, types: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return all rows as a data frame of pandas, as `arrow` does."""
        return to_pandas(self.arrow(types=types))

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """Return a capsule of Arrow's C stream interface: whoever has it pulls a page at a time.

        >>> duckdb.from_arrow(session.stream("SELECT * FROM events"))                    # doctest: +SKIP
        >>> polars.DataFrame(session.scan("shop.events"))                                # doctest: +SKIP
        """
        return Live(*self._columns(None)).__arrow_c_stream__()


def read_aside(batches: Batches, page: Page) -> Any:
    """Return the batch of a page; if that takes long, green threads go on meanwhile, as other threads do anyway."""
    return beside_green_threads(batches.read, page) if batches.takes_long(page) else batches.read(page)
