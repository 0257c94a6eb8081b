"""Fills the shards of a node where it is the node that chooses the shard of a new connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.cluster.backoff import BackOff
from triocql.engine.requests.telling import call
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from triocql.config.options import Options
    from triocql.engine.connections.connection import Connection
    from triocql.engine.connections.pool import Pool

logger = get_logger(__name__)

_MOST_SPARE = 2
"""How many spare connections are kept at most, for each shard of the node."""

_MOST_OF_ALL = 512
"""And for all of them, however many the node says that there are."""

_ROUNDS = 2
"""How many rounds may be in vain, one after the other, before there is a pause."""

_LONGEST_ROUND = 32
"""A round is as many dials as the node has shards, or so many: it may be wrong about its shards."""

_ONE_IN = 4
"""After the first rounds, one in so many dials is left to the choice of the node."""


class Filling:
    """Steers the choice of one node by connections that are spare: it gives a new one to a shard that has few.

    What is in vain for too long is tried again after a pause, with one round, so that it is no storm: other programs
    may have so many connections that the node prefers the shards that have enough of ours. Spare connections are kept
    meanwhile: so several rounds, and those of other programs, reach what one of them does not. When there are as many
    as may be and one more is in vain, too, all of them are closed. From the first pause on, chance is the better guide
    where there is a way by which it decides (`ShardPort`).
    """

    def __init__(self, pool: Pool, options: Options) -> None:
        self._pool = pool
        self._back_off = BackOff(options)
        self._rounds = _ROUNDS
        self._vain = 0

    @property
    def takes_chances(self) -> bool:
        """Whether the next dial had better lead to any shard than to that which the node chooses."""
        return self._rounds < _ROUNDS and self._vain % _ONE_IN > 0

    def added(self) -> None:
        """Called when a shard got a connection that it lacked."""
        self._rounds, self._vain = _ROUNDS, 0
        self._back_off.reset()
        if not self._pool.missing:
            self._drop()

    def keep(self, connection: Connection) -> float:
        """Keep a connection to a shard that has enough; return the seconds until the next dial."""
        pool, count = self._pool, len(self._pool.shards)
        if len(pool.spare) >= min(_MOST_SPARE * count, _MOST_OF_ALL):
            self._drop()
        pool.spare.append(connection)
        self._vain += 1
        if self._vain < self._rounds * min(count, _LONGEST_ROUND):
            return 0.0
        self._rounds, self._vain = 1, 0
        pause = self._back_off.next()
        logger.info(
            "%s gives connections to shards that have enough: some of its %d shards lack some; dialled again in %.1f s",
            pool.name,
            count,
            pause,
        )
        return pause

    def _drop(self) -> None:
        call([connection.close for connection in self._pool.take_spare()])
