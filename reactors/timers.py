"""A heap of timers, for the reactors whose loop has none that is cheap."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from itertools import count


class _Timer:
    __slots__ = ("fn", "when")

    def __init__(self, when: float, fn: Callable[[], None]) -> None:
        self.when = when
        self.fn: Callable[[], None] | None = fn


class Timers:
    """Functions to be called at their times; those of one time in the order in which they were added.

    Cancelling only marks an entry. The heap is rebuilt once the marked ones are more than half of it.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Timer]] = []
        self._order = count()
        self._cancelled = 0

    def add(self, when: float, fn: Callable[[], None]) -> Callable[[], None]:
        """Add `fn`; returns the function that cancels it, of no effect once it was called."""
        timer = _Timer(when, fn)
        heapq.heappush(self._heap, (when, next(self._order), timer))

        def cancel() -> None:
            if timer.fn is not None:
                timer.fn = None
                self._cancelled += 1
                self._shrink()

        return cancel

    def next_due(self) -> float:
        """Return when the first one is due, infinity if none is left."""
        while self._heap:
            when, _, timer = self._heap[0]
            if timer.fn is not None:
                return when
            heapq.heappop(self._heap)
            self._cancelled -= 1
        return math.inf

    def pop_due(self, now: float) -> Iterator[Callable[[], None]]:
        """Remove and yield the functions that are due at `now`.

        Those that are cancelled meanwhile are left out; those that are added meanwhile have to wait for the next turn.
        """
        newest = next(self._order)
        while self.next_due() <= now and self._heap[0][1] < newest:
            timer = heapq.heappop(self._heap)[2]
            if timer.fn is not None:
                fn, timer.fn = timer.fn, None
                yield fn

    def _shrink(self) -> None:
        if self._cancelled > 64 and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].fn is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0
