"""Requests of triocql itself: one message on one connection, and waits for what other requests bring about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.engine.hot import Request

if TYPE_CHECKING:
    from triocql.engine.connections.connection import Connection
    from triocql.engine.requests.request import Sink


class Wait(Request):
    """A wait for something that other requests bring about, with a deadline of its own; held by a parking.

    It is a sink, so that it can stand where the outcome is given.
    """

    __slots__ = ("_statement",)

    def __init__(self, sink: Sink, deadline: float, timeout: float, statement: str) -> None:
        super().__init__(sink, deadline, timeout)
        self._statement = statement

    @property
    def statement(self) -> str:
        """The text that it waits for (`Request`)."""
        return self._statement

    def resolve(self, value: Any) -> None:
        """End with `value`."""
        self.succeed(value)

    def reject(self, error: BaseException) -> None:
        """End with `error`."""
        self.fail(error)


class InternalRequest(Request):
    """A request of triocql itself on one connection: its value is the response's (opcode, flags, body)."""

    __slots__ = ()

    def answered(self, connection: Connection, opcode: int, flags: int, body: bytes) -> None:
        """Pass the response on as it is."""
        self.succeed((opcode, flags, body))

    def lost(self, connection: Connection, error: Exception, *, written: bool) -> None:
        """Fail: an exchange belongs to its connection."""
        self.fail(connection.lost_error())
