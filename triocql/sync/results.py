"""The results of blocking calls: a plain loop over them goes over all pages."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from triocql.results.factories import R_co
from triocql.results.result import BaseResult, next_page
from triocql.statements.paging import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from triocql.engine.requests import Response
    from triocql.protocol.constants import Consistency
    from triocql.results.result import Pager, Trace
    from triocql.sync.portal import Portal


class PortalPager:
    """The pager of a result that a blocking caller has, with the portal by which it is called.

    `pager` is None where nothing follows: the portal alone keeps the session from being closed as garbage.
    """

    __slots__ = ("_pager", "portal")

    def __init__(self, portal: Portal, pager: Pager | None) -> None:
        self.portal = portal
        self._pager: Any = pager

    @property
    def fingerprint(self) -> bytes:
        """The statement and its values (`Pager`)."""
        fingerprint: bytes = self._pager.fingerprint
        return fingerprint

    async def fetch(self, paging_state: bytes) -> Response:
        """Fetch the page after `paging_state` (`Pager`)."""
        response: Response = await self._pager.fetch(paging_state)
        return response

    async def trace(
        self, tracing_id: UUID, consistency: Consistency | str | None, timeout: float | None, complete: bool
    ) -> Trace:
        """Read a trace (`Pager`)."""
        read: Trace = await self._pager.trace(tracing_id, consistency, timeout, complete)
        return read


class Result(BaseResult[R_co]):
    """The answer to a statement: one page of rows, and all the pages after it.

    A plain loop goes over the rows of all pages, which are fetched one after the other when they are needed; so does
    `all`. The page that is here: `rows`, ``result[i]``, ``len(result)``, `one`, `exactly_one` and `scalar`.

    A page is decoded when its rows are first asked for, in the thread that asks. The type of a row is that of the
    option `row_type`.

    >>> for row in session.execute("SELECT * FROM events", page_size=1000):            # doctest: +SKIP
    ...     print(row.id)
    """

    __slots__ = ()

    _ALL_PAGES = "a plain loop or `result.all()`"
    _ALL_COLUMNS = "`session.stream(...)` instead"

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
        read: Trace = pager.portal.run(pager.trace, tracing_id, consistency, timeout, complete)
        return read

    def _pages(self) -> Iterator[list[R_co]]:
        yield self.rows
        response, pager = self._response(), self._pager
        progress = Progress(response.paging_state)
        while (state := response.paging_state) is not None:
            response = pager.portal.run(next_page, pager, state, progress)
            if response.page is not None:
                yield self._factory.build(response.page)


def for_blocking(portal: Portal, result: BaseResult[R_co]) -> Result[R_co]:
    """Return what a blocking caller gets for the result that a coroutine got in the loop."""
    return Result(result._response(), result._factory, PortalPager(portal, result._pager))
