"""All rows of a statement, page after page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from triocql.codecs.columns import require
from triocql.results.columns import Batches, Live, no_page, to_pandas
from triocql.results.factories import R_co
from triocql.session.blocks import AsyncBlock, Block
from triocql.session.pages import PageReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from triocql.config.requests import RequestOptions
    from triocql.results.factories import RowFactory
    from triocql.session.context import SessionContext
    from triocql.statements.executable import Executable
    from triocql.statements.statement import Parameters

CELLS_AT_ONCE = 250_000
"""A page with more cells becomes columns in a thread: here it would hold the loop for more than 2 milliseconds."""


class RowStream(AsyncBlock, Generic[R_co]):
    """Made by `Session.stream`: an async context manager, and the async iterator over the rows in it.

    Leaving the block, however that happens, abandons what is being fetched. A loop that was left goes on where it was;
    once all rows were read, another one raises UsageError, as everything does that is not within the block.
    """

    __slots__ = ("_block", "_context", "_factory", "_pages", "_rows")

    def __init__(
        self,
        context: SessionContext,
        statement: Executable,
        parameters: Parameters,
        call: RequestOptions,
        factory: RowFactory[R_co],
        prefetch: int,
    ) -> None:
        self._block = Block("async with session.stream(...) as rows")
        self._pages = PageReader(context, statement, parameters, call, prefetch, self._block)
        self._context = context
        self._factory = factory
        self._rows: Iterator[R_co] | None = None  # within the block only

    async def __aenter__(self) -> Self:
        self._enter()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._leave()

    def _enter(self) -> None:
        self._block.enter()
        self._rows = iter(())
        self._pages.open()

    def _leave(self) -> None:
        self._block.leave()
        self._rows = None
        self._pages.close()

    def __aiter__(self) -> Self:
        self._block.check_unread()
        return self

    async def __anext__(self) -> R_co:
        for row in self._rows or ():
            return row
        return await self._advance()

    async def _advance(self) -> R_co:
        """Return the first row of the next page that has one. A checkpoint a page."""
        while (page := await self._pages.next()) is not None:
            self._rows = self._factory.iterate(page)
            for row in self._rows:
                return row
        self._block.exhausted = True
        raise StopAsyncIteration

    async def arrow(self, *, types: Mapping[str, Any] | None = None) -> pa.Table:
        """Return the rows of all pages as a table of Arrow, in which each page is a chunk.

        It needs no block of its own. Within one, it reads what no loop has begun to read. Arguments and errors are
        those of `Result.arrow`, and what executing the statement can raise.

        >>> table = await session.stream("SELECT * FROM events").arrow()                 # doctest: +SKIP
        """
        batches, read = await self._columns(types)
        return batches.table(read)

    async def polars(self, *, types: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the rows of all pages as a data frame of polars, as `arrow` does."""
        frame = require("polars")
        batches, read = await self._columns(types)
        return frame.DataFrame(Live(batches, iter(read)))  # type: ignore[no-any-return]

    async def pandas(self, *, types: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return the rows of all pages as a data frame of pandas, as `arrow` does."""
        return to_pandas(await self.arrow(types=types))

    async def _columns(self, types: Mapping[str, Any] | None) -> tuple[Batches, list[Any]]:
        """Return all pages as batches, and what has read them."""
        if self._block.entered:
            return await self._read_columns(types)
        self._enter()
        try:
            return await self._read_columns(types)
        finally:
            self._leave()

    async def _read_columns(self, types: Mapping[str, Any] | None) -> tuple[Batches, list[Any]]:
        self._block.check_whole(self._rows or ())
        batches: Batches | None = None
        read = []
        while (page := await self._pages.next()) is not None:
            batches = batches or Batches(page.plan, types)
            if page.row_count * len(page.plan.columns) > CELLS_AT_ONCE:
                read.append(await self._context.reactor.run_blocking(batches.read, page))
            else:
                read.append(batches.read(page))
        self._block.exhausted = True
        return batches or Batches(no_page().plan, types), read
