"""What the reactors are tested against: a link that records, and sockets that a test moves step by step."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from triocql.abc import Address, Reactor, Transport
from triocql.reactors.base import nothing


async def ticks(reactor: Reactor, number: int = 10) -> None:
    """Let the loop turn, so that whatever is ready runs."""
    for _ in range(number):
        await reactor.sleep(0)


async def passed(reactor: Reactor, seconds: float) -> None:
    """Let time pass, and with it the timers of that time."""
    waiter = reactor.waiter(nothing)
    reactor.call_at(reactor.now() + seconds, lambda: waiter.resolve(None))
    await waiter.wait()


class RecordingLink:
    """Keeps what the reactor told it; `until` waits for a condition on that."""

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        self.transport: Transport | None = None
        self.events: list[str] = []
        self.received = b""
        self.chunks: list[int] = []
        self.outgoing = b""
        self.pulls: list[int] = []
        self.losses: list[Exception | None] = []
        self._conditions: list[tuple[Callable[[], bool], Any]] = []

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport
        self._note("made")

    def data_to_send(self) -> bytes:
        data, self.outgoing = self.outgoing, b""
        if data:
            self.pulls.append(len(data))
        self._note("pulled")
        return data

    def data_received(self, data: bytes | memoryview) -> None:
        self.received += data
        self.chunks.append(len(data))
        self._note("data")

    def eof_received(self) -> None:
        self._note("eof")

    def connection_lost(self, error: Exception | None) -> None:
        self.losses.append(error)
        self._note("lost")

    def send(self, data: bytes) -> None:
        assert self.transport is not None
        self.outgoing += data
        self.transport.wake()

    async def until(self, condition: Callable[[], bool]) -> None:
        if not condition():
            waiter = self.reactor.waiter(nothing)
            self._conditions.append((condition, waiter))
            await waiter.wait()

    async def until_lost(self) -> Exception | None:
        await self.until(lambda: bool(self.losses))
        return self.losses[0]

    async def until_received(self, size: int) -> bytes:
        await self.until(lambda: len(self.received) >= size)
        return self.received

    def _note(self, event: str) -> None:
        self.events.append(event)
        for condition, waiter in self._conditions:
            if condition():
                waiter.resolve(None)


class Peer:
    """A listening socket; its blocking calls run in the reactor's threads, each bounded by ten seconds."""

    def __init__(self, reactor: Reactor, family: int = socket.AF_INET, path: Path | None = None) -> None:
        self.reactor = reactor
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.settimeout(60)
        self.accepted: list[socket.socket] = []
        self.listener.bind(str(path) if path else ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.listener.listen()

    @property
    def address(self) -> Address:
        name = self.listener.getsockname()
        return Address(name, 0) if isinstance(name, str) else Address(*name[:2])

    async def accept(self) -> socket.socket:
        sock, _ = await self.reactor.run_blocking(self.listener.accept)
        sock.settimeout(60)
        self.accepted.append(sock)
        return sock

    async def connect(self, link: RecordingLink | None = None) -> tuple[RecordingLink, Any, socket.socket]:
        """Connect a link to this peer: the link, its transport, and the peer's end."""
        link = link or RecordingLink(self.reactor)
        transport = await self.reactor.connect(self.address, link, timeout=60)
        return link, transport, await self.accept()

    async def read(self, sock: socket.socket, size: int) -> bytes:
        """Read exactly `size` bytes, fewer only at the end of the stream."""

        def reading() -> bytes:
            data = bytearray()
            while len(data) < size and (more := sock.recv(min(size - len(data), 1 << 20))):
                data += more
            return bytes(data)

        return await self.reactor.run_blocking(reading)

    async def send(self, sock: socket.socket, data: bytes) -> None:
        await self.reactor.run_blocking(sock.sendall, data)

    @staticmethod
    def reset(sock: socket.socket) -> None:
        """Close with a RST."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exc: object) -> None:
        for sock in [self.listener, *self.accepted]:
            sock.close()


@contextlib.contextmanager
def black_hole(host: str = "127.0.0.1", port: int = 0) -> Iterator[Address]:
    """A listener whose queue is full: the kernel drops what else would connect."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield Address(*listener.getsockname())


def free_port_of_all_hosts() -> int:
    """A port that nobody uses on any address of this machine."""
    with socket.create_server(("", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
