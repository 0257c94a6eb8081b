"""All rows of a statement, for programs that block."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic

from triocql.errors import UsageError
from triocql.results.columns import Batches, no_page
from triocql.results.factories import R_co
from triocql.session.blocks import Block, BlockingBlock
from triocql.session.pages import PageReader
from triocql.sync.columns import AllAsColumns, read_aside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from triocql.codecs.rows import Page
    from triocql.config.requests import RequestOptions
    from triocql.results.factories import RowFactory
    from triocql.statements.executable import Executable
    from triocql.statements.statement import Parameters
    from triocql.sync.portal import Portal


class RowStream(AllAsColumns, BlockingBlock, Generic[R_co]):
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
        self._enter()
        return self

    def _enter(self, *, whole: bool = False) -> None:
        self._block.enter(whole=whole)
        try:
            self._portal.call(self._pages.open)
        except BaseException as error:  # Ctrl-C may come when the first page is on its way already
            self.__exit__(type(error), error, error.__traceback__)
            raise

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

    def _columns(self, types: Mapping[str, Any] | None) -> tuple[Batches, Iterator[Any]]:
        """Fetch the first page, and return what reads it and those after it, as they are pulled."""
        pages = self._pages_in_block()
        first = next(pages, None) or no_page()
        batches = Batches(first.plan, types)
        return batches, map(partial(read_aside, batches), chain((first,), pages))

    def _pages_in_block(self) -> Iterator[Page]:
        if self._block.entered:
            self._block.check_whole(self._rows)
            yield from self._all_pages()
            return
        self._enter(whole=True)
        try:
            yield from self._all_pages()
        finally:
            self.__exit__(None, None, None)

    def _all_pages(self) -> Iterator[Page]:
        while (page := self._portal.run(self._pages.next)) is not None:
            yield page
        self._block.exhausted = True
