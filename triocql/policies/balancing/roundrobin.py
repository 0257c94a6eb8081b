"""Round robin: every node in its turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.metadata.node import Distance

if TYPE_CHECKING:
    from triocql.metadata.node import Node
    from triocql.metadata.snapshot import Snapshot
    from triocql.policies.balancing.contract import RoutedRequest


class RoundRobin:
    """Begins with another node each time, and goes on with the others, wherever they are: to compare others with.

    >>> import triocql
    >>> policies = triocql.PolicyOptions(balancing=RoundRobin())    # connect(..., policies=policies)
    """

    def __init__(self) -> None:
        self._position = 0

    def distance(self, node: Node, snapshot: Snapshot) -> Distance:
        """Return LOCAL: all nodes are alike (`BalancingPolicy`)."""
        return Distance.LOCAL

    def plan(self, request: RoutedRequest, snapshot: Snapshot) -> tuple[Node, ...]:
        """Return the nodes from the next position on (`BalancingPolicy`)."""
        nodes = snapshot.nodes
        if len(nodes) < 2:
            return nodes
        self._position = first = (self._position + 1) % len(nodes)
        return nodes[first:] + nodes[:first]
