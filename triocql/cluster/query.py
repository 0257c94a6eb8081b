"""Requests of triocql itself, each on one given connection: sent, awaited, and read."""

from __future__ import annotations

from triocql.abc import Reactor, Waiter
from triocql.engine.connections.connection import Connection, State
from triocql.engine.connections.internal import InternalRequest
from triocql.errors import ProtocolError, ResponseError
from triocql.protocol.constants import Opcode
from triocql.protocol.frames import check_body
from triocql.protocol.requests import use
from triocql.protocol.responses import Message, SetKeyspace, read_answer

Answer = tuple[int, int, bytes]
"""The opcode, the flags and the body of a response."""


class Exchange:
    """A message that was sent, and the answer to come."""

    def __init__(self, request: InternalRequest, waiter: Waiter[Answer]) -> None:
        self._request = request
        self._waiter = waiter

    async def answer(self) -> Answer:
        """Wait for the answer, and return it as it is."""
        return await self._waiter.wait()

    def abandon(self) -> None:
        """Want the answer no more. Idempotent."""
        self._request.abandon()


class InternalQueries:
    """Asks one connection, one question after the other, all of them by one deadline.

    Args:
        deadline: when the last answer has to be there, as `Reactor.now` counts.
        timeout: the seconds from the beginning to the deadline, for the message of the error.

    Each method raises RequestTimeout at the deadline, ConnectionLost at the end of the connection, and UsageError if a
    message is too long for a frame.
    """

    def __init__(self, reactor: Reactor, connection: Connection, deadline: float, timeout: float) -> None:
        self._reactor = reactor
        self._connection = connection
        self._deadline = deadline
        self._timeout = timeout

    async def exchange(self, opcode: int, body: bytes) -> Answer:
        """Send one message and return the answer as it is."""
        exchange = self.start(opcode, body)
        del body  # it may be a password's: tools that report errors show the variables of a frame
        return await exchange.answer()

    def start(self, opcode: int, body: bytes) -> Exchange:
        """Send one message."""
        connection = self._connection
        check_body(len(body))
        waiter: Waiter[Answer] = self._reactor.waiter(lambda: request.abandon())
        request = InternalRequest(waiter, self._deadline, self._timeout)
        request.opcode, request.body = int(opcode), body
        del body
        if connection.state is State.CLOSED:
            raise connection.lost_error()
        connection.send(request)
        return Exchange(request, waiter)

    async def ask(self, opcode: int, body: bytes) -> Message:
        """Send one message and return what the answer says. Raises ResponseError if that is an error."""
        connection = self._connection
        answer = await self.exchange(opcode, body)
        message = read_answer(*answer, connection.framing.version, connection.features)
        if isinstance(message, ResponseError):
            raise message
        return message

    async def use(self, keyspace: str) -> None:
        """Move the connection to `keyspace`. Raises ResponseError, or ProtocolError if something else is answered."""
        connection = self._connection
        message = await self.ask(Opcode.QUERY, use(connection.framing.version, keyspace))
        if message != SetKeyspace(keyspace):
            raise ProtocolError(f"USE of keyspace {keyspace!r} was answered with {message!r}")
        connection.keyspace = keyspace
