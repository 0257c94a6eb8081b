"""The ways to a node: by its address or, where a shard is meant, by its shard-aware port."""

from __future__ import annotations

import random
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from triocql.errors import ConnectError
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from triocql.abc import Address
    from triocql.config.options import Options
    from triocql.engine.connections.connection import Connection
    from triocql.engine.connections.pool import Pool

logger = get_logger(__name__)

_MOST_PORTS = 32
"""How many ports of this side are tried for one dial."""

_BLOCK = 300.0
"""Seconds for which a shard-aware port is left alone that does not do what it is for."""

_STRAYS = 2
"""So many dials in a row that lead to another shard are no accident."""


class NoLocalPort(ConnectError):
    """None of the ports of this side could be had that a dial was to begin at."""


class Way(NamedTuple):
    """One way to a node.

    Attributes:
        address: the address that is dialled.
        local_ports: the ports of this side, one of which is to be used, the first one that can be had; None for any.
        shard: the shard that it should lead to; -1 for any.
    """

    address: Address
    local_ports: tuple[int | None, ...] = (None,)
    shard: int = -1


def local_ports(shard: int, shard_count: int, low: int, high: int) -> tuple[int, ...]:
    """Return some of the ports, from `low` to `high`, that lead to a shard from this side: those whose remainder is
    its number. They begin at random, as many programs on one host dial alike.
    """
    candidates = range(low + (shard - low) % shard_count, high + 1, shard_count)
    if not candidates:
        return ()
    first = random.randrange(len(candidates))  # noqa: S311 - no secret
    numbers = range(first, first + min(_MOST_PORTS, len(candidates)))
    return tuple(candidates[number % len(candidates)] for number in numbers)


class ShardPort:
    """The shard-aware port of one node: how a shard is dialled there, and when the port is left alone.

    That is so for a while if dials lead to other shards than were asked for, as behind NAT, which changes the ports of
    this side; or if it cannot be reached while the node can. Behind NAT it leads to a shard by chance, which is of use
    where the node prefers those that have enough.
    """

    def __init__(self, pool: Pool, options: Options) -> None:
        self._pool = pool
        self._options = options.scylla
        self._is_tls = options.ssl_context is not None
        self._blocked_until = -inf
        self._is_astray = False
        self._strays = 0
        self._failure: ConnectError | None = None

    def way(self, now: float, *, by_chance: bool = False) -> Way | None:
        """Return the way to the shard that lacks connections most; None if the node is to be dialled by its address.

        The first connection is made there: it tells whether there is such a port. Where the port leads elsewhere, it
        is used `by_chance` only.
        """
        pool, sharder = self._pool, self._pool.sharder
        if sharder is None or not pool.has_open():
            return None
        if not self._options.uses_shard_aware_port or pool.address.is_unix:
            return None
        is_blocked = now < self._blocked_until
        if is_blocked and not (self._is_astray and by_chance):
            return None
        sharding = pool.connections[-1].features.sharding
        assert sharding is not None, "what has a sharder has told it"
        port = sharding.tls_port if self._is_tls else sharding.port
        shard = random.randrange(sharder.shard_count) if is_blocked else pool.short()  # noqa: S311 - no secret
        ports = local_ports(shard, sharder.shard_count, *self._options.shard_aware_port_range)
        if port is None or not ports:
            return None
        return Way(pool.address._replace(port=port), ports, -1 if is_blocked else shard)

    def landed(self, way: Way, connection: Connection, now: float) -> None:
        """Called with a connection that was made by this way."""
        if way.shard < 0 or connection.sharder != self._pool.sharder:
            return  # by chance; or the node was started again meanwhile, with other shards
        if connection.shard == way.shard:
            self._strays = 0
            return
        self._strays += 1
        if self._strays >= _STRAYS:
            self._is_astray = True
            self._block(now, "leads to other shards than are asked for, as behind NAT, which changes ports")

    def failed(self, error: ConnectError) -> None:
        """Called when the port could not be dialled. That says something of it only if the node can be."""
        if not isinstance(error, NoLocalPort):
            self._failure = error

    def compared(self, now: float, *, reached: bool) -> None:
        """Called when the node was dialled by its address after that, or without."""
        failure, self._failure = self._failure, None
        if failure is not None and reached:
            self._is_astray = False
            self._block(now, f"cannot be used, while the node can ({failure})")

    def _block(self, now: float, why: str) -> None:
        self._blocked_until = now + _BLOCK
        logger.warning(
            "the shard-aware port of %s %s; it is left alone for %d s, and the node chooses the shards of connections "
            "(shard_aware_port=False has it never used)",
            self._pool.name,
            why,
            _BLOCK,
        )
