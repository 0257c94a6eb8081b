"""How far a scan has come, and when it will have ended if it goes on like this."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, nextafter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.bulk.checkpoint import Checkpoint
    from triocql.bulk.intervals import TokenRange, TokenSpace


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scan has come.

    Attributes:
        fraction: how much of the ring is done, from 0.0 to 1.0. It never falls, and is 1.0 only when all of it is. What
            cannot be divided into ranges has 0.0 until then.
        rows: how many rows were given, those of the checkpoint that was resumed included.
        bytes: how many bytes they had on the wire.
        seconds: since when the scan runs.
        rows_per_second: how many rows were given in a second of this run.
        total_rows: how many rows there are in all, estimated by what is done; None if nothing is.
        remaining: in how many seconds the rest will be done, likewise.
    """

    fraction: float
    rows: int
    bytes: int
    seconds: float
    rows_per_second: float
    total_rows: int | None
    remaining: float | None

    def __str__(self) -> str:
        texts = [
            f"{int(self.fraction * 1000) / 10:.1f} %",
            f"{self.rows:,} rows",
            size_text(self.bytes),
            f"{self.rows_per_second:,.0f} rows/s",
        ]
        if self.remaining is not None and self.fraction < 1:
            texts.append(f"{duration_text(self.remaining)} left")
        return ", ".join(texts)


class Tally:
    """Counts what a scan gives, and what is done.

    Args:
        space: the tokens of the ring; None for what cannot be divided into ranges.
        before: the checkpoint that is resumed, or where the scan begins.
        now: the clock, in seconds.

    Attributes:
        done: the ranges that are done, those of the checkpoint included.
    """

    def __init__(self, space: TokenSpace | None, before: Checkpoint, now: Callable[[], float]) -> None:
        self.done = before.done if space is None else before.done.within(*space)
        self._before = before
        self._now = now
        self._began = now()
        self._ended: float | None = None
        self._total = 0 if space is None else space.whole.width
        self._width = self._width_before = self.done.width
        self._rows = self._bytes = 0
        self._rows_done = self._bytes_done = 0

    def give(self, rows: int, size: int) -> None:
        """Count rows that the consumer is given, and their bytes; negative ones are those that he throws away."""
        self._rows += rows
        self._bytes += size

    def complete(self, part: TokenRange, rows: int, size: int) -> None:
        """Count a range that is done, whose rows were given before."""
        self.done = self.done.plus(*part)
        self._width = self.done.width
        self._rows_done += rows
        self._bytes_done += size

    def end(self) -> None:
        """Stop the clock."""
        self._ended = self._now()

    def finish(self) -> None:
        """Count all as done of what cannot be divided into ranges."""
        self._total = self._width = 1
        self._rows_done, self._bytes_done = self._rows, self._bytes

    def checkpoint(self) -> Checkpoint:
        """Return how far it has come."""
        before = self._before
        return before.reached(
            self.done, rows=before.rows + self._rows_done, bytes=before.bytes + self._bytes_done
        )

    def progress(self) -> Progress:
        """Return how far it has come."""
        seconds = max((self._now() if self._ended is None else self._ended) - self._began, 0.0)
        fraction = self._fraction(self._width)
        gained = fraction - self._fraction(self._width_before)
        rows_done = self._before.rows + self._rows_done
        return Progress(
            fraction,
            self._before.rows + self._rows,
            self._before.bytes + self._bytes,
            seconds,
            self._rows / seconds if seconds else 0.0,
            ceil(rows_done / fraction) if fraction else None,
            seconds * (1 - fraction) / gained if gained > 0 else None,
        )

    def _fraction(self, width: int) -> float:
        """Return how much of the ring so many tokens are: less than all of it is less than 1, whatever the rounding."""
        if not width:
            return 0.0
        return 1.0 if width == self._total else min(width / self._total, nextafter(1, 0))


def size_text(size: int) -> str:
    """Return bytes as people read them.

    >>> size_text(999), size_text(12_345), size_text(7_654_321)
    ('999 B', '12.3 kB', '7.7 MB')
    """
    number, units = float(size), ["TB", "GB", "MB", "kB", "B"]
    while number >= 999.95 and len(units) > 1:
        number /= 1000
        units.pop()
    return f"{size} B" if units[-1] == "B" else f"{number:.1f} {units[-1]}"


def duration_text(seconds: float) -> str:
    """Return seconds as people read them.

    >>> duration_text(7.2), duration_text(61), duration_text(7_265)
    ('7 s', '1:01 min', '2:01 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    return f"{minutes}:{whole % 60:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02} h"
