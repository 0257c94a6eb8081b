"""Requests of triocql itself: one message on one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.engine.requests.single import SingleRequest

if TYPE_CHECKING:
    from triocql.engine.connections.connection import Connection


class InternalRequest(SingleRequest):
    """A request of triocql itself on one connection: its value is the response's (opcode, flags, body)."""

    __slots__ = ()

    def answered(self, connection: Connection, opcode: int, flags: int, body: bytes) -> None:
        """Pass the response on as it is."""
        self.succeed((opcode, flags, body))

    def lost(self, connection: Connection, error: Exception, *, written: bool) -> None:
        """Fail: it belongs to its connection."""
        self.fail(connection.lost_error())
