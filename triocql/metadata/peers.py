"""What the tables of a node say of itself and of its peers: `system.local`, `system.peers_v2`, `system.peers`.

Their rows come from a server, and some are known to be wrong at times: what cannot be used is left out, and told of.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from triocql.abc import Address
from triocql.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Row = Mapping[str, Any]

_ANY = ("0.0.0.0", "::", "")  # noqa: S104 - nothing listens here
_MOST_PORTS = 65_535
_DEFAULT_PORT = 9042


class Fault(NamedTuple):
    """Something wrong with the row of a node: `what`, and whose it is."""

    node: str
    what: str


class UnusableTable(ProtocolError):
    """A table says nothing that could be used."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a table says of one node.

    Attributes:
        host_id: its identity.
        told: the address that clients should use.
        data_centre: where it is.
        rack: where it is, within its data centre.
        release: the version of its server.
        tokens: as text; () for a node that owns none.
        schema_version: of the schema that it has.
    """

    host_id: UUID
    told: Address
    data_centre: str | None
    rack: str | None
    release: str | None
    tokens: tuple[str, ...]
    schema_version: UUID | None


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What one node says of its cluster.

    Attributes:
        name: of the cluster.
        partitioner: the class name of its partitioner.
        local: of the node itself.
        peers: of the other nodes.
        faults: what was wrong in the tables.
    """

    name: str
    partitioner: str
    local: NodeFacts
    peers: tuple[NodeFacts, ...]
    faults: tuple[Fault, ...]


def read_cluster(local: Iterable[Row], peers: Iterable[Row], reached: Address) -> ClusterFacts:
    """Read the rows of `system.local` and of one of the tables of peers.

    `reached` is the address of the node that told; its port is that of all nodes for which no table has one. Raises
    UnusableTable.
    """
    row = next(iter(local), None)
    if row is None:
        raise UnusableTable("system.local is empty")
    reader = _Reader(_DEFAULT_PORT if reached.is_unix else reached.port)
    itself = reader.read(row, "system.local", reached)
    if itself is None:
        raise UnusableTable("system.local has no host_id")
    others = reader.peers(peers, itself)
    return ClusterFacts(
        _text(row, "cluster_name") or "",
        _text(row, "partitioner") or "",
        itself,
        tuple(others),
        tuple(reader.faults),
    )


class _Reader:
    """Reads rows, and keeps what is wrong with them."""

    def __init__(self, port: int) -> None:
        self.faults: list[Fault] = []
        self._port = port

    def peers(self, rows: Iterable[Row], itself: NodeFacts) -> list[NodeFacts]:
        """Return the facts of those rows that can be used."""
        ids, addresses = {itself.host_id}, {itself.told}
        found = []
        for row in rows:
            name = _host(row, "peer") or "without an address"
            facts = self.read(row, name)
            if facts is None:
                continue
            if facts.host_id == itself.host_id:
                self._note(name, "it is the node itself, among its peers")
            elif facts.host_id in ids:
                self._note(name, f"another row has its host_id {facts.host_id}, too")
            elif facts.told in addresses:
                self._note(name, f"another node has its address {facts.told}, too")
            else:
                ids.add(facts.host_id)
                addresses.add(facts.told)
                found.append(facts)
        return found

    def read(self, row: Row, name: str, reached: Address | None = None) -> NodeFacts | None:
        """Return the facts of a row; None if it cannot be used. A node that was `reached` needs to tell no address."""
        host_id = row.get("host_id")
        if not isinstance(host_id, UUID):
            self._note(name, "it has no host_id")
            return None
        told = self._told(row, name)
        if told is None and reached is not None:
            self.faults.pop()  # it was found all the same
            told = reached
        if told is None:
            return None
        tokens = row.get("tokens")
        version = row.get("schema_version")
        return NodeFacts(
            host_id,
            told,
            _text(row, "data_center"),
            _text(row, "rack"),
            _text(row, "release_version"),
            tuple(sorted(map(str, tokens))) if isinstance(tokens, (set, frozenset, list, tuple)) else (),
            version if isinstance(version, UUID) else None,
        )

    def _told(self, row: Row, name: str) -> Address | None:
        """Return the address for clients. A server that listens everywhere may say so, which is no address: the one for
        its peers is taken then, as other drivers do."""
        host = _host(row, "native_address", "rpc_address")
        if host is None:
            self._note(name, "it has no address for clients")
            return None
        if host in _ANY:
            own = _host(row, "broadcast_address", "peer", "listen_address")
            if own is None or own in _ANY:
                self._note(name, f"its address for clients is {host}, and it has no other one")
                return None
            self._note(name, f"its address for clients is {host}; the one for its peers, {own}, is used")
            host = own
        port = row.get("native_port", row.get("rpc_port"))
        if port is None:
            port = self._port
        if not isinstance(port, int) or not 1 <= port <= _MOST_PORTS:
            self._note(name, f"its port is {port}")
            return None
        return Address(host, port)

    def _note(self, name: str, what: str) -> None:
        self.faults.append(Fault(name, what))


def _host(row: Row, *columns: str) -> str | None:
    """Return the first of these addresses that there is. Text is none: what it says would be looked up as a name."""
    for column in columns:
        if isinstance(found := row.get(column), (IPv4Address, IPv6Address)):
            return str(found)
    return None


def _text(row: Row, column: str) -> str | None:
    value = row.get(column)
    return value if isinstance(value, str) else None
