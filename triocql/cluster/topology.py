"""Reads from one node what the cluster is made of, and has the snapshot follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.cluster.tables import NoSuchTable, Tables
from triocql.errors import ConnectError
from triocql.metadata.membership import Change, Membership
from triocql.metadata.peers import ClusterFacts, Fault, read_cluster
from triocql.metadata.snapshot import Snapshot
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from triocql.abc import Address

logger = get_logger(__name__)

_LOCAL = "SELECT * FROM system.local WHERE key='local'"
_PEERS_V2 = "SELECT * FROM system.peers_v2"
_PEERS = "SELECT * FROM system.peers"
_MOST_RELEASES = 64
_MOST_FAULTS_TOLD = 20


class Topology:
    """What one session knows of the nodes of its cluster."""

    def __init__(self) -> None:
        self._membership = Membership(_as_told)
        self._without_v2: set[object] = set()
        self._faults: frozenset[Fault] = frozenset()

    async def read(self, tables: Tables, known: Snapshot) -> ClusterFacts:
        """Return what the node of `tables` tells. Raises errors of the driver, ConnectError for a foreign cluster."""
        local = await tables.read(_LOCAL)
        peers = await self._peers(tables, local[0].get("release_version") if local else None)
        node = tables.connection.node
        facts = read_cluster(local, peers, node.address)
        check_same(known, facts.name, facts.partitioner)
        self._tell(node.name, facts.faults)
        return facts

    async def _peers(self, tables: Tables, release: object) -> list[dict[str, object]]:
        """Read the peers by the newer of two tables, which servers have had since Cassandra 4.0."""
        if release not in self._without_v2:
            try:
                return await tables.read(_PEERS_V2)
            except NoSuchTable:
                if len(self._without_v2) < _MOST_RELEASES:
                    self._without_v2.add(release)
        return await tables.read(_PEERS)

    def follow(
        self, known: Snapshot, facts: ClusterFacts, tables: Tables, removed: frozenset[Address] = frozenset()
    ) -> Change:
        """Return what follows `known`, as `Membership.follow` does."""
        change = self._membership.follow(known, facts, tables.connection.node, removed)
        if change.doubted:
            logger.warning(
                "%s does not list %s any more; that is believed once it is told again",
                tables.connection.node.name,
                ", ".join(node.name for node in change.doubted[:_MOST_FAULTS_TOLD]),
            )
        return change

    def _tell(self, teller: str, faults: tuple[Fault, ...]) -> None:
        """Log what is wrong in the tables, unless the reading before had it, too."""
        news = [fault for fault in dict.fromkeys(faults) if fault not in self._faults]
        self._faults = frozenset(faults)
        for fault in news[:_MOST_FAULTS_TOLD]:
            logger.warning("what %s tells of node %s is not right: %s", teller, fault.node, fault.what)
        if len(news) > _MOST_FAULTS_TOLD:
            logger.warning(
                "what %s tells of %d more nodes is not right", teller, len(news) - _MOST_FAULTS_TOLD
            )


def check_same(known: Snapshot, name: str, partitioner: str) -> None:
    """Raise ConnectError if a node of this cluster and partitioner is none of the cluster that is `known`."""
    if not known.partitioner:
        return
    for what, ours, its in (
        ("cluster", known.cluster_name, name),
        ("partitioner", known.partitioner, partitioner),
    ):
        if ours != its:
            foreign = ConnectError(
                f"it is left out, as its {what} is {its!r}, and that of the others {ours!r}"
            )
            foreign.is_transient = False
            raise foreign


def _as_told(told: Address) -> Address:
    """Return the address to dial for one that the cluster tells."""
    return told
