"""Raw sockets: what the machine and the event loop cost without any driver.

A window of ready v4 requests is sent at once, then the bytes of as many answers are awaited. The answers to
one statement are all of one length, so counting bytes counts frames, and nothing is parsed.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.benchmarks.contenders import ROW, STATEMENTS, Contender, Loop, Order, Runner

STARTUP, PREPARE, EXECUTE = 1, 9, 10
LOCAL_ONE, VALUES_AND_SKIP_METADATA = 0x0A, 0x03
PIECE = 256 * 1024

Send = Callable[[bytes], Awaitable[Any]]
Receive = Callable[[], Awaitable[bytes]]


class FloorRunner:
    """A connected socket, and one ready request a statement."""

    parameter_type: type = tuple

    def __init__(
        self, send: Send, receive: Receive, requests: dict[str, bytes], sizes: dict[str, int]
    ) -> None:
        self._send = send
        self._receive = receive
        self._requests = requests
        self._sizes = sizes

    async def run(self, order: Order, parameters: list[Any]) -> None:
        """Carry out one round, window by window."""
        request, send, receive = self._requests[order.operation], self._send, self._receive
        window = b"".join(
            request[:2] + struct.pack(">H", stream) + request[4:] for stream in range(order.in_flight)
        )
        expected = self._sizes[order.operation] * order.in_flight
        for _ in range(len(parameters) // order.in_flight):
            await send(window)
            missing = expected
            while missing:
                missing -= len(await receive())


@asynccontextmanager
async def connect(contender: Contender, port: int, loop: Loop) -> AsyncIterator[Runner]:
    """Connect and prepare over a blocking socket, then hand it to the loop."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _exchange(sock, _frame(STARTUP, b"\0\1" + _string("CQL_VERSION") + _string("3.4.6")))
        key, text = struct.pack(">q", ROW[0]), ROW[1].encode()
        requests = {
            "INSERT": _execute(_prepare(sock, STATEMENTS["INSERT"]), key, text),
            "SELECT": _execute(_prepare(sock, STATEMENTS["SELECT"]), key),
        }
        sizes = {name: len(_exchange(sock, request)) for name, request in requests.items()}
        send, receive = _calls(sock, contender)
        yield FloorRunner(send, receive, requests, sizes)


def _calls(sock: socket.socket, contender: Contender) -> tuple[Send, Receive]:
    """Return the loop's plainest way to send and to receive."""
    if contender.loop == "blocking":

        async def send(data: bytes) -> None:
            sock.sendall(data)

        async def receive() -> bytes:
            return sock.recv(PIECE)

        return send, receive
    sock.setblocking(False)
    if contender.loop == "trio":
        import trio

        wrapped = trio.socket.from_stdlib_socket(sock)
        stream = trio.SocketStream(wrapped)
        return stream.send_all, lambda: wrapped.recv(PIECE)
    loop = asyncio.get_running_loop()
    return lambda data: loop.sock_sendall(sock, data), lambda: loop.sock_recv(sock, PIECE)


def _frame(opcode: int, body: bytes) -> bytes:
    return struct.pack(">BBHBI", 4, 0, 0, opcode, len(body)) + body


def _string(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def _exchange(sock: socket.socket, request: bytes) -> bytes:
    """Send one frame and return the whole answer."""
    sock.sendall(request)
    answer = b""
    while len(answer) < 9 or len(answer) < 9 + int.from_bytes(answer[5:9], "big"):
        answer += sock.recv(PIECE)
    return answer


def _prepare(sock: socket.socket, query: str) -> bytes:
    answer = _exchange(sock, _frame(PREPARE, struct.pack(">I", len(query)) + query.encode()))
    return answer[15 : 15 + int.from_bytes(answer[13:15], "big")]


def _execute(statement_id: bytes, *values: bytes) -> bytes:
    head = struct.pack(">H", len(statement_id)) + statement_id
    options = struct.pack(">HBH", LOCAL_ONE, VALUES_AND_SKIP_METADATA, len(values))
    return _frame(
        EXECUTE, head + options + b"".join(struct.pack(">I", len(value)) + value for value in values)
    )
