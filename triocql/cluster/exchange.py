"""One message of triocql itself and its answer, awaited."""

from __future__ import annotations

from triocql.abc import Reactor
from triocql.engine.connections.connection import Connection, State
from triocql.engine.connections.internal import InternalRequest
from triocql.protocol.frames import check_body


async def exchange(
    reactor: Reactor, connection: Connection, opcode: int, body: bytes, *, deadline: float, timeout: float
) -> tuple[int, int, bytes]:
    """Send one message on `connection` and return the answer's (opcode, flags, body).

    Raises RequestTimeout at `deadline` (`timeout` seconds is what its message says), ConnectionLost, or UsageError
    if the message is too long for a frame.
    """
    check_body(len(body))
    waiter = reactor.waiter(lambda: request.abandon())
    request = InternalRequest(waiter, deadline, timeout)
    request.opcode, request.body = int(opcode), body
    if connection.state is State.CLOSED:
        raise connection.lost_error()
    connection.send(request)
    answer: tuple[int, int, bytes] = await waiter.wait()
    return answer
