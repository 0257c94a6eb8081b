"""Which node is asked for a range: a replica that is up, and is not asked for too much already."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from triocql.metadata.node import Distance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triocql.bulk.intervals import TokenRange
    from triocql.engine.routing.pools import Pools
    from triocql.metadata.node import Node

USUAL: Final = 4
"""How many pages a node is asked for at once, ..."""

OF_EACH_SHARD: Final = 2
"""... and how many for each of its shards, where it has any."""


def at_once(node: Node | None, wanted: int | None) -> int:
    """Return how many pages a node is asked for at once: as many as are wanted, or what is usual if that is None."""
    if wanted is not None:
        return wanted
    shards = None if node is None else node.shard_count
    return USUAL if shards is None else OF_EACH_SHARD * shards


class Coordinators:
    """The nodes, with how many pages each of them is asked for.

    Args:
        pools: the connections to the nodes.
        replicas: tells the replicas of a range as they are now.
        concurrency: how many pages a node is asked for at once; None for what is usual.
    """

    __slots__ = ("_asked", "_concurrency", "_pools", "_replicas")

    def __init__(
        self, pools: Pools, replicas: Callable[[TokenRange], Sequence[Node]], concurrency: int | None
    ) -> None:
        self._pools = pools
        self._replicas = replicas
        self._concurrency = concurrency
        self._asked: Counter[Node | None] = Counter()

    @property
    def most(self) -> int:
        """How many pages all nodes are asked for at once."""
        up = [at_once(node, self._concurrency) for node in self._pools.nodes if self.is_up(node)]
        return sum(up) or at_once(None, self._concurrency)

    def is_up(self, node: Node) -> bool:
        """Whether a node takes requests."""
        pool = self._pools.get(node)
        return pool is not None and pool.has_open()

    def has_room(self, node: Node | None) -> bool:
        """Whether a node may be asked for another page."""
        return self._asked[node] < at_once(node, self._concurrency)

    def ask(self, node: Node | None) -> None:
        """Count a page that a node is asked for."""
        self._asked[node] += 1

    def ended(self, node: Node | None) -> None:
        """Count that a node has answered, or is not waited for any more."""
        self._asked[node] -= 1

    def of(self, part: TokenRange, tried: Sequence[Node | None]) -> list[Node | None]:
        """Return whom to ask for a range, the best one first: replicas or, if none of them is up, any node that is; if
        there is none of these, either, None: whoever is up first.

        Args:
            part: the range.
            tried: those that have failed to give this page.
        """
        up = [node for node in self._replicas(part) if self.is_up(node)]
        if not up:
            up = [node for node in self._pools.nodes if self.is_up(node)]
            near = [node for node in up if node.distance is Distance.LOCAL]
            up = near or up
        # Stable: equal ones remain in the order of the ring.
        found: list[Node | None] = [*sorted(up, key=lambda node: (tried.count(node), self._asked[node]))]
        return found or [None]
