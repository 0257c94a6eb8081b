"""Where the partitions of tables are in a cluster of ScyllaDB, and what its nodes tell clients about that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from .encoder import Opcode
from .log import Execution, Partition
from .node import ServerNode
from .requests import Request
from .ring import factors, ring_replicas
from .schema import Keyspace, Schema, Table
from .scylla.settings import TABLETS_V1
from .scylla.shards import shard_of
from .scylla.tablets import Replica, ServedTablets, Tablet, block_of, even, tablet_hint
from .tokens import composite, token_of

_USUAL_COUNT = 8
"""Tablets of a table whose keyspace does not say how many."""


class Placement:
    """The places of all partitions, by tablets or by the ring."""

    def __init__(self, nodes: Sequence[ServerNode], schema: Schema) -> None:
        self._nodes = nodes
        self._schema = schema
        self._tablets: dict[UUID, tuple[Mapping[str, str], ServedTablets]] = {}

    def tablets(self, name: str) -> ServedTablets:
        """Return the tablets of a table. Raises ValueError if it is not there, or in a keyspace without them."""
        table = self._schema.table(name, None)
        found = self._of(table) if table is not None else None
        if found is None:
            raise ValueError(
                f"{name!r} is no table of a keyspace with tablets: WITH tablets = {{'enabled': true}}"
            )
        return found

    def all_tablets(self) -> Iterator[tuple[Table, ServedTablets]]:
        """Go through all tables and views that have tablets."""
        for keyspace in self._schema.keyspaces.values():
            for table in (*keyspace.tables.values(), *(view.table for view in keyspace.views.values())):
                tablets = self._of(table)
                if tablets is not None:
                    yield table, tablets

    def replicas(self, name: str, token: int) -> list[Replica]:
        """Return the node and the shard of each replica of a token. Raises ValueError if there is no such table."""
        table = self._schema.table(name, None)
        if table is None:
            raise ValueError(f"there is no table {name!r}")
        return self._replicas(table, token)

    def locate(self, entry: Execution) -> None:
        """Find the partition that a request is about, and whether it came to a replica of it, node and shard."""
        partition = entry.partition = self._partition(entry.request)
        replicas = self._replicas(*partition) if partition is not None else []
        entry.on_target = (entry.node, entry.shard) in replicas if replicas else None

    def hint(self, entry: Execution) -> Mapping[str, bytes] | None:
        """Return the payload that tells a client of the tablet that it does not know, None if there is none to tell."""
        partition = entry.partition
        tablets = self._of(partition.table) if partition is not None else None
        if partition is None or tablets is None:
            return None
        tablet = tablets.find(partition.token, entry.node)
        if tablet is None:
            return None
        if TABLETS_V1 in entry.extensions and (entry.node, entry.shard) not in (
            *tablet.replicas,
            tablet.pending,
        ):
            return self._told(entry, tablets, tablet, "tablets-routing-v1", None)
        block, version = entry.request.tablet_block, tablets.version_of(tablet)
        if block is not None and block != block_of(version, block >> 4):
            return self._told(entry, tablets, tablet, "tablets-routing-v2", version)
        return None

    @staticmethod
    def _told(
        entry: Execution, tablets: ServedTablets, tablet: Tablet, key: str, version: int | None
    ) -> Mapping[str, bytes]:
        tablets.hints += 1
        entry.hint = tablet_hint(tablet.first, tablet.last, tablets.hosts(tablet), version)
        return {key: entry.hint}

    # --- Within --------------------------------------------------------------------------------------------

    def _partition(self, request: Request) -> Partition | None:
        """Return the table and the token of the one partition that an EXECUTE is about."""
        statement = request.node.statement(request.id) if request.opcode == Opcode.EXECUTE else None
        if statement is None or not statement.key or request.names:
            return None
        parts = [request.values[index] for index in statement.key if index < len(request.values)]
        key = [part for part in parts if isinstance(part, bytes)]
        column = statement.parameters[statement.key[0]]
        table = self._schema.table(f'"{column.table}"', column.keyspace)
        if table is None or len(key) < len(statement.key):
            return None
        return Partition(table, token_of(composite(key)))

    def _replicas(self, table: Table, token: int) -> list[Replica]:
        tablets = self._of(table)
        if tablets is not None:
            tablet = tablets.find(token)
            return list(tablet.replicas) if tablet is not None else []
        members = [node for node in self._nodes if node.member]
        found = ring_replicas(members, self._schema.keyspaces[table.keyspace].replication, token)
        return [(index, self._shard(self._nodes[index], token)) for index in found]

    @staticmethod
    def _shard(node: ServerNode, token: int) -> int:
        return -1 if node.scylla is None else shard_of(token, node.scylla.shards, node.scylla.ignore_msb)

    def _of(self, table: Table) -> ServedTablets | None:
        """Return the tablets of a table, made anew if its keyspace has come to be replicated otherwise."""
        keyspace = self._schema.keyspaces[table.keyspace]
        if keyspace.tablets is None:
            return None
        replication, found = self._tablets.get(table.id, (None, None))
        if found is None or replication != keyspace.replication:
            found = self._spread(keyspace)
            self._tablets[table.id] = (dict(keyspace.replication), found)
        return found

    def _spread(self, keyspace: Keyspace) -> ServedTablets:
        """Return tablets whose replicas are spread over all nodes and shards."""
        owners = [node for node in self._nodes if node.member and node.tokens and node.scylla is not None]
        wanted = factors(owners, keyspace.replication)

        def replicas(number: int) -> Iterator[Replica]:
            for dc, factor in wanted.items():
                nodes = [node for node in owners if node.data_center == dc]
                for each in range(min(factor, len(nodes))):
                    turn, at = divmod(number + each, len(nodes))
                    scylla = nodes[at].scylla
                    yield nodes[at].index, (turn + each) % (scylla.shards if scylla is not None else 1)

        tablets = even(keyspace.tablets or _USUAL_COUNT, lambda number: tuple(replicas(number)))
        return ServedTablets(tablets, lambda index: self._nodes[index].host_id)
