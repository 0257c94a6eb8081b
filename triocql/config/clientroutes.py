"""The option for clusters that are reached by proxies, as with PrivateLink of ScyllaDB Cloud."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triocql._hints import hinted
from triocql.config.checks import require, require_type
from triocql.errors import OptionError

if TYPE_CHECKING:
    import ssl


@hinted()
@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRoutes:
    """By which connections of a cluster of ScyllaDB, such as endpoints of PrivateLink, a session reaches its nodes.

    The nodes tell in ``system.client_routes`` where each of them is reached by each connection; contact points are
    addresses of proxies, too. A node that has no route is not reached: never by its own address.

    Attributes:
        connection_ids: the ids of the connections, the preferred one first; or by each of them the host to dial in
            place of the one that nodes tell, None for that.
        shard_aware_port: whether the nodes' shard-aware ports are dialled at the proxies: only if these let them
            through, each to its node.

    With TLS, certificates have names that proxies have not: the name to be checked is given by ``server_hostname``, or
    the `ssl_context` checks none (``check_hostname``).

    Raises OptionError for a value that is not allowed.

    >>> ClientRoutes(connection_ids=["vpce-1"]).hosts
    {'vpce-1': None}
    """

    connection_ids: Iterable[str] | Mapping[str, str | None]
    shard_aware_port: bool = False

    def __post_init__(self) -> None:
        given = self.connection_ids
        require_type(given, Iterable, "connection_ids", "a list of connection ids")
        require(not isinstance(given, (str, bytes)), "connection_ids", given, "a list of connection ids")
        hosts = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given)
        require(len(hosts) > 0, "connection_ids", given, "at least one connection id")
        for name, host in hosts.items():
            require(isinstance(name, str) and name != "", "a connection id", name, "a str that is not empty")
            fits = host is None or (isinstance(host, str) and host != "")
            require(fits, f"the host of the connection {name!r}", host, "a name or an address, or None")
        require_type(self.shard_aware_port, bool, "shard_aware_port of client_routes", "True or False")
        object.__setattr__(self, "connection_ids", hosts)

    @property
    def hosts(self) -> Mapping[str, str | None]:
        """The hosts to dial in place of those that nodes tell, by the ids of the connections."""
        assert isinstance(self.connection_ids, Mapping), "it was made one"
        return self.connection_ids

    def check(self, addresses: object, context: ssl.SSLContext | None, server_hostname: str | None) -> None:
        """Raise OptionError if the policy for addresses, or the options of TLS, do not go with it."""
        if addresses is not None:
            raise OptionError(
                "client_routes= says where nodes are dialled; a policy for addresses does not go with it"
            )
        if context is not None and context.check_hostname and server_hostname is None:
            raise OptionError(
                "certificates of nodes do not have the names of the proxies of client_routes=: say by "
                "server_hostname= which name is to be checked, or set ssl_context.check_hostname = False"
            )
