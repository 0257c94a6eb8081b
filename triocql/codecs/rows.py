"""Reading rows: a plan of type nodes for each set of columns, and the pages that it reads.

The pure twin of `_rows`: tests/property/test_twins.py holds them to the same rows and errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, NoReturn

from triocql.codecs.node import INT, FixedNode, FixedRun, Node, read_sized
from triocql.codecs.tuples import padding
from triocql.errors import DecodeError, RowTypeError

if TYPE_CHECKING:
    from triocql.protocol.types import ColumnSpec

CUT_OFF = "the page is cut off"
NO_RUN = "there is no row, or these are no columns, each once"

_length = INT.unpack_from


class RowPlan:
    """How rows of these columns are read: one type node for each.

    Columns that stand next to each other and have values of fixed size are read at once, lengths included: a
    run.

    Attributes:
        columns: the columns, custom types that are known by their class name resolved.
        names: their names.
        row_class: the class of the rows whose columns have names, once somebody has made it; None before.
    """

    __slots__ = ("columns", "names", "nodes", "row_class", "steps")

    def __init__(self, columns: tuple[ColumnSpec, ...], nodes: tuple[Node, ...]) -> None:
        self.columns = columns
        self.names = tuple(column.name for column in columns)
        self.nodes = nodes
        self.row_class: type[Any] | None = None
        self.steps = _steps(nodes)

    def page(self, body: bytes, offset: int, row_count: int) -> Page:
        """Return the page whose rows start at `offset` of `body`; nothing is read yet. What follows them is
        ignored (native protocol v5, section 1).

        Raises:
            DecodeError: the body is too short for so many rows.
        """
        check_size(self.columns, len(body) - offset if offset >= 0 else -1, row_count)
        return Page(self, body, offset, row_count)


class Page:
    """The rows of one response, as bytes until a form for them is chosen.

    Attributes:
        plan: the plan of its columns.
        row_count: how many rows it has.
        body: the response.
        offset: where in it the rows start.
    """

    __slots__ = ("body", "offset", "plan", "row_count")

    def __init__(self, plan: RowPlan, body: bytes, offset: int, row_count: int) -> None:
        self.plan = plan
        self.row_count = row_count
        self.body = body
        self.offset = offset

    def read_by(self, plan: RowPlan) -> Page:
        """Return the same rows, to be read by another plan for the same columns."""
        return Page(plan, self.body, self.offset, self.row_count)

    def rows(self, row_class: type[Any] = tuple) -> list[Any]:
        """Return all rows as instances of `row_class`: `tuple`, a subclass of it whose `__new__` need not be
        called, or `dict`; of columns with one name the last one counts there.

        Raises:
            DecodeError: a value is not valid for its type, or the page is cut off; names row and column.
            RowTypeError: a class of the user's refused a value; names row and column.
        """
        return self.cursor().take(self.row_count, row_class)

    def cursor(self) -> RowCursor:
        """Return a cursor, by which the rows can be read in slices."""
        return RowCursor(self.plan, self.body, self.offset, self.row_count)

    def first(self, count: int) -> Page:
        """Return the page of its first rows, `count` at most."""
        return Page(self.plan, self.body, self.offset, max(min(count, self.row_count), 0))

    def after(self, count: int) -> Page:
        """Return the page without its first `count` rows, which are walked over and not decoded.

        Raises:
            DecodeError: the page is cut off.
        """
        count = max(min(count, self.row_count), 0)
        at = self.offset
        for _ in range(count):
            at = _walk(self, at, [])
        return Page(self.plan, self.body, at, self.row_count - count)

    def last_run(self, columns: tuple[int, ...]) -> LastRun:
        """Return how many rows at the end are equal in some columns, which are given by their indexes, each once. Rows
        are walked over and not decoded.

        Raises:
            DecodeError: the page is cut off.
            ValueError: it has no rows, or these are no such columns.
        """
        known = set(columns) <= {*range(len(self.plan.columns))}
        if not (self.row_count and known and len(set(columns)) == len(columns)):
            raise ValueError(NO_RUN)
        run = 0
        values: tuple[bytes | None, ...] = ()
        before: tuple[bytes | None, ...] | None = None
        at = self.offset
        for row in range(self.row_count):
            cells: list[bytes | None] = []
            at = _walk(self, at, cells)
            here = tuple(cells[index] for index in columns)
            if row and here != values:
                run, before = 0, values
            values = here
            run += 1
        return run, values, before


LastRun = tuple[int, tuple[bytes | None, ...], tuple[bytes | None, ...] | None]
"""How many rows, the bytes of their cells, and of those of the row before; None if there is none."""


def _walk(page: Page, at: int, cells: list[bytes | None]) -> int:
    """Add the cells of the row at `at`; return where the next one is. Raises DecodeError."""
    body = page.body
    for _ in page.plan.columns:
        size = _length(body, at)[0] if at + 4 <= len(body) else len(body)
        start = at + 4
        at = start + max(size, 0)
        if at > len(body):
            raise DecodeError(CUT_OFF)
        cells.append(body[start:at] if size >= 0 else None)
    return at


class RowCursor:
    """A place in a page."""

    __slots__ = ("_at", "_body", "_left", "_plan", "_row")

    def __init__(self, plan: RowPlan, body: bytes, offset: int, row_count: int) -> None:
        self._plan = plan
        self._body = body
        self._at = offset
        self._row = 0
        self._left = row_count

    def take(self, n: int, row_class: type[Any] = tuple) -> list[Any]:
        """Return the next rows, `n` at most, as `Page.rows` does; an empty list at the end."""
        plan, body = self._plan, self._body
        make = _maker(row_class, plan.names)
        padding.begin(len(body))
        rows: list[Any] = []
        start = self._at
        try:
            for _ in range(min(n, self._left)):
                cells, end = _read_row(plan.steps, body, start)
                rows.append(make(cells))
                start = end
        except MemoryError:
            raise
        except Exception as error:
            fail(plan.columns, plan.nodes, body, start, self._row + len(rows), error)
        self._row += len(rows)
        self._left -= len(rows)
        self._at = start
        return rows


def _maker(row_class: type[Any], names: tuple[str, ...]) -> Callable[[list[Any]], Any]:
    """Return what makes a row of its values."""
    if row_class is dict:
        return lambda cells: dict(zip(names, cells, strict=True))
    if not isinstance(row_class, type) or not issubclass(row_class, tuple):
        raise TypeError("row_class has to be dict or a subclass of tuple")
    return tuple if row_class is tuple else partial(tuple.__new__, row_class)


_Step = tuple[FixedRun | None, Sequence[Node]]


def _steps(nodes: tuple[Node, ...]) -> list[_Step]:
    """Return the nodes in groups: those of fixed size side by side with their run, the others alone."""
    steps: list[_Step] = []
    for fixed, group in groupby(nodes, lambda node: isinstance(node, FixedNode)):
        members: list[Any] = list(group)
        if fixed:
            steps.append((FixedRun(members), members))
        else:
            steps += [(None, (node,)) for node in members]
    return steps


def _read_row(steps: list[_Step], body: bytes, at: int) -> tuple[list[Any], int]:
    cells: list[Any] = []
    for run, nodes in steps:
        # A run gives None if one of its values is null or empty, and does not fit at the end of a page of such values:
        # then they are read one by one, as those are that have no fixed size.
        if run is not None and at + run.size <= len(body):
            values = run.read(body, at)
            if values is not None:
                cells += values
                at += run.size
                continue
        for node in nodes:
            length = _length(body, at)[0]
            at += 4
            if length < 0:
                cells.append(None)
                continue
            end = at + length
            if end > len(body):
                raise DecodeError("a value goes beyond its page")
            cells.append(node.decode(body[at:end]))
            at = end
    return cells, at


def check_size(columns: tuple[ColumnSpec, ...], size: int, row_count: int) -> None:
    """Refuse a number of rows that `size` bytes cannot hold: each cell has 4 at least."""
    if row_count < 0 or size < 0 or row_count * max(len(columns), 1) * 4 > size:
        raise DecodeError(f"{size} bytes cannot hold {row_count} rows of {len(columns)} columns")


def fail(
    columns: tuple[ColumnSpec, ...], nodes: tuple[Node, ...], body: bytes, at: int, row: int, error: Exception
) -> NoReturn:
    """Raise the error for the row at `at`, which could not be read: read it again to find out the column.

    Raises:
        RowTypeError: a class of the user's refused a value.
        DecodeError: in all other cases.
    """
    for column, node in zip(columns, nodes, strict=True):
        try:
            _, at = read_sized(body, at, node)
        except MemoryError:
            raise
        except Exception as cause:
            place = f"row {row}, column {column.name!r} ({column.type}) of {column.keyspace}.{column.table}"
            _raise_at(place, cause, "the value")
    _raise_at(f"row {row}", error, "it")


def _raise_at(place: str, error: Exception, what: str) -> NoReturn:
    """Raise an error like `error` that names the place."""
    if isinstance(error, (DecodeError, RowTypeError)):
        kind = RowTypeError if isinstance(error, RowTypeError) else DecodeError
        raise kind(f"{place}: {error}") from error.__cause__
    raise DecodeError(f"{place}: {type(error).__name__} while reading {what}") from error
