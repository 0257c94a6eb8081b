"""The results of blocking calls: `Result`, whose plain loop goes over all pages, and `RowStream`."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Generic

from triocql.errors import UsageError
from triocql.results import result as results
from triocql.results.factories import R_co
from triocql.session.blocks import Block, BlockingBlock
from triocql.statements.paging import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from triocql.engine.requests import Response
    from triocql.protocol.constants import Consistency
    from triocql.results.factories import RowFactory
    from triocql.session import stream as streaming
    from triocql.sync.session import Session


class Result(results.BaseResult[R_co]):
    """The answer to a statement: one page of rows, and all the pages after it.

    A plain loop goes over the rows of all pages, which are fetched one after the other when they are needed; so does
    `all`. The page that is here: `rows`, ``result[i]``, ``len(result)``, `one`, `exactly_one` and `scalar`.

    A page is decoded when its rows are first asked for, in the thread that asks. The type of a row is that of the
    option `row_type`.

    >>> for row in session.execute("SELECT * FROM events", page_size=1000):            # doctest: +SKIP
    ...     print(row.id)
    """

    __slots__ = ("_session",)

    _ALL_PAGES = "a plain loop or `result.all()`"

    def __init__(
        self,
        session: Session,
        response: Response,
        factory: RowFactory[R_co],
        pager: results.Pager | None = None,
    ) -> None:
        super().__init__(response, factory, pager)
        self._session = session

    @classmethod
    def of(cls, session: Session, result: results.Result[R_co]) -> Result[R_co]:
        """Return what a blocking caller gets for the result of the session underneath."""
        return cls(session, result._response, result._factory, result._pager)

    def __iter__(self) -> Iterator[R_co]:
        """Iterate over the rows of all pages, from this one on. Raises as `all` does."""
        return chain.from_iterable(self._pages())

    def all(self) -> list[R_co]:
        """Return the rows of this page and of all that follow, in a list of its own.

        Raises what executing the statement can raise, and PagingLoop if a node gives no end.
        """
        return list(self)

    def trace(
        self,
        *,
        consistency: Consistency | str | None = None,
        timeout: float | None = None,
        complete: bool = True,
    ) -> results.Trace:
        """Return what the server recorded of the request; arguments and errors are those of `triocql.Result.trace`."""
        pager, tracing_id = self._traced()
        return self._session.run(pager.trace, tracing_id, consistency, timeout, complete)

    def _pages(self) -> Iterator[list[R_co]]:
        yield self.rows
        response = self._response
        progress = Progress(response.paging_state)
        while (state := response.paging_state) is not None:
            response = self._session.run(results.next_page, self._pager, state, progress)
            if response.page is not None:
                yield self._factory.build(response.page)


class RowStream(BlockingBlock, Generic[R_co]):
    """Made by `Session.stream`: a context manager, and the iterator over the rows of all pages in it.

    Pages are fetched ahead while rows are read. Leaving the block, however that happens, abandons what is being
    fetched. A loop that was left goes on where it was; once all rows were read, another one raises UsageError, as
    everything does that is not within the block.
    """

    def __init__(
        self, session: Session, stream: streaming.RowStream[R_co], factory: RowFactory[R_co]
    ) -> None:
        self._session = session
        self._stream = stream
        self._factory = factory
        self._block = Block("with session.stream(...) as rows")
        self._rows: Iterator[R_co] = iter(())

    def __enter__(self) -> Self:
        self._block.enter()
        try:
            self._session.run(self._stream.__aenter__)
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
            self._session.run(self._stream.__aexit__, exc_type, exc, tb)

    def __iter__(self) -> Self:
        self._block.check_unread()
        return self

    def __next__(self) -> R_co:
        for row in self._rows:
            return row
        self._block.check_open()
        while (page := self._session.run(self._stream.next_page)) is not None:
            self._rows = self._factory.iterate(page)
            for row in self._rows:
                return row
        self._block.exhausted = True
        raise StopIteration
