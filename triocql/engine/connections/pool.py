"""The connections to one node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from triocql.engine.connections import Target
from triocql.engine.connections.connection import Connection, State
from triocql.errors import Attempt
from triocql.metadata.node import Node

if TYPE_CHECKING:
    from triocql.engine.requests import Request


# How many requests in a row go to one connection before another one's turn may come.
_IN_A_ROW = 32


class Pool:
    """Connections to one node, filled in turn: a batch on one connection is cheaper than two halves on two.

    Whoever sends knows the node, and leaves the connection to its pool.

    The refiller of the pool dials: `on_lost` is called when a connection is missing, `on_need` when somebody waits for
    one.

    Attributes:
        node: the node.
        address: what it is dialled at; at another address it gets another pool.
        name: the address as text.
        target: what requests are sent to.
        connections: those that take requests, the one to be filled first first.
        dialing: whether a connection is being made, or is about to be.
        last_failure: why the last dial failed, if it did.
    """

    def __init__(self, node: Node, size: int, fill_threshold: int) -> None:
        self.node = node
        self.address = node.address
        self.name = node.name
        self.target = Target(self.send)
        self.connections: list[Connection] = []
        self.dialing = False
        self.last_failure: Attempt | None = None
        self.on_need: Callable[[], None] | None = None
        self.on_lost: Callable[[Connection], None] | None = None
        self._size = size
        self._fill_threshold = fill_threshold
        node.statistics.count = self.target.load

    def __repr__(self) -> str:
        return f"<Pool {self.name} {self.connections}>"

    @property
    def missing(self) -> bool:
        """Whether there should be more connections than there are."""
        return len(self.connections) < self._size

    def resize(self, size: int) -> list[Connection]:
        """Have `size` connections from now on; return those that are too many, which are not the pool's any more."""
        self._size = size
        surplus = self.connections[size:]
        del self.connections[size:]
        self._aim()
        return surplus

    def send(self, request: Request) -> bool:
        """Send `request` if a connection has room, and aim the target there; return whether it was sent."""
        connection = self.pick()
        if connection is None:
            return False
        connection.send(request)
        self.target.begin(connection.streams, _IN_A_ROW - 1, self._fill_threshold)
        return True

    def pick(self) -> Connection | None:
        """Return the connection that the next request should go to; None if none has room."""
        best = None
        for connection in self.connections:
            if connection.has_room:
                load = len(connection.in_flight)
                if load < self._fill_threshold:
                    return connection
                if best is None or load < len(best.in_flight):
                    best = connection
        return best

    def add(self, connection: Connection) -> bool:
        """Add a connection that is ready for requests; return whether it was added: one that has ended is not."""
        if connection.state is not State.OPEN:
            return False
        self.connections.append(connection)
        self._aim()
        self.last_failure = None
        return True

    def remove(self, connection: Connection) -> None:
        """Forget a connection that takes no more requests, and have it replaced."""
        if connection in self.connections:
            self.connections.remove(connection)
            self._aim()
            if self.on_lost is not None:
                self.on_lost(connection)

    def has_open(self) -> bool:
        """Whether a connection takes requests, now or once one of its ids is free."""
        return any(connection.state is State.OPEN for connection in self.connections)

    def _aim(self) -> None:
        self.target.streams = [connection.streams for connection in self.connections]
