# cython: language_level=3, annotation_typing=False, freethreading_compatible=False
"""Client-side write timestamps: what makes a retried write land in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import cython
else:
    from triocql import _cython as cython

if not cython.compiled:
    from time import time as wall_clock


class MonotonicTimestamps:
    """The wall clock in microseconds, but strictly increasing, also when the clock stands still or goes back.

    Args:
        now: the wall clock in nanoseconds; by default the system's.

    >>> stamps = MonotonicTimestamps(now=lambda: 1_000_000)
    >>> stamps.next(), stamps.next()
    (1000, 1001)
    """

    __slots__ = ("_last", "_now")

    def __init__(self, now: Callable[[], int] | None = None) -> None:
        self._now = now
        self._last = 0

    def next(self) -> int:
        """Return the next timestamp, in microseconds."""
        now = int(wall_clock() * 1e6) if self._now is None else self._now() // 1000
        if now <= self._last:
            now = self._last + 1
        self._last = now
        return now
