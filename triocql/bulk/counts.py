"""What a node answers that was asked how many rows a range has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from triocql.errors import ProtocolError

if TYPE_CHECKING:
    from triocql.codecs.rows import Page

_BYTES: Final = 8
"""Of a bigint. It is read as it is on the wire, as users may have a codec of their own for that type."""


def count_of(page: Page) -> int:
    """Return the number that a page has. Raises ProtocolError if it is no answer to count(*)."""
    if page.row_count == len(page.plan.columns) == 1:
        _, (cell,), _ = page.last_run((0,))
        if (
            cell is not None
            and len(cell) == _BYTES
            and (rows := int.from_bytes(cell, "big", signed=True)) >= 0
        ):
            return rows
    raise ProtocolError("a node was asked for the number of rows, and has not answered with a number")
