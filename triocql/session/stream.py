"""All rows of a statement, page after page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from triocql.results.columns import Batches, no_page
from triocql.results.factories import R_co
from triocql.session.blocks import AsyncBlock, Block
from triocql.session.columns import AllAsColumns, read_aside
from triocql.session.pages import PageReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from triocql.config.requests import RequestOptions
    from triocql.results.factories import RowFactory
    from triocql.session.context import SessionContext
    from triocql.statements.executable import Executable
    from triocql.statements.statement import Parameters


class RowStream(AllAsColumns, AsyncBlock, Generic[R_co]):
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

    def _enter(self, *, whole: bool = False) -> None:
        self._block.enter(whole=whole)
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

    async def _columns(self, types: Mapping[str, Any] | None) -> tuple[Batches, list[Any]]:
        """Return all pages as batches, and what has read them."""
        if self._block.entered:
            return await self._read_columns(types)
        self._enter(whole=True)
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
            read.append(await read_aside(self._context.reactor, batches, page))
        self._block.exhausted = True
        return batches or Batches(no_page().plan, types), read
