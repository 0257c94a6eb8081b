"""All rows of what is read page by page, as columns."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from triocql.codecs.columns import require
from triocql.results.columns import Live, to_pandas, to_polars

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from triocql.abc import Reactor
    from triocql.codecs.rows import Page
    from triocql.results.columns import Batches


class AllAsColumns:
    """A base of what reads all pages, and makes columns of them."""

    __slots__ = ()

    @abstractmethod
    async def _columns(self, types: Mapping[str, Any] | None) -> tuple[Batches, list[Any]]:
        """Return what has read all pages, and what it has made of them."""

    async def arrow(self, *, types: Mapping[str, Any] | None = None) -> pa.Table:
        """Return all rows as a table of Arrow, in which each page is a chunk.

        It needs no block of its own. Within one, it reads what no loop has begun to read. Arguments and errors are
        those of `Result.arrow`, and what reading raises.

        >>> table = await session.stream("SELECT * FROM events").arrow()                 # doctest: +SKIP
        >>> table = await session.scan("shop.events").arrow()                            # doctest: +SKIP
        """
        batches, read = await self._columns(types)
        return batches.table(read)

    async def polars(self, *, types: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return all rows as a data frame of polars, as `arrow` does."""
        require("polars")
        batches, read = await self._columns(types)
        return to_polars(batches, Live(batches, iter(read)))

    async def pandas(self, *, types: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return all rows as a data frame of pandas, as `arrow` does."""
        return to_pandas(await self.arrow(types=types))


async def read_aside(reactor: Reactor, batches: Batches, page: Page) -> Any:
    """Return the batch of a page; if that takes long, it is read in a thread, and the loop goes on meanwhile."""
    if batches.takes_long(page):
        return await reactor.run_blocking(batches.read, page)
    return batches.read(page)
