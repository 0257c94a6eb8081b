"""How many rows a page is asked for with, and how many bytes it is expected to have."""

from __future__ import annotations

from typing import Final

FIRST: Final = 1_000
LEAST: Final = 100
MOST: Final = 20_000
GOAL: Final = 2**20
"""Bytes of a page: with larger ones, a scan gets no faster."""

FAST: Final = 4
"""Pages grow so many times at once as long as none was too large: small ones cost nodes more for each row."""

SLOW: Final = 2


class PageSizes:
    """The size of the pages of a scan, which follows what they come with.

    Args:
        fixed: the rows of each page; None to have them found.

    Attributes:
        rows: how many rows the next page is asked for with.
    """

    __slots__ = ("_bytes_a_row", "_fixed", "_growth", "_most", "rows")

    def __init__(self, fixed: int | None) -> None:
        self._fixed = fixed is not None
        self.rows = FIRST if fixed is None else fixed
        self._most = MOST
        self._growth = FAST
        self._bytes_a_row = 0.0

    @property
    def expected(self) -> int:
        """The bytes that the next page is expected to have."""
        return int(self.rows * self._bytes_a_row) + 1 if self._bytes_a_row else GOAL

    def came(self, asked: int, rows: int, size: int) -> None:
        """A page of `size` bytes came with so many rows of those that were asked for."""
        if not rows:
            return
        found = size / rows
        # It rises at once, and falls slowly: what is expected is memory.
        self._bytes_a_row = max(found, (3 * self._bytes_a_row + found) / 4)
        if self._fixed or asked != self.rows:  # another page has changed it meanwhile
            return
        if size > 2 * GOAL:
            self._shrink()
        elif rows >= asked:
            for growth in (self._growth, SLOW):
                if growth * self.rows * self._bytes_a_row <= 1.5 * GOAL:
                    self.rows = min(self.rows * growth, self._most)
                    return

    def was_too_large(self, asked: int, *, always: bool = False) -> bool:
        """A page of so many rows was too much for a node: this time, or `always`. Return whether a smaller one will be
        asked for.
        """
        if self._fixed or asked <= LEAST:
            return False
        if always:
            self._most = min(self._most, max(asked // 2, LEAST))
        if asked == self.rows:
            self._shrink()
        return self.rows < asked

    def _shrink(self) -> None:
        self.rows = max(self.rows // 2, LEAST)
        self._growth = SLOW
