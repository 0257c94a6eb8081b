"""All rows of a statement, for programs that block."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic

from triocql.codecs.columns import require
from triocql.errors import UsageError
from triocql.results.columns import Batches, Live, no_page, to_pandas
from triocql.results.factories import R_co
from triocql.session.blocks import Block, BlockingBlock
from triocql.session.pages import PageReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from triocql.codecs.rows import Page
    from triocql.config.requests import RequestOptions
    from triocql.results.factories import RowFactory
    from triocql.statements.executable import Executable
    from triocql.statements.statement import Parameters
    from triocql.sync.portal import Portal


class RowStream(BlockingBlock, Generic[R_co]):
    """Made by `Session.stream`: a context manager, and the iterator over the rows of all pages in it.

    Pages are fetched ahead while rows are read. Leaving the block, however that happens, abandons what is being
    fetched. A loop that was left goes on where it was; once all rows were read, another one raises UsageError, as
    everything does that is not within the block.
    """

    def __init__(
        self,
        portal: Portal,
        statement: Executable,
        parameters: Parameters,
        call: RequestOptions,
        factory: RowFactory[R_co],
        prefetch: int,
    ) -> None:
        self._portal = portal
        self._factory = factory
        self._block = Block("with session.stream(...) as rows")
        self._pages = PageReader(portal.context, statement, parameters, call, prefetch, self._block)
        self._rows: Iterator[R_co] = iter(())

    def __enter__(self) -> Self:
        self._block.enter()
        try:
            self._portal.call(self._pages.open)
        except BaseException as error:  # Ctrl-C may come when the first page is on its way already
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._block.leave()
        self._rows = iter(())
        with suppress(UsageError):  # the session is closed already
            self._portal.call(self._pages.close)

    def __iter__(self) -> Self:
        self._block.check_unread()
        return self

    def __next__(self) -> R_co:
        for row in self._rows:
            return row
        self._block.check_open()
        while (page := self._portal.run(self._pages.next)) is not None:
            self._rows = self._factory.iterate(page)
            for row in self._rows:
                return row
        self._block.exhausted = True
        raise StopIteration

    # --- Columns: each page is a batch; no block is needed, as all is read ---

    def arrow(self, *, types: Mapping[str, Any] | None = None) -> pa.Table:
        """Return the rows of all pages as a table of Arrow, in which each page is a chunk. Arguments and errors are
        those of `Result.arrow`, and what executing the statement can raise.

        >>> session.stream("SELECT * FROM events").arrow()                               # doctest: +SKIP
        """
        batches, pages = self._columns(types)
        return batches.table(map(batches.read, pages))

    def polars(self, *, types: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the rows of all pages as a data frame of polars, as `arrow` does."""
        return require("polars").DataFrame(self._live(types))  # type: ignore[no-any-return]

    def pandas(self, *, types: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return the rows of all pages as a data frame of pandas, as `arrow` does."""
        return to_pandas(self.arrow(types=types))

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """Return a capsule of Arrow's C stream interface: whoever has it pulls a page at a time.

        >>> duckdb.from_arrow(session.stream("SELECT * FROM events"))                    # doctest: +SKIP
        """
        return self._live(None).__arrow_c_stream__()

    def _live(self, types: Mapping[str, Any] | None) -> Live:
        batches, pages = self._columns(types)
        return Live(batches, map(batches.read, pages))

    def _columns(self, types: Mapping[str, Any] | None) -> tuple[Batches, Iterator[Page]]:
        """Fetch the first page, and return what reads it and those after it."""
        pages = self._pages_in_block()
        first = next(pages, None) or no_page()
        return Batches(first.plan, types), chain((first,), pages)

    def _pages_in_block(self) -> Iterator[Page]:
        if self._block.entered:
            self._block.check_whole(self._rows)
            yield from self._all_pages()
            return
        with self:
            yield from self._all_pages()

    def _all_pages(self) -> Iterator[Page]:
        while (page := self._portal.run(self._pages.next)) is not None:
            yield page
        self._block.exhausted = True
