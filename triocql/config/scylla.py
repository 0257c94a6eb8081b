"""The group of options about what ScyllaDB adds. Where the node is Cassandra, none of them changes anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from triocql._hints import hinted
from triocql.config.checks import is_integer, is_number, require, require_integer, require_type
from triocql.config.clientroutes import ClientRoutes
from triocql.errors import OptionError

_LEAST, _MOST = 0.001, 86_400.0
_PORTS = "two port numbers from 1,024 to 65,535, the lower one first, such as (49152, 65535)"


@hinted()
@dataclass(frozen=True, slots=True, kw_only=True)
class ScyllaOptions:
    """What is used of the features of ScyllaDB. They need no switching on: a node says what it has.

    Attributes:
        shard_awareness: whether each shard of a node of ScyllaDB gets connections of its own, and requests go to the
            shard that has their partition.
        shard_aware_port: whether a shard is dialled at the node's shard-aware port, where the port of this side says
            which one is meant. Where addresses are translated on the way (NAT), it is noticed and left alone for five
            minutes; False for never.
        shard_aware_port_range: the ports of this side that are used for that, if it is: the first one and the last one.
        connections_per_shard: connections to each shard, for nodes with shards; they have them in place of
            `connections_local` and `connections_remote`. It goes with `shard_awareness`.
        internal_timeout: seconds after which a node gives up a page of what the session reads for itself, of the
            cluster and its schema: these queries say ``USING TIMEOUT``. A second more is waited for the answer. 0 to
            leave it to the node's own timeouts.
        tablets_v2: whether nodes are asked for the second version of hints about tablets, where they have it. Its
            servers call it experimental.
        client_routes: by which proxies the nodes are reached, such as endpoints of PrivateLink; None if they are
            reached by their own addresses.

    Raises OptionError for a value that is not allowed.

    >>> ScyllaOptions(shard_aware_port_range=(50_000, 59_999)).connections_per_shard
    1
    """

    shard_awareness: bool = True
    shard_aware_port: bool = True
    shard_aware_port_range: tuple[int, int] = (49_152, 65_535)
    connections_per_shard: int = 1
    internal_timeout: float = 4.0
    tablets_v2: bool = False
    client_routes: ClientRoutes | None = None

    @property
    def uses_shard_aware_port(self) -> bool:
        """Whether nodes are dialled at their shard-aware ports: where there are proxies, these have to be asked for."""
        routes = self.client_routes
        return self.shard_aware_port and (routes is None or routes.shard_aware_port)

    def __post_init__(self) -> None:
        for name in ("shard_awareness", "shard_aware_port", "tablets_v2"):
            value = getattr(self, name)
            require(isinstance(value, bool), name, value, "True or False")
        ports: Any = self.shard_aware_port_range
        fits = isinstance(ports, tuple) and len(ports) == 2 and all(map(is_integer, ports))
        require(fits and 1024 <= ports[0] <= ports[1] <= 65_535, "shard_aware_port_range", ports, _PORTS)
        require_integer(self.connections_per_shard, "connections_per_shard", 1, 1024)
        if not self.shard_awareness and self.connections_per_shard > 1:
            raise OptionError(
                f"connections_per_shard={self.connections_per_shard} means nothing with shard_awareness=False: "
                "connections are to whole nodes then, and connections_local= and connections_remote= say how many"
            )
        routes = self.client_routes
        require_type(routes, (ClientRoutes, type(None)), "client_routes", "a triocql.ClientRoutes, or None")
        seconds = self.internal_timeout
        fits = is_number(seconds) and (seconds == 0 or _LEAST <= seconds <= _MOST)
        require(fits, "internal_timeout", seconds, "a number of seconds from 0.001 to 86,400, or 0")
