"""Live figures of one node."""

from __future__ import annotations

from collections.abc import Callable


def _nothing() -> int:
    return 0


class NodeStatistics:
    """What a session has under way with a node. Unlike a snapshot, it changes all the time.

    Attributes:
        count: returns how many requests the node has not answered yet; set by whoever has connections to it.
    """

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count: Callable[[], int] = _nothing

    @property
    def in_flight(self) -> int:
        """The number of requests that the node has not answered yet, abandoned ones included."""
        return self.count()

    def __repr__(self) -> str:
        return f"<NodeStatistics {self.in_flight} in flight>"
