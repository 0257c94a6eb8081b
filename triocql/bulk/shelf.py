"""The ranges that were begun, with the pages that have come and were not taken, and what room there is for more."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triocql.bulk.reading import Reading
    from triocql.codecs.rows import Page
    from triocql.metadata.node import Node


WAITING: Final = 8
"""In the order of the ring, so many readings that have ended, and wait for the first one, count as one that goes on."""


class Shelf:
    """Holds readings and their pages.

    Args:
        max_bytes: how much the pages may have that are here, and those under way are expected to have. One page always
            has room, or nothing would go on.
        limit: how many rows are wanted; None for all.
        taken: how many rows were taken before.
        ordered: whether pages are taken in the order of the ring, or in that in which they have come.

    Attributes:
        readings: those that were begun, in the order of the ring if that counts.
        expected: how many bytes the pages under way are expected to have.
        kept: how many bytes those have that are here.
        taken: how many rows were taken.
    """

    __slots__ = (
        "_limit",
        "_max_bytes",
        "_ordered",
        "_ready",
        "_rows",
        "expected",
        "kept",
        "readings",
        "taken",
    )

    def __init__(self, max_bytes: int, limit: int | None, taken: int, *, ordered: bool) -> None:
        self.readings: list[Reading] = []
        self.expected = self.kept = 0
        self.taken = taken
        self._rows = 0
        self._max_bytes = max_bytes
        self._limit = limit
        self._ordered = ordered
        # Each as often as it has a page, or an end to be told of; nothing of that is needed in order.
        self._ready: deque[Reading] = deque()

    @property
    def size(self) -> int:
        """The bytes of the pages that are here, and that those under way are expected to have."""
        return self.expected + self.kept

    @property
    def begun(self) -> int:
        """How many readings there are, as far as more of them would be too many.

        In the order of the ring, those that have ended count for little: they wait for the first one.
        """
        if not self._ordered:
            return len(self.readings)
        ended = sum(reading.has_ended for reading in self.readings)
        return len(self.readings) - ended + ended // WAITING

    # --- What room there is --------------------------------------------------------------------------------

    @property
    def left(self) -> int | None:
        """How many rows are wanted yet; None for all."""
        return None if self._limit is None else max(self._limit - self.taken, 0)

    def has_room(self, size: int, reading: Reading | None) -> bool:
        """Whether there is room for a page of so many bytes of `reading`, or of one that is to begin."""
        after = self.size + size
        if not self._ordered or not self.readings:
            return after <= self._max_bytes or after == size
        first = self.readings[0]
        own = first.size
        if reading is first:
            return not own or after <= self._max_bytes
        # The first one always has room for a page, and for the one that is fetched meanwhile: all others wait for it.
        return after - own + max(own, 2 * size) <= self._max_bytes

    def is_enough(self) -> bool:
        """Whether all rows that are wanted are here."""
        if self._limit is None:
            return False
        rows = self._rows
        if self._ordered:
            rows = 0
            for reading in self.readings:
                rows += sum(page.row_count for page, _ in reading.pages)
                if not reading.has_ended:
                    break
        return self.taken + rows >= self._limit

    # --- What is here --------------------------------------------------------------------------------------

    def put(self, reading: Reading, page: Page, node: Node | None) -> None:
        """Keep a page."""
        reading.pages.append((page, node))
        self.kept += len(page.body)
        self._rows += page.row_count
        self._tell(reading)

    def tell_end(self, reading: Reading) -> None:
        """Have it be told that a reading without pages has ended."""
        self._tell(reading)

    def _tell(self, reading: Reading) -> None:
        if not self._ordered:
            self._ready.append(reading)

    def has_next(self) -> bool:
        """Whether there is something to take."""
        if not self._ordered:
            return bool(self._ready)
        return bool(self.readings) and (bool(self.readings[0].pages) or self.readings[0].has_ended)

    def next(self) -> Reading:
        """Return the reading from which something is to be taken."""
        return self.readings[0] if self._ordered else self._ready.popleft()

    def take(self, reading: Reading) -> tuple[Page | None, Node | None]:
        """Take a page of a reading, as far as its rows are wanted; None where there are no rows."""
        if not reading.pages:
            return None, reading.node
        page, node = reading.pages.popleft()
        self.kept -= len(page.body)
        self._rows -= page.row_count
        left = self.left
        if left is not None:
            page = page.first(left)
        self.taken += page.row_count
        return (page if page.row_count else None), node

    def add_after(self, reading: Reading, following: Sequence[Reading]) -> None:
        """Have others follow a reading."""
        at = self.readings.index(reading) + 1
        self.readings[at:at] = following

    def remove(self, reading: Reading) -> None:
        """Forget a reading, with what it has."""
        self.readings.remove(reading)
        if reading.pages:
            self.kept -= sum(len(page.body) for page, _ in reading.pages)
            self._rows -= sum(page.row_count for page, _ in reading.pages)
            reading.pages.clear()
            self._ready = deque(each for each in self._ready if each is not reading)

    def clear(self) -> list[Reading]:
        """Forget all, and return the readings."""
        readings, self.readings = self.readings, []
        self._ready.clear()
        self.kept = self._rows = 0
        return readings
