"""The cluster at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from triocql._hints import SNAPSHOT, old_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triocql.abc import Address
    from triocql.metadata import ReplicaMap, Ring
    from triocql.metadata.node import Node
    from triocql.metadata.partitioners import Token
    from triocql.metadata.replication import ReplicationStrategy
    from triocql.metadata.schema import Keyspace


class Difference(NamedTuple):
    """The nodes that one snapshot has and another one has not, in the order of their snapshots."""

    added: tuple[Node, ...]
    removed: tuple[Node, ...]


@old_names(SNAPSHOT)
@dataclass(frozen=True, slots=True)
class Snapshot:
    """A cluster at one moment. A change makes another snapshot, which is put in its place at once:
    whoever holds one sees a whole. Any thread may read it.

    Attributes:
        nodes: each one once.
        cluster_name: the name of the cluster; "" until it has told.
        partitioner: the class name of its partitioner; "" until it has told.
        ring: whose tokens are whose; None until the cluster has told, and if it has a partitioner that triocql does
            not know.
        keyspaces: the keyspaces, by their names as they are in system tables: without quotes.
        replica_maps: the replicas of all ranges, by the strategy of keyspaces.

    >>> from triocql.abc import Address
    >>> from triocql.metadata.building import build_replicas, build_ring, finish
    >>> from triocql.metadata.schema import Keyspace
    >>> from triocql.metadata.node import Node
    >>> from triocql.metadata.partitioners import MURMUR3
    >>> from triocql.metadata.replication import strategy_of
    >>> nodes = Node(Address("10.0.0.1", 9042)), Node(Address("10.0.0.2", 9042))
    >>> nodes[0].tokens, nodes[1].tokens = ("-100",), ("100",)
    >>> ring = finish(build_ring(MURMUR3, nodes))
    >>> once = strategy_of({"class": "SimpleStrategy", "replication_factor": "1"})
    >>> snapshot = Snapshot(
    ...     nodes,
    ...     ring=ring,
    ...     keyspaces={"shop": Keyspace("shop", once)},
    ...     replica_maps={once: finish(build_replicas(ring, once))},
    ... )
    >>> snapshot.token(b"123")
    -7468325962851647638
    >>> snapshot.replicas("shop", b"123")
    (<Node 10.0.0.1:9042 unknown>,)
    """

    nodes: tuple[Node, ...] = ()
    cluster_name: str = ""
    partitioner: str = ""
    ring: Ring | None = None
    keyspaces: Mapping[str, Keyspace] = field(default_factory=dict)
    replica_maps: Mapping[ReplicationStrategy, ReplicaMap] = field(default_factory=dict)

    def token(self, routing_key: bytes) -> Token | None:
        """Return the token of a partition, or None if there is no ring.

        Args:
            routing_key: the key of the partition, serialized as nodes hash it.
        """
        return None if self.ring is None else self.ring.partitioner.token(routing_key)

    def replica_map(self, keyspace: str) -> ReplicaMap | None:
        """Return the replicas of all partitions of a keyspace, or None if nothing is known of them."""
        known = self.keyspaces.get(keyspace)
        return None if known is None else self.replica_maps.get(known.replication)

    def replicas(self, keyspace: str, routing_key: bytes) -> tuple[Node, ...]:
        """Return the nodes that have a partition: first the owner of its range, or who is next on the ring. () if
        nothing is known of them.

        Args:
            keyspace: the name of the keyspace, as it is in system tables: without quotes.
            routing_key: the key of the partition, serialized as nodes hash it.
        """
        found = self.replica_map(keyspace)
        return () if found is None else found.replicas(routing_key)

    def node_told(self, address: Address) -> Node | None:
        """Return the node whose address the cluster tells so, None if there is none."""
        return next((node for node in self.nodes if node.told == address), None)

    def since(self, earlier: Snapshot) -> Difference:
        """Return what has changed since `earlier`."""
        before, after = set(earlier.nodes), set(self.nodes)
        return Difference(
            tuple(node for node in self.nodes if node not in before),
            tuple(node for node in earlier.nodes if node not in after),
        )
