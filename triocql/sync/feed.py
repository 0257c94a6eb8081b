"""The way of statements from the caller's thread to the loop's: in chunks, pulled by the caller."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from triocql.abc import Reactor
    from triocql.engine.executing import PullingWindow
    from triocql.session.sources import Pair

LARGEST = 1024
"""Statements of a chunk at most."""

QUICK = 0.001
"""Seconds that pulling a chunk may take; after longer the next one is half as large."""

HELD = 0.005
"""Seconds after which the loop takes what there is of a chunk, whose next statement lets wait for itself."""


class Feed:
    """The iterator that a window pulls from, in the loop: what the caller's thread has taken from its own.

    As long as there is nothing in it, but more may come, it occupies all the window's room, so that nothing is pulled.

    Attributes:
        items: what the caller's thread has taken, each as soon as it is there.
        pulling: whether the caller's thread takes statements just now; set there.
        ended: whether nothing more will come.
        crossed: when the loop had the caller go on, as `time.monotonic` tells.
    """

    def __init__(self, reactor: Reactor, concurrency: int, on_low: Callable[[], None]) -> None:
        self.items: deque[Pair] = deque()
        self.pulling = False
        self.crossed = 0.0
        self._reactor = reactor
        self._low = 0
        self._on_low = on_low
        self._concurrency = concurrency
        self._window: PullingWindow
        self._dry = False
        self.ended = False
        self._closed = False
        self._watching = False

    def feeds(self, window: PullingWindow) -> None:
        """Begin, empty."""
        self._window = window
        self._run_dry(True)

    def go_on(self, *, ended: bool) -> None:
        """Have the window take what is there: a chunk is complete or, if it was empty, all has `ended`."""
        self._low = len(self.items) // 2
        self.ended = ended
        self._pump()

    def cross(self) -> None:
        """The caller's thread goes on now: it may take a chunk at once, or only one statement later."""
        self.crossed = time.monotonic()
        if not (self._watching or self.ended):
            self._watch()

    def close(self) -> None:
        """Nothing more is wanted."""
        self._closed = True

    @property
    def is_hungry(self) -> bool:
        """Whether it is time for another chunk."""
        return len(self.items) <= self._low and not self.ended

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Pair:
        items = self.items
        if not items:
            raise StopIteration
        item = items.popleft()
        left = len(items)
        if left == self._low:
            self._on_low()
        if not (left or self.ended):
            self._run_dry(True)
        return item

    def _run_dry(self, dry: bool) -> None:
        if dry is not self._dry:
            self._dry = dry
            self._window.occupied += self._concurrency if dry else -self._concurrency

    def _pump(self) -> None:
        if self.items or self.ended:
            self._run_dry(False)
        self._window.pump()

    # --- While the caller's thread waits for its iterator --------------------------------------------------------

    def _watch(self) -> None:
        self._watching = True
        self._reactor.call_at(self._reactor.now() + HELD, self._look)

    def _look(self) -> None:
        """Use what is there of a chunk that is not complete yet, and look again later, as long as it is pulled."""
        self._watching = False
        if self._closed:
            return
        if self.pulling:
            self._pump()
        if self.pulling or time.monotonic() < self.crossed + HELD:
            self._watch()


class Chunks:
    """Pulls statements in chunks that grow as long as pulling them is quick: a slow iterator holds up few.

    Those of a chunk are in the feed as soon as they are taken, and the loop takes them from there if the iterator lets
    wait for the next one, which it may do until something has become of those before. The loop looks for that from the
    moment on when it had the caller go on; a caller that comes later pulls one statement, which nothing holds back.

    Attributes:
        quick: whether the last chunk was pulled quickly.
    """

    def __init__(self, source: Iterator[Pair], size: int, feed: Feed) -> None:
        self.quick = True
        self._source = source
        self._size = min(size, LARGEST)
        self._feed = feed

    def pull(self, most: int = LARGEST) -> bool:
        """Pull the next statements, `most` of them at most; return whether there were any."""
        feed = self._feed
        feed.pulling = True
        try:
            began = time.monotonic()
            pulled = self._pull(min(self._size, most) if began < feed.crossed + QUICK else 1)
            self.quick = time.monotonic() - began < QUICK
        finally:
            feed.pulling = False
        self._size = min(2 * self._size, LARGEST) if self.quick else max(1, self._size // 2)
        return pulled

    def _pull(self, count: int) -> bool:
        for item in self._source:
            self._feed.items.append(item)
            # One by one: each is there before the next one is asked for.
            self._feed.items.extend(islice(self._source, count - 1))
            return True
        return False
