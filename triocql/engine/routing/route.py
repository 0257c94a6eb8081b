# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
# cython: freethreading_compatible=False
"""The shortest way from a partition, as from the values of a prepared statement, to a replica."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.metadata.snapshot import Snapshot
from triocql.policies.balancing.default import FAR

if TYPE_CHECKING:
    import cython

    from triocql.metadata.node import Node
else:
    from triocql import _cython as cython

if not cython.compiled:
    from triocql.codecs.routing import routing_key
    from triocql.engine.connections.streams import Target
    from triocql.engine.requests.request import Request
    from triocql.metadata.ring import ReplicaMap

_FAR = FAR
_MANY = 16


class Routes:
    """What requests are routed by, as long as it holds: what the default policy would choose first, without asking it.

    Args:
        snapshot: the cluster.
        targets: the targets of nodes, which follow their pools.
    """

    __slots__ = ("_seed", "_snapshot", "_targets")

    def __init__(self, snapshot: Snapshot, targets: dict[Node, Target]) -> None:
        self._snapshot = snapshot
        self._targets = targets
        self._seed = 1 + id(self) // 16 % 1_000_000_007

    def route(self, keyspace: str | None, partition_key: tuple[int, ...], in_order: bool) -> Route | None:
        """Return the route of statements on a table of `keyspace`; None if nothing is known of its replicas.

        Args:
            keyspace: the keyspace.
            partition_key: which of the values make up the partition key.
            in_order: whether the first replica in the order of the ring is wanted, and no other that is as good.
        """
        if keyspace is None or not partition_key:
            return None
        replicas = self._snapshot.replica_map(keyspace)
        return None if replicas is None else Route(self, replicas, partition_key, in_order)

    def send(self, replicas: tuple[Node, ...], in_order: bool, request: Request) -> bool:
        """Send `request` to one of the replicas of its partition; return False if none has been found that has room."""
        target = self.choose(replicas, in_order)
        return target is not None and target.serve(request)

    def choose(self, replicas: tuple[Node, ...], in_order: bool) -> Target | None:
        """Return the target of one of `replicas`; None if there is a connection to none that is near.

        That is the first one in order; or, of those with the smallest rank, the less busy of two at random.
        """
        first: Target | None = None
        second: Target | None = None
        count, total, begin = 0, len(replicas), 0
        if total > _MANY and not in_order:  # where each node has everything, some of them will do
            begin, total = self._random(total), _MANY
        for number in range(total):
            target = self._targets.get(replicas[(begin + number) % len(replicas)])
            if target is None or target.rank >= _FAR or not target.streams:
                continue
            if in_order:
                return target
            if first is None or target.rank < first.rank:
                first, second, count = target, None, 1
            elif target.rank == first.rank:
                count += 1
                place = self._random(count)
                if second is None:
                    second = target
                    if place == 0:
                        first, second = second, first
                elif place == 0:
                    first = target
                elif place == 1:
                    second = target
        if second is not None and first is not None and second.load() < first.load():
            return second
        return first

    def _random(self, count: int) -> int:
        """Return a number below `count` that is as good as at random."""
        self._seed = self._seed * 48_271 % 2_147_483_647
        return self._seed // 7 % count


class Route:
    """The way from the values of a prepared statement to a replica: for partitions of one keyspace."""

    __slots__ = ("_in_order", "_partition_key", "_replicas", "_routes")

    def __init__(
        self, routes: Routes, replicas: ReplicaMap, partition_key: tuple[int, ...], in_order: bool
    ) -> None:
        self._routes = routes
        self._replicas = replicas
        self._partition_key = partition_key
        self._in_order = in_order

    def send(self, values: bytes, request: Request) -> bool:
        """Send `request`, which has these values, to a replica; return False if none has been found that has room."""
        key = routing_key(values, self._partition_key)
        return key is not None and self._routes.send(self._replicas.replicas(key), self._in_order, request)
