"""Balancing policies: which node a request goes to, and which ones come after that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from triocql.metadata.node import Node


class BalancingPolicy(Protocol):
    """Puts the nodes into an order for a request. Called on the loop: it must not block."""

    def plan(self, nodes: tuple[Node, ...]) -> Iterable[Node]:
        """Return those of `nodes` that the request may go to, the first one first; asked for one by one, as needed."""


class RoundRobin:
    """Begins with another node each time, and goes on with the others.

    >>> policy = RoundRobin()
    >>> [policy.plan(("a", "b", "c")) for _ in range(3)]
    [('b', 'c', 'a'), ('c', 'a', 'b'), ('a', 'b', 'c')]
    """

    def __init__(self) -> None:
        self._position = 0

    def plan(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """Return the nodes from the next position on."""
        if len(nodes) < 2:
            return nodes
        self._position = first = (self._position + 1) % len(nodes)
        return nodes[first:] + nodes[:first]
