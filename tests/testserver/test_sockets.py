"""Faults over real sockets, as a client sees them that shares nothing with the driver."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any

import anyio
import pytest

from tests.testserver.test_hosts import RUNNERS
from tests.testserver.world import query
from triocql.abc import Address
from triocql.testing.server import (
    Change,
    CqlServer,
    Fault,
    Opcode,
    ServerConnection,
    ServerNode,
    flip_bit,
    split,
    truncate,
    void,
)
from triocql.testing.server.tap import Tap

VOID = bytes.fromhex("84 00 0001 08 00000004 00000001")
PATIENCE = 60.0
STARTUP = b"\0\1\0\x0bCQL_VERSION\0\x053.0.0"
REGISTER = b"\0\2\0\x0dSTATUS_CHANGE\0\x0dSCHEMA_CHANGE"
EVENT = b"\x84\0\xff\xff\x0c"


def frame(opcode: int, body: bytes, stream: int = 1) -> bytes:
    """Return a request of protocol v4."""
    return struct.pack(">BBhBI", 4, 0, stream, opcode, len(body)) + body


class Peer:
    """A client on a bare socket; it waits in whatever event loop is running."""

    def __init__(self, address: Address) -> None:
        self._sock = socket.create_connection(address)
        self._sock.setblocking(False)
        self._received = bytearray()

    def close(self) -> None:
        self._sock.close()

    def send(self, data: bytes | memoryview) -> int:
        """Send what the socket takes now, and return how much that is."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    async def send_all(self, data: memoryview) -> None:
        """Send all, as there is room."""
        while data:
            with anyio.fail_after(PATIENCE):
                await anyio.wait_writable(self._sock)
            data = data[self.send(data) :]

    async def ask(self, opcode: int, body: bytes = b"") -> bytes:
        """Send a request and return the body of the answer."""
        assert self.send(frame(opcode, body)) > 0
        header = await self.read(9)
        return await self.read(int.from_bytes(header[5:]))

    async def read(self, size: int) -> bytes:
        """Return so many bytes. Raises EOFError if they do not come."""
        while len(self._received) < size:
            if not await self._receive():
                raise EOFError
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    async def end(self) -> None:
        """Wait for the end of the connection."""
        while await self._receive():
            pass

    def nothing_came(self) -> bool:
        """Whether nothing has come, not even the end."""
        try:
            self._received += self._sock.recv(1)
        except BlockingIOError:
            return not self._received
        return False

    async def _receive(self) -> int:
        with anyio.fail_after(PATIENCE):
            await anyio.wait_readable(self._sock)
        data = self._sock.recv(65_536)
        self._received += data
        return len(data)


class Scene:
    """A server and its clients."""

    def __init__(self, server: CqlServer) -> None:
        self.server = server
        self._peers: list[Peer] = []
        server.when("SELECT 1").then(void())

    @property
    def node(self) -> ServerNode:
        return self.server.nodes[0]

    async def connect(self, node: ServerNode | None = None) -> Peer:
        """Return a client that is through with the handshake."""
        peer = self.dial((node or self.node).address)
        await peer.ask(Opcode.STARTUP, STARTUP)
        return peer

    async def pair(self) -> tuple[Peer, ServerConnection]:
        """Return a client and the server's end of its connection."""
        peer = await self.connect()
        return peer, self.node.connections[-1]

    def dial(self, address: Address) -> Peer:
        """Return a client that has said nothing yet."""
        peer = Peer(address)
        self._peers.append(peer)
        return peer

    async def turn(self) -> None:
        """Let the server do what it can: it answers others, and again, who have asked after all before."""
        other = await self.connect(self.server.nodes[1])
        for _ in range(2):
            await other.ask(Opcode.OPTIONS)

    def close(self) -> None:
        for peer in self._peers:
            peer.close()


@asynccontextmanager
async def serving(where: str) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        server = CqlServer(2)
        if where == "thread":
            stack.enter_context(server)
        else:
            await stack.enter_async_context(server)
        scene = Scene(server)
        stack.callback(scene.close)
        yield scene


@pytest.fixture(params=["trio", "asyncio", "thread"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[Scene], Awaitable[None]]], None]:
    """Run `await scenario(scene)` with a server in the loop of the test, or in a thread."""
    where = request.param

    def runner(scenario: Callable[[Scene], Awaitable[None]]) -> None:
        async def main() -> None:
            async with serving(where) as scene:
                await scenario(scene)

        RUNNERS["asyncio" if where == "thread" else where](main)

    return runner


# --- Nodes ---------------------------------------------------------------------------------------------------

HOST_ID = query("SELECT host_id FROM system.local")


def test_moving(run: Any) -> None:
    async def scenario(scene: Scene) -> None:
        node, peer = scene.node, await scene.connect()
        before, identity = node.address, node.host_id
        node.move("127.0.0.9")
        with pytest.raises(ConnectionResetError):
            await peer.end()
        with pytest.raises(ConnectionRefusedError):
            scene.dial(before)
        assert node.address == Address("127.0.0.9", before.port)
        assert (await (await scene.connect()).ask(Opcode.QUERY, HOST_ID)).endswith(identity.bytes)

    run(scenario)


def test_replacing(run: Any) -> None:
    async def scenario(scene: Scene) -> None:
        node, peer = scene.node, await scene.connect()
        before = node.host_id
        assert (await peer.ask(Opcode.QUERY, HOST_ID)).endswith(before.bytes)
        node.replace()
        with pytest.raises(ConnectionResetError):
            await peer.end()
        assert node.host_id != before
        assert (await (await scene.connect()).ask(Opcode.QUERY, HOST_ID)).endswith(node.host_id.bytes)

    run(scenario)


def test_a_black_hole(run: Any) -> None:
    async def scenario(scene: Scene) -> None:
        old = await scene.connect()
        scene.node.black_hole()
        new = scene.dial(scene.node.address)
        for peer in (old, new):
            peer.send(frame(Opcode.OPTIONS, b""))
        await scene.turn()
        assert old.nothing_came()
        assert new.nothing_came()
        scene.node.heal()
        await scene.connect()
        assert old.nothing_came()

    run(scenario)


def test_events(run: Any) -> None:
    async def scenario(scene: Scene) -> None:
        peer, other = await scene.connect(), await scene.connect()
        await peer.ask(Opcode.REGISTER, REGISTER)
        scene.server.announce("STATUS_CHANGE", "DOWN", Address("127.0.0.7", 9042))
        scene.server.announce_schema(Change("DROPPED", "KEYSPACE", "shop"))
        for body in (
            b"\0\x0dSTATUS_CHANGE\0\4DOWN\4\x7f\0\0\7\0\0\x23\x52",
            b"\0\x0dSCHEMA_CHANGE\0\7DROPPED\0\x08KEYSPACE\0\4shop",
        ):
            assert await peer.read(9 + len(body)) == EVENT + struct.pack(">I", len(body)) + body
        assert other.nothing_came()

    run(scenario)


# --- Connections ---------------------------------------------------------------------------------------------


def test_a_connection_that_stops_reading(run: Any) -> None:
    count = 400
    one_value = struct.pack(">BHI", 1, 1, 100_000) + bytes(100_000)
    request = frame(Opcode.QUERY, query("SELECT 1")[:-1] + one_value)

    async def scenario(scene: Scene) -> None:
        peer, connection = await scene.pair()
        connection.stop_reading()
        unsent = memoryview(request * count)
        while sent := peer.send(unsent):
            unsent = unsent[sent:]
        assert unsent, "the server has read on"
        await scene.turn()
        assert peer.nothing_came()
        assert not scene.server.log.find("SELECT 1")
        connection.resume_reading()
        await peer.send_all(unsent)
        assert await peer.read(count * len(VOID)) == VOID * count
        assert len(scene.server.log.find("SELECT 1")) == count

    run(scenario)


def test_a_connection_that_freezes(run: Any) -> None:
    async def scenario(scene: Scene) -> None:
        peer, connection = await scene.pair()
        connection.freeze()
        peer.send(frame(Opcode.QUERY, query("SELECT 1")))
        await scene.turn()
        assert peer.nothing_came()
        connection.thaw()
        assert await peer.read(len(VOID)) == VOID

    run(scenario)


def test_a_connection_in_a_black_hole(run: Any) -> None:
    async def scenario(scene: Scene) -> None:
        peer, connection = await scene.pair()
        other = await scene.connect()
        connection.black_hole()
        peer.send(frame(Opcode.QUERY, query("SELECT 1")))
        await scene.turn()
        assert peer.nothing_came()
        assert not scene.server.log.find("SELECT 1")
        assert await other.ask(Opcode.QUERY, query("SELECT 1")) == VOID[9:]

    run(scenario)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("ending", [ServerConnection.end, ServerConnection.drop])
def test_connections_end_on_demand(run: Any, ending: Any, how: str) -> None:
    async def scenario(scene: Scene) -> None:
        peer, connection = await scene.pair()
        ending(connection, how)
        with pytest.raises(ConnectionResetError) if how == "reset" else nullcontext():
            await peer.end()

    run(scenario)


def test_hanging_up(run: Any) -> None:
    async def scenario(scene: Scene) -> None:
        peer, connection = await scene.pair()
        connection.hang_up()
        await peer.end()

    run(scenario)


@pytest.mark.parametrize("fault", ["freeze", "thaw", "black_hole", "hang_up"])
def test_they_happen_where_the_server_runs(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    seen: list[str] = []
    monkeypatch.setattr(Tap, fault, lambda _: seen.append(threading.current_thread().name))
    with CqlServer() as server, socket.create_connection(server.nodes[0].address) as sock:
        sock.sendall(frame(Opcode.OPTIONS, b""))
        assert sock.recv(1)
        getattr(server.connections[0], fault)()
    assert seen == ["CQL test server"]


# --- Bytes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "received"),
    [(flip_bit(0), b"\x85" + VOID[1:]), (flip_bit(-1), VOID[:-1] + b"\x81"), (split(4, -1), VOID)],
    ids=["flip", "flip the last", "split"],
)
def test_faults_of_one_answer(run: Any, fault: Fault, received: bytes) -> None:
    async def scenario(scene: Scene) -> None:
        scene.server.when("SELECT 2").then(void(), fault)
        peer = await scene.connect()
        peer.send(frame(Opcode.QUERY, query("SELECT 2")))
        assert await peer.read(len(VOID)) == received
        assert await peer.ask(Opcode.QUERY, query("SELECT 1")) == VOID[9:]

    run(scenario)


def test_splitting_with_pauses(run: Any) -> None:
    async def scenario(scene: Scene) -> None:
        scene.server.when("SELECT 2").then(void(), split(4, 9, pause=0.05))
        peer = await scene.connect()
        began = time.monotonic()
        peer.send(frame(Opcode.QUERY, query("SELECT 2")))
        assert await peer.read(len(VOID)) == VOID
        assert time.monotonic() - began > 0.09

    run(scenario)


def test_truncating(run: Any) -> None:
    async def scenario(scene: Scene) -> None:
        scene.server.when("SELECT 2").then(void(), truncate(4))
        peer = await scene.connect()
        for text in ("SELECT 2", "SELECT 1"):
            peer.send(frame(Opcode.QUERY, query(text)))
        assert await peer.read(4) == VOID[:4]
        await scene.turn()
        assert peer.nothing_came()
        assert scene.server.log.find("SELECT 1")

    run(scenario)
