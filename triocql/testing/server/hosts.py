"""The hosts of a server: the test's own event loop, a thread, or the simulated reactor."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import trio

from triocql.abc import Address, Link, Transport
from triocql.reactors.current import select
from triocql.testing.simulated import SimulatedReactor

T = TypeVar("T")
Accept = Callable[[Callable[[], None], int], Link]
"""Makes the link of a new connection, from what breaks it with RST, and the port of the client."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
PATIENCE = 60.0
"""Seconds that a call into the server's thread may take."""


class Listener(Protocol):
    """A node's listening socket, or what stands for one."""

    @property
    def port(self) -> int:
        """The port that it has."""

    def close(self) -> None:
        """Accept no more connections."""


class Host(Protocol):
    """The surroundings that a server runs in."""

    def now(self) -> float:
        """Return the time in seconds."""

    def call_later(self, seconds: float, fn: Callable[[], None]) -> object:
        """Call `fn` after so many seconds."""

    def call(self, fn: Callable[[], T]) -> T:
        """Call `fn` where all of the server runs, and return its result."""

    def listen(self, address: Address, accept: Accept, usual: int) -> Listener:
        """Accept connections. If the port of the address is 0, it is any free one; `usual` where there are no sockets.

        Raises OSError.
        """


class NoHost:
    """The place of a server that does not run yet."""

    def now(self) -> float:
        """Return 0."""
        return 0.0

    def call_later(self, seconds: float, fn: Callable[[], None]) -> object:
        """Fail."""
        raise RuntimeError("the server does not run: use `async with`, `with` or `run_on`")

    def call(self, fn: Callable[[], T]) -> T:
        """Call at once."""
        return fn()

    def listen(self, address: Address, accept: Accept, usual: int) -> Listener:
        """Fail."""
        raise RuntimeError("the server does not run: use `async with`, `with` or `run_on`")


# --- The simulated reactor -----------------------------------------------------------------------------------


class SimulatedHost:
    """On a simulated reactor: virtual time, no sockets."""

    def __init__(self, reactor: SimulatedReactor) -> None:
        self.now = reactor.now
        self._reactor = reactor

    def call_later(self, seconds: float, fn: Callable[[], None]) -> object:
        """Call `fn` after so many virtual seconds."""
        return self._reactor.call_at(self._reactor.now() + seconds, fn)

    def call(self, fn: Callable[[], T]) -> T:
        """Call at once."""
        return fn()

    def listen(self, address: Address, accept: Accept, usual: int) -> Listener:
        """Accept connections (`Host`)."""

        def factory() -> Link:
            number = len(listener.accepted)
            return accept(lambda: listener.accepted[number].reset(), listener.client_port)

        listener = self._reactor.listen(Address(address.host, address.port or usual), factory)
        return listener


# --- A running event loop ------------------------------------------------------------------------------------


class LoopHost:
    """In the running loop of Trio or asyncio, with real sockets; an async context manager."""

    def __init__(self) -> None:
        self._reactor: Any = None
        self._listening: type[_TrioListener | _AsyncioListener] = _TrioListener

    async def __aenter__(self) -> LoopHost:
        reactor: Any = select()
        if reactor.name == "asyncio":
            self._listening = _AsyncioListener
        self._reactor = await reactor.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._reactor.__aexit__(*error)

    def now(self) -> float:
        """Return the loop's time."""
        now: float = self._reactor.now()
        return now

    def call_later(self, seconds: float, fn: Callable[[], None]) -> object:
        """Call `fn` after so many seconds of the loop's clock."""
        return self._reactor.call_at(self._reactor.now() + seconds, fn)

    def call(self, fn: Callable[[], T]) -> T:
        """Call at once."""
        return fn()

    def listen(self, address: Address, accept: Accept, usual: int) -> Listener:
        """Accept connections (`Host`)."""
        listener = self._listening(self._reactor, listening_socket(address), accept)
        listener.start()
        return listener


class _SocketListener:
    """Accepts connections, and has the reactor drive a link for each."""

    def __init__(self, reactor: Any, sock: socket.socket, accept: Accept) -> None:
        self.sock = sock
        self.port: int = sock.getsockname()[1]
        self._reactor = reactor
        self._accept = accept

    def close(self) -> None:
        """Accept no more connections."""
        self.sock.close()

    def accept_all(self) -> None:
        """Accept all connections that wait."""
        with suppress(BlockingIOError):
            while True:
                client, peer = self.sock.accept()
                client.setblocking(False)
                # Else an answer waits for the client to acknowledge the one before it: 40 ms that no clock knows of.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._reactor.spawn(self._serve, client, peer[1])

    async def _serve(self, client: socket.socket, peer_port: int) -> None:
        transport: Transport | None = None

        def reset() -> None:
            if transport is not None:
                with suppress(OSError):
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                transport.abort()

        with suppress(ConnectionError):
            transport = await self._reactor.adopt(client, self._accept(reset, peer_port))


class _TrioListener(_SocketListener):
    def start(self) -> None:
        self._reactor.spawn(self._run)

    def close(self) -> None:
        trio.lowlevel.notify_closing(self.sock)
        super().close()

    async def _run(self) -> None:
        with suppress(trio.ClosedResourceError):
            while self.sock.fileno() >= 0:
                await trio.lowlevel.wait_readable(self.sock)
                self.accept_all()


class _AsyncioListener(_SocketListener):
    def start(self) -> None:
        self._reactor.loop.add_reader(self.sock.fileno(), self.accept_all)

    def close(self) -> None:
        self._reactor.loop.remove_reader(self.sock.fileno())
        super().close()


def listening_socket(address: Address) -> socket.socket:
    """Return a socket that listens at an address."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind((address.host, address.port))
        sock.listen(128)
    except BaseException:
        sock.close()
        raise
    return sock


# --- A thread ------------------------------------------------------------------------------------------------


class ThreadHost:
    """In an event loop of its own in a daemon thread, with real sockets; a context manager."""

    def __init__(self) -> None:
        self._ready: Future[tuple[asyncio.AbstractEventLoop, LoopHost]] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main()), name="CQL test server", daemon=True
        )

    def __enter__(self) -> ThreadHost:
        self._thread.start()
        self._loop, self._inner = self._ready.result(PATIENCE)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE)

    async def _main(self) -> None:
        self._end = asyncio.Event()
        async with LoopHost() as inner:
            self._ready.set_result((asyncio.get_running_loop(), inner))
            await self._end.wait()

    def now(self) -> float:
        """Return the time of the thread's loop."""
        return self._loop.time()

    def call_later(self, seconds: float, fn: Callable[[], None]) -> object:
        """Call `fn` in the thread after so many seconds."""
        return self.call(lambda: self._inner.call_later(seconds, fn))

    def call(self, fn: Callable[[], T]) -> T:
        """Call `fn` in the thread and wait for its result."""
        if threading.current_thread() is self._thread:
            return fn()
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(fn())
            except BaseException as error:
                future.set_exception(error)

        self._loop.call_soon_threadsafe(work)
        return future.result(PATIENCE)

    def listen(self, address: Address, accept: Accept, usual: int) -> Listener:
        """Accept connections (`Host`)."""
        return self.call(lambda: self._inner.listen(address, accept, usual))
