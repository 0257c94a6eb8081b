"""Reads from one node what the cluster is made of, and has the snapshot follow."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from triocql.abc import Reactor
from triocql.cluster.tables import NoSuchTable, Tables
from triocql.cluster.translation import Translation
from triocql.errors import ConnectError
from triocql.metadata.membership import Change, Membership
from triocql.metadata.peers import ClusterFacts, Fault, read_cluster
from triocql.metadata.snapshot import Snapshot
from triocql.observability.logs import get_logger
from triocql.policies.addresses import AddressTranslation

if TYPE_CHECKING:
    from triocql.abc import Address
    from triocql.metadata.node import Node

logger = get_logger(__name__)

_LOCAL = "SELECT * FROM system.local WHERE key='local'"
_PEERS_V2 = "SELECT * FROM system.peers_v2"
_PEERS = "SELECT * FROM system.peers"
_MOST_RELEASES = 64
_MOST_FAULTS_TOLD = 20


class ForeignNode(ConnectError):
    """A node of another cluster."""


class Topology:
    """What one session knows of the nodes of its cluster."""

    def __init__(self, reactor: Reactor, addresses: AddressTranslation | None) -> None:
        self._translation = Translation(reactor, addresses)
        self._membership = Membership(self._translation)
        self._without_v2: set[str] = set()
        self._faults: frozenset[Fault] = frozenset()

    async def read(self, tables: Tables, known: Snapshot) -> ClusterFacts:
        """Return what the node of `tables` tells. Raises errors of the driver, ForeignNode for a foreign cluster."""
        local = await tables.read(_LOCAL)
        peers = await self._peers(tables, str(local[0].get("release_version")) if local else "")
        node = tables.connection.node
        facts = read_cluster(local, peers, node.address)
        check_same(known, facts.name, facts.partitioner)
        await self._translation.prepare(facts)
        self._tell(node.name, facts.faults)
        return facts

    async def who(self, tables: Tables, known: Snapshot) -> UUID | None:
        """Return the host_id of the node of `tables`. Raises errors of the driver, ForeignNode for another cluster."""
        row = next(iter(await tables.read(_LOCAL)), {})
        check_same(known, row.get("cluster_name") or "", row.get("partitioner") or "")
        host_id = row.get("host_id")
        return host_id if isinstance(host_id, UUID) else None

    async def _peers(self, tables: Tables, release: str) -> list[dict[str, object]]:
        """Read the peers by the newer of two tables, which Cassandra has had since 4.0, and ScyllaDB has not."""
        if not tables.connection.features.is_scylla and release not in self._without_v2:
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

    def forget_address(self, node: Node) -> None:
        """Have a node dialled where the cluster says that it is, not where it was reached at first."""
        assert node.told is not None, "the cluster has told"
        node.move(self._translation(node.told))

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
    """Raise ForeignNode if a node of this cluster and partitioner is none of the cluster that is `known`."""
    if not known.partitioner:
        return
    for what, ours, its in (
        ("cluster", known.cluster_name, name),
        ("partitioner", known.partitioner, partitioner),
    ):
        if ours != its:
            foreign = ForeignNode(
                f"it is left out, as its {what} is {its!r}, and that of the others {ours!r}"
            )
            foreign.is_transient = False
            raise foreign
