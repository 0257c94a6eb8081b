"""Which nodes are slow, by how long they took to answer lately."""

from __future__ import annotations

from collections import deque
from math import inf
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triocql.metadata.node import Node

WINDOW = 10.0
"""The seconds that are looked back on."""
ENOUGH = 50
"""So many measurements say something of a node."""
TOO_SLOW = 2.0
"""A node is slow whose median is more than so many times that of all nodes."""

EVERY = 0.04
"""The seconds between two measurements of a node."""

_LOOK = 1.0


class _Samples:
    """What one node took lately, and the median of it: found once a second, while there are new ones."""

    __slots__ = ("_due", "_kept", "median")

    def __init__(self) -> None:
        self._kept: deque[tuple[float, float]] = deque(maxlen=int(WINDOW / EVERY))
        self._due = -inf
        self.median = 0.0

    def add(self, seconds: float, now: float) -> None:
        self._kept.append((now, seconds))
        if now >= self._due and self.are_enough(now):
            self._due = now + _LOOK
            self.median = median(each for at, each in self._kept if at >= now - WINDOW)

    def are_enough(self, now: float) -> bool:
        """Whether there are enough that are not old yet: by one of them, as the samples of all nodes are looked at."""
        kept = self._kept
        return len(kept) >= ENOUGH and kept[-ENOUGH][0] >= now - WINDOW

    def are_old(self, now: float) -> bool:
        """Whether none is left that is not old."""
        return self._kept[-1][0] < now - WINDOW


class Latencies:
    """How long nodes take, measured each 40 ms at most, and once a second who of them is slow.

    A slow node that gets no requests is measured no more, and so is not slow any more 10 s later: it is tried again.

    However many nodes there are, no step takes long: what each took is gone through when that one is measured.

    Attributes:
        slow: the nodes that are slow; replaced as a whole.
    """

    def __init__(self) -> None:
        self.slow: frozenset[Node] = frozenset()
        self._samples: dict[Node, _Samples] = {}
        self._next_look = -inf

    def record(self, node: Node, seconds: float, now: float) -> bool:
        """Take `seconds`, which `node` took to answer just `now`; return whether others are slow than before."""
        samples = self._samples.get(node)
        if samples is None:
            samples = self._samples[node] = _Samples()
        samples.add(seconds, now)
        if now < self._next_look:
            return False
        self._next_look = now + _LOOK
        return self._look(now)

    def _look(self, now: float) -> bool:
        medians: dict[Node, float] = {}
        for node, samples in tuple(self._samples.items()):
            if samples.are_old(now):
                del self._samples[node]
            elif samples.are_enough(now):
                medians[node] = samples.median
        limit = TOO_SLOW * median(medians.values()) if len(medians) > 1 else inf
        before, self.slow = self.slow, frozenset(node for node, each in medians.items() if each > limit)
        return self.slow != before
