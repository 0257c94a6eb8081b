"""The forms in which rows can be had: which class a `row_type` stands for, and how a page gives it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, get_origin, overload

from triocql._brief import brief
from triocql.codecs.annotated import annotated_nodes
from triocql.codecs.cache import remembered, weight_of_columns
from triocql.codecs.classes import Reading, Shape, shape_of
from triocql.codecs.refusals import refused
from triocql.errors import OptionError, RowTypeError
from triocql.results.row import Row, row_class

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from triocql.codecs.rows import Page, RowPlan

R_co = TypeVar("R_co", covariant=True)

APPLIED = "[applied]"
"""The first column of what a conditional update gives."""

_CELLS_A_SLICE = 2048


class RowFactory(ABC, Generic[R_co]):
    """Makes rows of one kind of a page."""

    def count(self, page: Page) -> int:
        """Return how many rows of the page there are."""
        return page.row_count

    @abstractmethod
    def build(self, page: Page) -> list[R_co]:
        """Return all rows of the page."""

    @abstractmethod
    def iterate(self, page: Page) -> Iterator[R_co]:
        """Return an iterator that decodes the rows in slices, so that none of its steps takes long."""


class _NamedRows(RowFactory[Row]):
    def build(self, page: Page) -> list[Row]:
        plan = page.plan
        return page.rows(plan.row_class or self._kind(plan))

    def iterate(self, page: Page) -> Iterator[Row]:
        cursor, plan = page.cursor(), page.plan
        count, kind = _slice_of(plan.names), self._kind(plan)
        return _flat(lambda: cursor.take(count, kind))

    def _kind(self, plan: RowPlan) -> type[Row]:
        kind = plan.row_class = row_class(plan.names)
        return kind


class _Plain(RowFactory[R_co]):
    """`tuple` or `dict`."""

    def __init__(self, kind: type[R_co]) -> None:
        self._kind = kind

    def build(self, page: Page) -> list[R_co]:
        return page.rows(self._kind)

    def iterate(self, page: Page) -> Iterator[R_co]:
        cursor, count, kind = page.cursor(), _slice_of(page.plan.names), self._kind
        return _flat(lambda: cursor.take(count, kind))


class _Objects(RowFactory[R_co]):
    """Instances of a user's class.

    The column `[applied]` of a conditional update is left out for a class that does not know it. A row that has no
    other column, as when the update was applied, is no row then.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def build(self, page: Page) -> list[R_co]:
        return _Maker(self._shape, page).take(page.row_count) if self._has_rows(page) else []

    def iterate(self, page: Page) -> Iterator[R_co]:
        if not self._has_rows(page):
            return iter(())
        maker, count = _Maker(self._shape, page), _slice_of(page.plan.names)
        return _flat(lambda: maker.take(count))

    def count(self, page: Page) -> int:
        return page.row_count if self._has_rows(page) else 0

    def _has_rows(self, page: Page) -> bool:
        return page.plan.names != (APPLIED,) or self._shape.knows(APPLIED)


class _Fit(NamedTuple):
    """The fit of a class and certain columns: the plan that reads the rows, and the instances that are made of them."""

    plan: RowPlan
    reading: Reading


class _Maker:
    """A place in a page whose rows become instances of a class."""

    def __init__(self, shape: Shape, page: Page) -> None:
        self._shape = shape
        self._fit = _fit(shape, page.plan)
        self._cursor = page.read_by(self._fit.plan).cursor()
        self._row = 0

    def take(self, count: int) -> list[Any]:
        """Return the next rows, `count` at most; an empty list at the end."""
        kind, build = self._fit.reading
        rows = self._cursor.take(count, kind)
        if build is None:
            return rows
        made: list[Any] = []
        try:
            made.extend(build(rows))
            if len(made) < len(rows):
                raise RuntimeError("it raised StopIteration")  # noqa: TRY301 - else rows would be lost
        except Exception as error:
            raise refused(self._shape.cls, f"row {self._row + len(made)}", error) from error
        self._row += len(made)
        return made


@remembered(lambda shape, plan: weight_of_columns(plan.columns))
def _fit(shape: Shape, plan: RowPlan) -> _Fit:
    """Check a class against the columns of a plan. Raises RowTypeError."""
    cls, names = shape.cls, plan.names
    leaves_out = int(names[:1] == (APPLIED,) and not shape.knows(APPLIED))
    names = names[leaves_out:]
    missing, unknown = shape.missing(names), shape.unknown(names)
    if missing or unknown:
        problems = [f"there is no column {_listed(missing)}"] * bool(missing)
        problems += [f"it has no field for the column {_listed(unknown)}"] * bool(unknown)
        raise RowTypeError(
            f"the rows do not fit {cls.__qualname__}: {', and '.join(problems)}; the columns are {_listed(names)}"
        )
    try:
        nodes = annotated_nodes(shape, names, plan.nodes[leaves_out:])
    except OptionError as error:
        raise RowTypeError(f"the rows do not fit {cls.__qualname__}: {error}") from error.__cause__
    nodes = plan.nodes[:leaves_out] + nodes
    if nodes != plan.nodes:
        plan = type(plan)(plan.columns, nodes)
    if not leaves_out:
        return _Fit(plan, shape.rows(names))
    build = shape.builder(names)
    return _Fit(plan, Reading(tuple, lambda rows: build(row[1:] for row in rows)))


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(map(repr, names))


def _slice_of(names: tuple[str, ...]) -> int:
    """Return the number of rows that are decoded at once: about 2,000 cells, some milliseconds at the worst."""
    return max(1, _CELLS_A_SLICE // max(1, len(names)))


def _flat(take: Callable[[], list[R_co]]) -> Iterator[R_co]:
    """Iterate over what `take` gives until it gives nothing."""
    return chain.from_iterable(iter(take, []))


_ROWS = _NamedRows()
_FACTORIES: dict[type[Any], RowFactory[Any]] = {Row: _ROWS, tuple: _Plain(tuple), dict: _Plain(dict)}


@overload
def row_factory(row_type: type[Row] | None) -> RowFactory[Row]: ...
@overload
def row_factory(row_type: type[dict[str, Any]]) -> RowFactory[dict[str, Any]]: ...
@overload
def row_factory(row_type: type[R_co]) -> RowFactory[R_co]: ...
@overload
def row_factory(row_type: type[Any] | None) -> RowFactory[Any]: ...
def row_factory(row_type: Any) -> RowFactory[Any]:
    """Return the factory of the option `row_type`. Raises OptionError for a type that rows cannot be had as."""
    if row_type is None:
        return _ROWS
    row_type = get_origin(row_type) or row_type  # dict[str, Any] is a dict
    if not isinstance(row_type, type):
        raise OptionError(f"row_type is {brief(row_type)}; it has to be a class")
    factory = _FACTORIES.get(row_type)
    if factory is not None:
        return factory
    try:
        return _Objects(shape_of(row_type))
    except OptionError as error:
        raise OptionError(
            f"row_type: {error}; it can be triocql.Row, tuple, dict, or a class of yours such as a dataclass"
        ) from None
