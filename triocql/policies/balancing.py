"""Balancing policies: which node a request goes to, and which ones come after that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from triocql.metadata.node import Node


class BalancingPolicy(Protocol):
    """Puts the nodes into an order for a request. Called on the loop: it must not block."""

    def plan(self, nodes: Sequence[Node]) -> Iterable[Node]:
        """Return those of `nodes` that the request may go to, the first one first; asked for one by one, as needed."""


class RoundRobin:
    """Begins with another node each time, and goes on with the others.

    >>> policy = RoundRobin()
    >>> ["".join(policy.plan("abc")) for _ in range(3)]
    ['bca', 'cab', 'abc']
    """

    def __init__(self) -> None:
        self._position = 0

    def plan(self, nodes: Sequence[Node]) -> Iterator[Node]:
        """Return the nodes from the next position on."""
        self._position += 1
        return _rotated(nodes, self._position)


def _rotated(nodes: Sequence[Node], position: int) -> Iterator[Node]:
    for index in range(len(nodes)):
        yield nodes[(position + index) % len(nodes)]
