"""A server on the simulated reactor, with sessions of triocql and clients that see the bare bytes."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import triocql
from triocql.abc import Transport
from triocql.metadata.node import Distance, Node
from triocql.metadata.snapshot import Snapshot
from triocql.policies.balancing.contract import RoutedRequest
from triocql.session.session import Session
from triocql.testing.server import CqlServer, Opcode
from triocql.testing.server.framing import Frame, FrameReader
from triocql.testing.server.node import ServerNode
from triocql.testing.simulated import SimulatedReactor

T = TypeVar("T")

SCHEMA = """
CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
CREATE TYPE shop.address (street text, "No" int);
CREATE TABLE shop.users (id int PRIMARY KEY, name text, home frozen<address>, tags set<text>);
CREATE TABLE shop.orders (user int, day date, number int, total decimal static, PRIMARY KEY ((user, day), number))
    WITH CLUSTERING ORDER BY (number DESC)
"""
SELECT = "SELECT name FROM shop.users WHERE id = ?"
INSERT = "INSERT INTO shop.users (id, name) VALUES (?, ?)"


class Only:
    """A balancing policy for sessions with one node of several."""

    def __init__(self, node: ServerNode) -> None:
        self._node = node

    def distance(self, node: Node, snapshot: Snapshot) -> Distance:
        return Distance.LOCAL if node.host_id == self._node.host_id else Distance.IGNORED

    def plan(self, request: RoutedRequest, snapshot: Snapshot) -> tuple[Node, ...]:
        return snapshot.nodes


class World:
    """A server on a simulated reactor; arguments are those of `CqlServer`."""

    def __init__(
        self, nodes: int | None = None, *, schema: str = SCHEMA, seed: int = 1, **options: Any
    ) -> None:
        self.reactor = SimulatedReactor(seed)
        self.server = CqlServer(nodes, schema=schema, **options).run_on(self.reactor)

    def connect(self, **options: Any) -> AbstractAsyncContextManager[Session]:
        """Return a session to open, of one connection a node."""
        options = {"connections_local": 1, "reconnection_jitter": 0.0, **options}
        return triocql.connect(self.server.contact_points, reactor=self.reactor, **options)

    def run(self, scenario: Callable[[Session], Awaitable[T]], **options: Any) -> T:
        """Run `await scenario(session)` and return its result."""

        async def main() -> T:
            async with self.connect(**options) as session:
                return await scenario(session)

        return self.reactor.run(main)

    def client(self, version: int = 4, node: int = 0, *, start: bool = True) -> Client:
        """Return a bare client, through with the handshake unless `start` says no."""
        client = Client(self, version)

        async def dial() -> None:
            await self.reactor.connect(self.server.nodes[node].address, client, timeout=5)

        self.reactor.run(dial)
        if start:
            client.ask(Opcode.STARTUP, b"\0\1\0\x0bCQL_VERSION\0\x053.0.0")
            client.received.clear()
        return client


class Client:
    """A client's end of a connection that keeps all bytes; v3 and v4 only, as it knows no segments."""

    def __init__(self, world: World, version: int) -> None:
        self.received = bytearray()
        self.times: list[tuple[float, int]] = []
        self.eof = False
        self.lost: Exception | str | None = None
        self._world = world
        self._version = version
        self._transport: Transport | None = None
        self._unsent = b""

    def connection_made(self, transport: Transport) -> None:
        self._transport = transport

    def data_to_send(self) -> bytes:
        data, self._unsent = self._unsent, b""
        return data

    def data_received(self, data: bytes | memoryview) -> None:
        self.received += data
        self.times.append((self._world.reactor.now(), len(data)))

    def eof_received(self) -> None:
        self.eof = True

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = error or "closed"

    def send(self, opcode: int, body: bytes = b"", stream: int = 1, version: int | None = None) -> None:
        """Send a request."""
        header = struct.pack(">BBhBI", version or self._version, 0, stream, opcode, len(body))
        self.send_raw(header + body)

    def send_raw(self, data: bytes) -> None:
        """Send bytes."""
        assert self._transport is not None
        self._unsent += data
        self._transport.wake()
        self._world.reactor.settle()

    def pause_reading(self) -> None:
        """Take nothing for now."""
        assert self._transport is not None
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take what has come, and what comes."""
        assert self._transport is not None
        self._transport.resume_reading()
        self._world.reactor.settle()

    def ask(self, opcode: int, body: bytes = b"", stream: int = 1) -> list[Frame]:
        """Send a request and return all frames that have come, whole ones."""
        self.send(opcode, body, stream)
        return self.frames()

    def query(self, text: str, stream: int = 1) -> list[Frame]:
        """Send a query without values at ONE and return all frames that have come."""
        return self.ask(Opcode.QUERY, query(text), stream)

    def frames(self) -> list[Frame]:
        """Return the frames that have come."""
        return list(FrameReader().feed(bytes(self.received)))


def query(text: str) -> bytes:
    """Return the body of a QUERY (v3, v4)."""
    return struct.pack(">i", len(text.encode())) + text.encode() + b"\0\1\0"


def message(frame: Frame) -> str:
    """Return the text of an ERROR."""
    assert frame.opcode == Opcode.ERROR
    return frame.body[6:].decode()
