"""Live figures of one node."""

from __future__ import annotations

from collections.abc import Callable
from math import inf


def _nothing() -> int:
    return 0


def _ignore(seconds: float, now: float) -> None:
    """Nobody wants to know."""


class NodeStatistics:
    """What a session has under way with a node. Unlike a snapshot, it changes all the time.

    Attributes:
        count: returns how many requests the node has not answered yet; set by whoever has connections to it.
        due: when it is to be measured next how long the node takes to answer, in seconds of the loop's clock.
        measured: called with the seconds that it took, and the time.
    """

    __slots__ = ("count", "due", "measured")

    def __init__(self) -> None:
        self.count: Callable[[], int] = _nothing
        self.due = inf
        self.measured: Callable[[float, float], None] = _ignore

    @property
    def in_flight(self) -> int:
        """The number of requests that the node has not answered yet, abandoned ones included."""
        return self.count()

    def __repr__(self) -> str:
        return f"<NodeStatistics {self.in_flight} in flight>"
