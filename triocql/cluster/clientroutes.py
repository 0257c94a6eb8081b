"""The client routes of a cluster: by which proxies a session reaches its nodes, in place of their own addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from triocql._brief import brief
from triocql.abc import Address
from triocql.cluster.doubt import Doubt
from triocql.codecs.registry import Registry
from triocql.errors import ConnectError, Error, ProtocolError
from triocql.observability.logs import get_logger
from triocql.protocol.types import ColumnSpec, ListType, NativeType

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from triocql.cluster.tables import Rows, Tables
    from triocql.config.options import Options
    from triocql.metadata.node import Node
    from triocql.protocol.responses import ClientRoutesChange

logger = get_logger(__name__)

EVENT = "CLIENT_ROUTES_CHANGE"

_ALL = "SELECT connection_id, host_id, address, port, tls_port FROM system.client_routes WHERE connection_id IN ?"
_SOME = f"{_ALL} AND host_id IN ?"
_CONNECTION_IDS = ColumnSpec("system", "client_routes", "connection_id", ListType(NativeType("text")))
_HOST_IDS = ColumnSpec("system", "client_routes", "host_id", ListType(NativeType("uuid")))
_MOST_HOSTS = 100
_MOST_PORTS = 65_535
_LONGEST_NAME = 255


class NoRoute(ConnectError):
    """No route leads to a node."""


class Route(NamedTuple):
    """By which connection a node is reached, and where; a port is None if there is none."""

    connection_id: str
    host: str
    port: int | None
    tls_port: int | None


class ProxyRoutes:
    """The routes that are known, by the nodes' host_id. What cannot be read does not change them."""

    def __init__(self, options: Options) -> None:
        assert options.scylla.client_routes is not None, "that is what it is for"
        self._hosts = options.scylla.client_routes.hosts
        self._tls = options.ssl_context is not None
        self._contact_points = options.contact_points
        self._routes: dict[UUID, Route] = {}
        self._doubt = Doubt("client route")
        self._some: set[UUID] = set()
        self._all = False

    def address_of(self, node: Node) -> Address:
        """Return where a node is dialled now. Raises NoRoute; nothing is ever dialled at its own address."""
        if node.host_id is None and node.address in self._contact_points:
            return node.address
        route = None if node.host_id is None else self._routes.get(node.host_id)
        if route is None:
            ids = ", ".join(self._hosts)
            raise NoRoute(f"{node.name}: no client route leads to the node {node.host_id}, by any of: {ids}")
        port = route.tls_port if self._tls else route.port
        if port is None:
            kind = "for TLS" if self._tls else "without TLS"
            raise NoRoute(
                f"{node.name}: the client route by {route.connection_id} to the node {node.host_id} has no port {kind}"
            )
        return Address(route.host, port)

    # --- What is to be read ----------------------------------------------------------------------------------

    def told(self, changes: Iterable[ClientRoutesChange], *, incomplete: bool = False) -> bool:
        """Take events in, and return whether something is to be read; where they are `incomplete`, all is."""
        self._all = self._all or incomplete
        for change in changes:
            if change.change == "UPDATE_NODES":
                self._take(change.connection_ids, change.host_ids)
        return self.is_stale

    def _take(self, connection_ids: tuple[str, ...], host_ids: tuple[str, ...]) -> None:
        """Take in that pairs of the two lists have changed; if they are none, all may have."""
        try:
            pairs = [(name, UUID(text)) for name, text in zip(connection_ids, host_ids, strict=True)]
        except ValueError:
            pairs = []
        if not pairs:
            self._all = True
        self._some |= {host_id for name, host_id in pairs if name in self._hosts}
        if len(self._some) > _MOST_HOSTS:
            self._all = True

    # --- Reading ---------------------------------------------------------------------------------------------

    @property
    def is_stale(self) -> bool:
        """Whether something that may have changed was not read yet."""
        return self._all or bool(self._some)

    async def follow(self, tables: Tables, *, everything: bool) -> frozenset[UUID]:
        """Read all routes, or those only that events have told of; return the nodes that have other ones.

        What cannot be read leaves the routes as they are, and is read again the next time. Raises errors of the driver
        where no routes are known yet.
        """
        try:
            return await self._read_due(tables, everything=everything)
        except Error as error:
            if not self._routes:
                raise
            logger.warning(
                "%s does not tell the client routes; those that are known stay: %s", tables.node.name, error
            )
            return frozenset()

    async def _read_due(self, tables: Tables, *, everything: bool) -> frozenset[UUID]:
        everything = everything or self._all
        hosts, self._some, self._all = self._some, set(), False
        if not everything and not hosts:
            return frozenset()
        try:
            return await self._read(tables, None if everything else hosts)
        except BaseException:
            self._all = self._all or everything
            self._some |= hosts
            raise

    async def _read(self, tables: Tables, hosts: Collection[UUID] | None) -> frozenset[UUID]:
        columns: tuple[ColumnSpec, ...] = (_CONNECTION_IDS,)
        values: list[list[Any]] = [list(self._hosts)]
        text = _ALL
        if hosts is not None:
            text, columns = _SOME, (*columns, _HOST_IDS)
            values.append(list(hosts))
        rows = await tables.read(text, Registry().binder(columns, ()).bind(values))
        offered = self._offered(rows)
        if rows and not offered:
            raise ProtocolError("no row of system.client_routes can be used")
        if hosts is None:
            self._doubt.check(tells=bool(offered), had=bool(self._routes))
            hosts = self._routes.keys() | offered.keys()
        former = dict(self._routes)
        for host_id in hosts:
            self._replace(host_id, offered.get(host_id, {}))
        return frozenset(host_id for host_id in hosts if former.get(host_id) != self._routes.get(host_id))

    def _replace(self, host_id: UUID, offered: Mapping[str, Route]) -> None:
        """Let a node have one of these routes: by the connection that is in use, as long as that is among them."""
        former = self._routes.pop(host_id, None)
        names = self._hosts if former is None else (former.connection_id, *self._hosts)
        name = next((name for name in names if name in offered), None)
        if name is not None:
            self._routes[host_id] = offered[name]

    def _offered(self, rows: Rows) -> dict[UUID, dict[str, Route]]:
        """Return the routes that rows tell, by node and connection; those that cannot be used are left out."""
        found: dict[UUID, dict[str, Route]] = {}
        useless = []
        for row in rows:
            host_id, route = row.get("host_id"), self._route(row)
            if isinstance(host_id, UUID) and route is not None:
                found.setdefault(host_id, {})[route.connection_id] = route
            else:
                useless.append(row)
        if useless:
            logger.warning(
                "%d rows of system.client_routes cannot be used, such as %s", len(useless), brief(useless[0])
            )
        return found

    def _route(self, row: Mapping[str, Any]) -> Route | None:
        name, ports = row.get("connection_id"), (row.get("port"), row.get("tls_port"))
        if not isinstance(name, str) or name not in self._hosts or not all(map(_is_port, ports)):
            return None
        host = self._hosts[name] or row.get("address")
        return Route(name, host, *ports) if isinstance(host, str) and _is_name(host) else None


def _is_port(port: object) -> bool:
    """Return whether it can be a port, or says that there is none."""
    return port is None or (isinstance(port, int) and 1 <= port <= _MOST_PORTS)


def _is_name(host: str) -> bool:
    """Return whether this can be a name or an address in a network: no path, which would be that of a socket."""
    return 0 < len(host) <= _LONGEST_NAME and host.isprintable() and not set(host) & set("/@ ")
