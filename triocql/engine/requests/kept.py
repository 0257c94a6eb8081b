# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False, nonecheck=True
# cython: freethreading_compatible=False
"""Responses that are kept: the base of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import cython

    from triocql.metadata.node import Node
else:
    from triocql import _cython as cython

if not cython.compiled:
    from triocql.codecs.rows import Page, RowPlan
    from triocql.engine.requests.request import Response


class Kept:
    """A response, and what makes the rows of it, in one object where that can be.

    A program may keep very many, and the garbage collector goes through all that is kept, again and again. So what
    most of them are - one page, and the node that it came from - is kept in parts, of which objects are made when
    they are asked for.

    Args:
        response: the response.
        factory: makes the rows (`RowFactory`).
        pager: makes what fetches the pages that follow; None where there are none.
    """

    __slots__ = (
        "_body",
        "_factory",
        "_node",
        "_offset",
        "_pager",
        "_plan",
        "_row_count",
        "_rows",
        "_whole",
    )

    def __init__(self, response: Response, factory: Any, pager: Any = None) -> None:
        self._keep(response, factory, pager)

    def _keep(self, response: Response, factory: Any, pager: Any) -> None:
        page: Any = response.page
        self._node: Node | None = response.coordinator
        if type(page) is Page and response.paging_state is None and response.extras is None:
            known = page
            self._plan: RowPlan | None = known.plan
            self._body: bytes = known.body
            self._offset = known.offset
            self._row_count = known.row_count
            self._whole: Response | None = None
        else:
            self._plan = None
            self._row_count = -1
            self._whole = response
        self._factory = factory
        self._pager = pager
        self._rows: list[Any] | None = None

    def _page(self) -> Page | None:
        """Return the page, None if there is none."""
        if self._plan is not None:
            return self._plan.page(self._body, self._offset, self._row_count)
        return None if self._whole is None else self._whole.page

    def _response(self) -> Response:
        """Return the response."""
        return Response(self._page(), None, None, self._node) if self._whole is None else self._whole

    def _sole(self) -> Any:
        """Return the row if it is the only one of the page; else, and if the rows are there already, None.

        It is not kept: of many results that are read once, by this, only the bytes stay in memory.
        """
        if self._row_count != 1 or self._rows is not None:
            return None
        rows = self._factory.build(self._page())
        return rows[0] if rows else None

    def _all(self) -> list[Any]:
        """Return the rows of the page, which are kept from now on."""
        rows = self._rows
        if rows is None:
            page = self._page()
            if page is None:
                return []  # not kept: results without rows are shared
            rows = self._rows = self._factory.build(page)
        return rows


def keep(kind: Any, response: Response, factory: Any) -> Any:
    """Return `kind(response, factory)`, in few steps: it has no constructor but that of `Kept`."""
    kept = kind.__new__(kind)
    kept._keep(response, factory, None)
    return kept
