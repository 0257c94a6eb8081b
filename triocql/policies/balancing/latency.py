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


class Latencies:
    """How long nodes take, measured each 40 ms at most, and once a second who of them is slow.

    A slow node that gets no requests is measured no more, and so is not slow any more 10 s later: it is tried again.

    Attributes:
        slow: the nodes that are slow; replaced as a whole.
    """

    def __init__(self) -> None:
        self.slow: frozenset[Node] = frozenset()
        self._samples: dict[Node, deque[tuple[float, float]]] = {}
        self._next_look = -inf

    def record(self, node: Node, seconds: float, now: float) -> bool:
        """Take `seconds`, which `node` took to answer just `now`; return whether others are slow than before."""
        samples = self._samples.get(node)
        if samples is None:
            samples = self._samples[node] = deque(maxlen=int(WINDOW / EVERY))
        samples.append((now, seconds))
        if now < self._next_look:
            return False
        self._next_look = now + _LOOK
        return self._look(now)

    def _look(self, now: float) -> bool:
        medians: dict[Node, float] = {}
        for node, samples in tuple(self._samples.items()):
            while samples and samples[0][0] < now - WINDOW:
                samples.popleft()
            if not samples:
                del self._samples[node]
            elif len(samples) >= ENOUGH:
                medians[node] = median(seconds for _, seconds in samples)
        limit = TOO_SLOW * median(medians.values()) if len(medians) > 1 else inf
        before, self.slow = self.slow, frozenset(node for node, each in medians.items() if each > limit)
        return self.slow != before
