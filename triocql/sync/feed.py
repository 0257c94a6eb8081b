"""How statements get from the caller's thread to the loop's: in chunks, pulled by the caller."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from triocql.engine.hot import Window
    from triocql.statements import Parameters

    Pair = tuple[Any, Parameters]

LARGEST = 1024
"""Statements of a chunk at most."""

BRISK = 0.001
"""Seconds that pulling a chunk may take; after longer the next one is half as large."""


class Chunks:
    """Pulls statements in chunks that grow as long as pulling them is quick: a slow iterator holds up few."""

    def __init__(self, source: Iterator[Pair], size: int) -> None:
        self._source = source
        self._size = min(size, LARGEST)

    def pull(self) -> list[Pair]:
        """Return the next statements, [] at the end."""
        began = time.monotonic()
        chunk = list(islice(self._source, self._size))
        brisk = time.monotonic() - began < BRISK
        self._size = min(2 * self._size, LARGEST) if brisk else max(1, self._size // 2)
        return chunk


class Feed:
    """The iterator that a window pulls from, in the loop: what the caller's thread has handed over.

    As long as there is nothing in it, but more may come, it occupies all the window's room, so that nothing is pulled.
    """

    def __init__(self, concurrency: int, on_low: Callable[[], None]) -> None:
        self._items: deque[Pair] = deque()
        self._low = 0
        self._on_low = on_low
        self._concurrency = concurrency
        self._window: Window | None = None
        self._dry = False
        self._ended = False

    def feeds(self, window: Window) -> None:
        """Begin, empty."""
        self._window = window
        self._run_dry(True)

    def add(self, chunk: list[Pair]) -> None:
        """Take a chunk; an empty one is the end."""
        self._items.extend(chunk)
        self._low = len(chunk) // 2
        self._ended = not chunk
        self._run_dry(False)

    @property
    def is_hungry(self) -> bool:
        """Whether it is time for another chunk."""
        return len(self._items) <= self._low and not self._ended

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Pair:
        items = self._items
        if not items:
            raise StopIteration
        item = items.popleft()
        left = len(items)
        if left == self._low:
            self._on_low()
        if not (left or self._ended):
            self._run_dry(True)
        return item

    def _run_dry(self, dry: bool) -> None:
        if dry is not self._dry:
            assert self._window is not None
            self._dry = dry
            self._window.occupied += self._concurrency if dry else -self._concurrency
