"""The connections to one node, by its shards."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from triocql.engine.connections import Target
from triocql.engine.connections.connection import Connection, State
from triocql.engine.connections.shard import IN_A_ROW, Shard
from triocql.errors import Attempt
from triocql.metadata.node import Node

if TYPE_CHECKING:
    from triocql.engine.requests import Request
    from triocql.metadata.sharding import Sharder


class Trouble(NamedTuple):
    """What has failed with a node, and when, by the loop's clock. As text: an error keeps what it was raised in."""

    error: str
    at: float

    @classmethod
    def of(cls, error: Exception, at: float) -> Trouble:
        """Return what an error tells."""
        return cls(f"{type(error).__name__}: {error}", at)


class Pool:
    """Connections to one node, filled in turn: a batch on one connection is cheaper than two halves on two.

    Whoever sends knows the node, and the shard if it has any, and leaves the connection to its pool. A node without
    shards is one shard. Where the connections to a shard are missing or full, its requests go to those of another one:
    the node passes them on.

    The refiller of the pool dials: `on_lost` is called when a connection is missing, `on_need` when somebody waits for
    one.

    Attributes:
        node: the node.
        address: what it is dialled at; at another address it gets another pool.
        name: the address as text.
        target: what requests are sent to.
        sharder: how the node divides its partitions among shards; None if it has none.
        shards: the shards, each with its connections; all of a node without shards is one.
        connections: those that take requests, of all shards.
        spare: open connections to shards that have enough. They take no requests: as long as they are there, the node
            gives new ones to other shards.
        dialing: whether a connection is being made, or is about to be.
        last_failure: why the last dial failed, if it did.
        trouble: what has failed last, a dial or a connection, however long ago.
    """

    def __init__(self, node: Node, size: int, fill_threshold: int, size_of_shard: int = 1) -> None:
        self.node = node
        self.address = node.address
        self.name = node.name
        self.target = Target(self.send)
        self.sharder: Sharder | None = None
        self.shards: tuple[Shard, ...] = (Shard(fill_threshold),)
        self.connections: list[Connection] = []
        self.spare: list[Connection] = []
        self.dialing = False
        self.last_failure: Attempt | None = None
        self.trouble: Trouble | None = None
        self.on_need: Callable[[], None] | None = None
        self.on_lost: Callable[[Connection], None] | None = None
        self._size = size
        self._size_of_shard = size_of_shard
        self._fill_threshold = fill_threshold
        self._position = -1
        node.statistics.count = self.target.count

    def __repr__(self) -> str:
        return f"<Pool {self.name} {self.connections}>"

    # --- What should be there ------------------------------------------------------------------------------

    @property
    def wanted(self) -> int:
        """How many connections there should be."""
        return len(self.shards) * self._wanted

    @property
    def missing(self) -> bool:
        """Whether there should be more connections than there are."""
        return any(len(shard.connections) < self._wanted for shard in self.shards)

    def short(self) -> int:
        """Return the shard that lacks connections most, one of several at random: many clients dial a node at once."""
        least = min(len(shard.connections) for shard in self.shards)
        return random.choice([n for n, shard in enumerate(self.shards) if len(shard.connections) == least])  # noqa: S311 - no secret

    def has_place(self, shard: int) -> bool:
        """Whether a shard should have more connections than it has; any will do where the node has none."""
        return len(self._at(shard).connections) < self._wanted

    @property
    def _wanted(self) -> int:
        """How many connections each shard should have."""
        return self._size if self.sharder is None or not self._size else self._size_of_shard

    def resize(self, size: int) -> list[Connection]:
        """Have `size` connections from now on, or none if that is 0; return those that are too many, which are not the
        pool's any more. Where the node has shards, it has as many as those should have."""
        self._size = size
        surplus = [connection for shard in self.shards for connection in shard.cut(self._wanted)]
        if not size:
            surplus += self.take_spare()
        self.connections = [each for each in self.connections if each not in surplus]
        self._aim()
        return surplus

    def divide(self, sharder: Sharder | None) -> list[Connection]:
        """Have other shards from now on, as a connection has told. Return all connections that there are, which are not
        the pool's any more: each of them is to a shard that there is not."""
        stale = [*self.connections, *self.take_spare()]
        self.connections = []
        self.sharder = sharder
        count = 1 if sharder is None else sharder.shard_count
        self.shards = tuple(Shard(self._fill_threshold) for _ in range(count))
        if sharder is None:
            self.node.shard_count = None
            self.target.divide(0, 0, [])
        else:
            self.node.shard_count = count
            self.target.divide(count, sharder.ignore_msb, [shard.target for shard in self.shards])
        self._aim()
        return stale

    def take_spare(self) -> list[Connection]:
        """Return the spare connections, which are not the pool's any more."""
        spare, self.spare = self.spare, []
        return spare

    # --- Sending -------------------------------------------------------------------------------------------

    def send(self, request: Request, shard: int = -1) -> bool:
        """Send `request` if a connection has room, to this shard if it can be; return whether it was sent. What is for
        any shard has the next requests of its like sent there, too."""
        connection = self.pick(shard)
        if connection is None:
            return False
        connection.send(request)
        if shard < 0:
            self.target.begin(connection.streams, IN_A_ROW - 1, self._fill_threshold)
        return True

    def pick(self, shard: int = -1) -> Connection | None:
        """Return the connection that the next request should go to, one of this shard if it has room; None if none
        has."""
        shards = self.shards
        if 0 <= shard < len(shards) and (found := shards[shard].pick()) is not None:
            return found
        for _ in shards:
            self._position = (self._position + 1) % len(shards)
            if (found := shards[self._position].pick()) is not None:
                return found
        return None

    # --- Connections ---------------------------------------------------------------------------------------

    def add(self, connection: Connection) -> None:
        """Add a connection that is ready for requests."""
        self.connections.append(connection)
        self._at(connection.shard).add(connection)
        self._aim()
        self.last_failure = None

    def remove(self, connection: Connection) -> None:
        """Forget a connection that takes no more requests, and have it replaced."""
        if connection in self.connections:
            self.connections.remove(connection)
            self._at(connection.shard).remove(connection)
            self._aim()
            if self.on_lost is not None:
                self.on_lost(connection)
        elif connection in self.spare:
            self.spare.remove(connection)

    @property
    def open(self) -> int:
        """How many connections take requests, now or once one of their ids is free. Any thread may ask."""
        return sum(connection.state is State.OPEN for connection in self.connections.copy())

    def has_open(self) -> bool:
        """Whether a connection takes requests, now or once one of its ids is free."""
        return any(connection.state is State.OPEN for connection in self.connections)

    def _at(self, shard: int) -> Shard:
        """Return a shard; all of the node if it has none."""
        return self.shards[0 if self.sharder is None else shard]

    def _aim(self) -> None:
        target = self.target
        for streams in target.streams:
            streams.count_for(None)
        target.aim([connection.streams for connection in self.connections])
        for streams in target.streams:
            streams.count_for(target)
