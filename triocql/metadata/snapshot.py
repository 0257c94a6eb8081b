"""The cluster at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from triocql._hints import SNAPSHOT, old_names
from triocql.errors import UsageError
from triocql.metadata.partitioners import MURMUR3
from triocql.metadata.tabletstore import Tablets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triocql.abc import Address
    from triocql.metadata import ReplicaMap, Ring, Tablet
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
        tablets: what nodes of ScyllaDB have told of tablets so far. It goes on being learnt: it is one and the same in
            all snapshots of a session.

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
    tablets: Tablets = field(default_factory=Tablets, compare=False)

    def token(self, routing_key: bytes) -> Token | None:
        """Return the token of a partition, or None if there is no ring.

        Args:
            routing_key: the key of the partition, serialized as nodes hash it, such as `BoundStatement.routing_key`.

        Raises UsageError if the key is no bytes.
        """
        _check_key(routing_key)
        return None if self.ring is None else self.ring.partitioner.token(routing_key)

    def replica_map(self, keyspace: str) -> ReplicaMap | None:
        """Return the replicas of all partitions of a keyspace, or None if nothing is known of them, or if they do not
        follow from the ring: its tables have tablets."""
        known = self.keyspaces.get(keyspace)
        return None if known is None or known.has_tablets else self.replica_maps.get(known.replication)

    def replicas(self, keyspace: str, routing_key: bytes, table: str | None = None) -> tuple[Node, ...]:
        """Return the nodes that have a partition: first the owner of its range, or who is next on the ring; of a table
        with tablets, those that have the tablet. () if nothing is known of them, or if the table has a partitioner of
        its own.

        Args:
            keyspace: the name of the keyspace, as it is in system tables: without quotes.
            routing_key: the key of the partition, serialized as nodes hash it, such as `BoundStatement.routing_key`.
            table: the name of the table, without quotes. It counts where tables have tablets: each has others there.

        Raises UsageError if the key is no bytes.
        """
        _check_key(routing_key)
        if self.has_partitioner(keyspace, table):
            return ()
        if table is not None and self.has_tablets(keyspace, table):
            tablet = self.tablet(keyspace, table, routing_key)
            return () if tablet is None else tablet.replicas
        found = self.replica_map(keyspace)
        return () if found is None else found.replicas(routing_key)

    def tablet(self, keyspace: str, table: str, routing_key: bytes) -> Tablet | None:
        """Return the tablet that a partition is in; None if that is not known, or if its table has none, or a
        partitioner of its own.

        Args:
            keyspace, table: the names, as they are in system tables: without quotes.
            routing_key: the key of the partition, serialized as nodes hash it, such as `BoundStatement.routing_key`.

        Raises UsageError if the key is no bytes.
        """
        _check_key(routing_key)
        return self.tablet_at(keyspace, table, MURMUR3.token(routing_key))

    def tablet_at(self, keyspace: str, table: str, token: int) -> Tablet | None:
        """Return the tablet that a token is in, as `tablet`."""
        if not self.tablets.is_active or self.has_partitioner(keyspace, table):
            return None
        return self.tablets.find(keyspace, table, token)

    def has_tablets(self, keyspace: str, table: str) -> bool:
        """Return whether a table has tablets that nodes tell of: as its keyspace says, or as answers have shown."""
        if not self.tablets.is_active:
            return False
        known = self.keyspaces.get(keyspace)
        return (known is not None and known.has_tablets) or self.tablets.has(keyspace, table)

    def has_partitioner(self, keyspace: str, table: str | None) -> bool:
        """Return whether a table has a partitioner of its own, as the logs of changes (CDC) of ScyllaDB have: nobody
        but the nodes can tell the tokens of its partitions."""
        if table is None or (known := self.keyspaces.get(keyspace)) is None:
            return False
        relation = known.tables.get(table) or known.views.get(table)
        return relation is not None and relation.partitioner not in (None, self.partitioner)

    def leads(self, keyspace: str) -> bool:
        """Return whether the tablets of a keyspace have leaders, which requests had better go to."""
        known = self.keyspaces.get(keyspace)
        return known is not None and known.has_leaders

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


def _check_key(routing_key: object) -> None:
    """Raise UsageError unless it can be the key of a partition, as nodes hash it."""
    if not isinstance(routing_key, (bytes, bytearray, memoryview)):
        raise UsageError(
            f"routing_key has to be bytes, as nodes hash them, not {type(routing_key).__name__}; that of values is the "
            "routing_key of a prepared statement's bind(...)"
        )
