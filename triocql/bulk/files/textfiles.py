"""Files of text: a line for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from triocql.bulk.files.exact import exact_plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

    from triocql.codecs.rows import Page, RowPlan
    from triocql.protocol.types import ColumnSpec

_CELLS_AT_ONCE: Final = 20_000


class Lines(Protocol):
    """Makes lines of rows.

    Attributes:
        head: what stands before the first one.
    """

    head: str

    def __init__(self, columns: Sequence[ColumnSpec]) -> None: ...

    def lines(self, rows: Iterable[Sequence[Any]]) -> str:
        """Return some rows as lines."""

    def encoded(self, text: str) -> bytes:
        """Return lines as bytes of UTF-8."""


class TextWriter:
    """Writes pages as lines, at once.

    Args:
        file: where to.
        columns: those that are written. Pages may have others behind them.
        kind: what makes the lines.
    """

    held = 0

    def __init__(self, file: BinaryIO, columns: tuple[ColumnSpec, ...], kind: type[Lines]) -> None:
        self._file = file
        self._visible = len(columns)
        self._plan: RowPlan | None = None  # of the last page
        self._exact: RowPlan
        self._lines = kind(columns)
        self._file.write(self._lines.encoded(self._lines.head))

    def write(self, page: Page) -> None:
        """Write the rows of a page."""
        if page.plan is not self._plan:
            self._plan, self._exact = page.plan, exact_plan(page.plan, self._visible)
        cursor = page.read_by(self._exact).cursor()
        at_once = max(_CELLS_AT_ONCE // max(self._visible, 1), 1)
        while rows := cursor.take(at_once):
            self._file.write(self._lines.encoded(self._lines.lines(rows)))

    def flush(self) -> None:
        """Do nothing: there is nothing left to be written."""

    def finish(self) -> None:
        """Do nothing: nothing follows the last line."""

    def abandon(self) -> None:
        """Do nothing."""
