"""The forms in which rows can be had: which class a `row_type` stands for, and how a page gives it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from triocql.errors import OptionError
from triocql.rows import Row, row_class

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from triocql.codecs.rows import Page

R_co = TypeVar("R_co", covariant=True)

_CELLS_A_SLICE = 2048


class RowForm(ABC, Generic[R_co]):
    """Makes rows of one kind of a page."""

    @abstractmethod
    def build(self, page: Page) -> list[R_co]:
        """Return all rows of the page."""

    @abstractmethod
    def iterate(self, page: Page) -> Iterator[R_co]:
        """Return an iterator that decodes the rows in slices, so that none of its steps takes long."""


class _NamedRows(RowForm[Row]):
    def build(self, page: Page) -> list[Row]:
        return page.rows(row_class(page.plan.names))

    def iterate(self, page: Page) -> Iterator[Row]:
        cursor, names = page.cursor(), page.plan.names
        count, kind = _slice_of(names), row_class(names)
        return _flat(lambda: cursor.take(count, kind))


class _Tuples(RowForm[tuple[Any, ...]]):
    def build(self, page: Page) -> list[tuple[Any, ...]]:
        return page.rows(tuple)

    def iterate(self, page: Page) -> Iterator[tuple[Any, ...]]:
        cursor, count = page.cursor(), _slice_of(page.plan.names)
        return _flat(lambda: cursor.take(count, tuple))


class _Dicts(RowForm[dict[str, Any]]):
    def build(self, page: Page) -> list[dict[str, Any]]:
        return page.dicts()

    def iterate(self, page: Page) -> Iterator[dict[str, Any]]:
        return (dict(zip(page.plan.names, row, strict=True)) for row in _TUPLES.iterate(page))


def _slice_of(names: tuple[str, ...]) -> int:
    """How many rows are decoded at once: about 2,000 cells, some milliseconds at the worst."""
    return max(1, _CELLS_A_SLICE // max(1, len(names)))


def _flat(take: Callable[[], list[R_co]]) -> Iterator[R_co]:
    """Iterate over what `take` gives until it gives nothing."""
    return chain.from_iterable(iter(take, []))


_ROWS, _TUPLES, _DICTS = _NamedRows(), _Tuples(), _Dicts()
_FORMS: dict[type[Any] | None, RowForm[Any]] = {None: _ROWS, Row: _ROWS, tuple: _TUPLES, dict: _DICTS}


@overload
def row_form(row_type: type[Row] | None) -> RowForm[Row]: ...
@overload
def row_form(row_type: type[tuple[Any, ...]]) -> RowForm[tuple[Any, ...]]: ...
@overload
def row_form(row_type: type[dict[str, Any]]) -> RowForm[dict[str, Any]]: ...
@overload
def row_form(row_type: type[Any] | None) -> RowForm[Any]: ...
def row_form(row_type: type[Any] | None) -> RowForm[Any]:
    """Return the form of the option `row_type`. Raises OptionError for a type that rows cannot be had as."""
    form = _FORMS.get(row_type)
    if form is None:
        raise OptionError(f"row_type is {row_type!r}; it has to be triocql.Row, tuple or dict")
    return form
