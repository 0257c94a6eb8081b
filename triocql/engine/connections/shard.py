"""The connections to one shard of a node, or to all of a node that has none."""

from __future__ import annotations

from sys import maxsize
from typing import TYPE_CHECKING

from triocql.engine.connections import Target

if TYPE_CHECKING:
    from triocql.engine.connections.connection import Connection
    from triocql.engine.requests import Request

IN_A_ROW = 32
"""How many requests in a row go to one connection before another one's turn may come."""


class Shard:
    """The connections to one shard, filled in turn. Each is for requests about the partitions that the shard has.

    Attributes:
        connections: those that take requests, the one to be filled first first.
        target: what requests are sent to that are for this shard and, if it has no room, for no other.
    """

    __slots__ = ("_fill_threshold", "connections", "target")

    def __init__(self, fill_threshold: int) -> None:
        self.connections: list[Connection] = []
        self.target = Target(self.send)
        self._fill_threshold = fill_threshold

    def send(self, request: Request) -> bool:
        """Send `request` if a connection has room, and aim the target there; return whether it was sent."""
        connection = self.pick()
        if connection is None:
            return False
        connection.send(request)
        if len(self.connections) == 1:  # nobody else's turn comes
            self.target.begin(connection.streams, maxsize, maxsize)
        else:
            self.target.begin(connection.streams, IN_A_ROW - 1, self._fill_threshold)
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

    def add(self, connection: Connection) -> None:
        """Have one connection more."""
        self.connections.append(connection)
        self._aim()

    def remove(self, connection: Connection) -> None:
        """Have one connection less."""
        self.connections.remove(connection)
        self._aim()

    def cut(self, size: int) -> list[Connection]:
        """Have `size` connections at most; return those that are too many."""
        surplus = self.connections[size:]
        del self.connections[size:]
        self._aim()
        return surplus

    def _aim(self) -> None:
        self.target.begin(None, 0, 0)
