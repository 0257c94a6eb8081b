"""What follows from the nodes and the keyspaces of a cluster: the ring, and where the replicas are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from triocql.metadata.building import build_replicas, build_ring
from triocql.metadata.partitioners import partitioner_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triocql.metadata import ReplicaMap, Ring
    from triocql.metadata.building import Steps
    from triocql.metadata.node import Node
    from triocql.metadata.replication import ReplicationStrategy
    from triocql.metadata.schema import Keyspace
    from triocql.metadata.snapshot import Snapshot

MOST_MAPS = 64
"""How many maps of replicas are kept: of the strategies that most keyspaces have. A server may tell any number."""

_NODES_A_STEP = 32


class Seat(NamedTuple):
    """What the ring and its replicas are made of: a node, its tokens, and where it is."""

    node: Node
    tokens: tuple[str, ...]
    data_centre: str | None
    rack: str | None


class Placed(NamedTuple):
    """What was built.

    Attributes:
        ring: None where the partitioner is not known.
        replica_maps: by the strategies of keyspaces.
    """

    ring: Ring | None
    replica_maps: Mapping[ReplicationStrategy, ReplicaMap]


class Placer:
    """Builds rings and maps of replicas, in slices, and nothing that is there already."""

    def __init__(self) -> None:
        self._partitioner = ""
        self._seats: tuple[Seat, ...] = ()
        self._placed = Placed(None, {})

    def place(self, snapshot: Snapshot, keyspaces: Mapping[str, Keyspace]) -> Steps[Placed]:
        """Build what belongs to the nodes of `snapshot` and these keyspaces."""
        seats = tuple(Seat(node, node.tokens, node.data_centre, node.rack) for node in snapshot.nodes)
        same = yield from self._fits(snapshot.partitioner, seats)
        ring, known = self._placed if same else ((yield from _ring(snapshot.partitioner, seats)), {})
        maps: dict[ReplicationStrategy, ReplicaMap] = {}
        if ring is not None:
            used = Counter(each.replication for each in keyspaces.values() if not each.has_tablets)
            for strategy, _ in used.most_common(MOST_MAPS):
                maps[strategy] = known.get(strategy) or (yield from build_replicas(ring, strategy))
        self._partitioner, self._seats, self._placed = snapshot.partitioner, seats, Placed(ring, maps)
        return self._placed

    def _fits(self, partitioner: str, seats: tuple[Seat, ...]) -> Steps[bool]:
        """Return whether the ring that is there is that of these nodes."""
        if partitioner != self._partitioner or len(seats) != len(self._seats):
            return False
        for number, (seat, former) in enumerate(zip(seats, self._seats, strict=True)):
            if seat != former:
                return False
            if number % _NODES_A_STEP == 0:
                yield
        return True


def _ring(class_name: str, seats: tuple[Seat, ...]) -> Steps[Ring | None]:
    partitioner = partitioner_of(class_name)
    if partitioner is None:
        return None
    return (yield from build_ring(partitioner, [seat.node for seat in seats]))
