"""The results of blocking calls: a plain loop over them goes over all pages."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from triocql.results.factories import R_co
from triocql.results.result import BaseResult, next_page
from triocql.statements.paging import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triocql.engine.requests import Response
    from triocql.protocol.constants import Consistency
    from triocql.results.factories import RowFactory
    from triocql.results.result import Pager, Trace
    from triocql.sync.portal import Portal


class Result(BaseResult[R_co]):
    """The answer to a statement: one page of rows, and all the pages after it.

    A plain loop goes over the rows of all pages, which are fetched one after the other when they are needed; so does
    `all`. The page that is here: `rows`, ``result[i]``, ``len(result)``, `one`, `exactly_one` and `scalar`.

    A page is decoded when its rows are first asked for, in the thread that asks. The type of a row is that of the
    option `row_type`.

    >>> for row in session.execute("SELECT * FROM events", page_size=1000):            # doctest: +SKIP
    ...     print(row.id)
    """

    __slots__ = ("_portal",)

    _ALL_PAGES = "a plain loop or `result.all()`"
    _ALL_COLUMNS = "`session.stream(...)` instead"

    def __init__(
        self,
        portal: Portal,
        response: Response,
        factory: RowFactory[R_co],
        pager: Pager | None = None,
    ) -> None:
        super().__init__(response, factory, pager)
        self._portal = portal

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
    ) -> Trace:
        """Return what the server recorded of the request; arguments and errors are those of `triocql.Result.trace`."""
        pager, tracing_id = self._traced()
        return self._portal.run(pager.trace, tracing_id, consistency, timeout, complete)

    def _pages(self) -> Iterator[list[R_co]]:
        yield self.rows
        response = self._response
        progress = Progress(response.paging_state)
        while (state := response.paging_state) is not None:
            response = self._portal.run(next_page, self._pager, state, progress)
            if response.page is not None:
                yield self._factory.build(response.page)


def for_blocking(portal: Portal, result: BaseResult[R_co]) -> Result[R_co]:
    """Return what a blocking caller gets for the result that a coroutine got in the loop."""
    return Result(portal, result._response, result._factory, result._pager)
