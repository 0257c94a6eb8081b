"""Pages without their last columns, which were asked for to know how far a range has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from triocql.codecs.cache import remembered, weight_of_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.codecs.rows import Page, RowCursor, RowPlan


def shown(page: Page, hidden: int) -> Page:
    """Return what is a page without its last `hidden` columns, as far as rows are made of it."""
    return page if not hidden else cast("Page", _Shown(page, hidden))


@remembered(lambda plan, hidden: weight_of_columns(plan.columns))
def _plan_of(plan: RowPlan, hidden: int) -> RowPlan:
    """Return the plan without its last columns: the same one again, as what follows from it is kept."""
    return type(plan)(plan.columns[:-hidden], plan.nodes[:-hidden])


class _Shown:
    def __init__(self, page: Page, hidden: int, plan: RowPlan | None = None) -> None:
        self._page = page
        self._hidden = hidden
        self.row_count = page.row_count
        self.plan = plan or _plan_of(page.plan, hidden)

    def rows(self, row_class: type[Any] = tuple) -> list[Any]:
        return self.cursor().take(self.row_count, row_class)

    def cursor(self) -> _ShownCursor:
        return _ShownCursor(self._page.cursor(), self.plan.names)

    def read_by(self, plan: RowPlan) -> _Shown:
        whole = self._page.plan
        nodes = plan.nodes + whole.nodes[-self._hidden :]
        return _Shown(self._page.read_by(type(whole)(whole.columns, nodes)), self._hidden, plan)


class _ShownCursor:
    def __init__(self, cursor: RowCursor, names: tuple[str, ...]) -> None:
        self._cursor = cursor
        self._names = names

    def take(self, n: int, row_class: type[Any] = tuple) -> list[Any]:
        names, count = self._names, len(self._names)
        make: Callable[[Any], Any] = lambda row: tuple.__new__(row_class, row[:count])  # noqa: E731
        if row_class is dict:
            make = lambda row: dict(zip(names, row, strict=False))  # noqa: E731
        return [make(row) for row in self._cursor.take(n)]
