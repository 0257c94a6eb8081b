"""Client-side write timestamps: what makes a retried write land in its place."""

from __future__ import annotations

import time
from collections.abc import Callable


class MonotonicTimestamps:
    """The wall clock in microseconds, but strictly increasing, also when the clock stands still or goes back.

    Pure twin of `triocql.engine._hot`.

    >>> stamps = MonotonicTimestamps(now=lambda: 1_000_000)
    >>> stamps.next(), stamps.next()
    (1000, 1001)
    """

    def __init__(self, now: Callable[[], int] = time.time_ns) -> None:
        self._now = now
        self._last = 0

    def next(self) -> int:
        """Return the next timestamp, in microseconds."""
        now = self._now() // 1000
        if now <= self._last:
            now = self._last + 1
        self._last = now
        return now
