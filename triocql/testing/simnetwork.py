"""The in-memory network of the simulated reactor: listeners, connections, and their faults."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from typing import Any

from triocql.abc import Address, Link, LocalPortUnavailable
from triocql.reactors.base import FLUSH_TIMEOUT, nothing

from .simloop import SimLoop
from .simtasks import SimWaiter

CAPACITY = 256 * 1024
"""Bytes on their way to a reader that does not read, after which its peer's link is pulled no more."""

EPHEMERAL = range(32768, 61000)
"""The ports that clients have who ask for none."""


class SimListener:
    """A listener of a simulated server. Its faults may be switched on and off at any time.

    Attributes:
        refuse: connections are refused.
        black_hole: connections are never answered.
        delay: seconds until a connection is made.
        latency: seconds that bytes take each way, for connections made from then on.
        accepted: the server's ends of all connections made, in order; `reset` and `black_hole` are called on these.
        client_port: the port of the client whose connection is being made, while the factory is called.
    """

    def __init__(self, network: SimNetwork, address: Address, factory: Callable[[], Link]) -> None:
        self.address = address
        self.factory = factory
        self.refuse = False
        self.black_hole = False
        self.delay = 0.0
        self.latency = 0.0
        self.accepted: list[SimTransport] = []
        self.client_port = 0
        self._network = network

    @property
    def port(self) -> int:
        """The port of `address`."""
        return self.address.port

    def close(self) -> None:
        """Listen no more; connections that were made go on."""
        self._network.listeners.pop(self.address, None)


class SimNetwork:
    """All listeners and connections of one simulated reactor.

    Attributes:
        names: host names and the hosts that they stand for; others stand for themselves.
        clients: the clients' ends of the connections that are open.
        taken: ports of the clients' host that other programs have.
    """

    def __init__(self, reactor: SimLoop[SimTransport]) -> None:
        self.names: dict[str, list[str]] = {}
        self.listeners: dict[Address, SimListener] = {}
        self._reached: dict[Address, str] = {}
        self._from: dict[tuple[Address, int], SimTransport] = {}
        self._ephemeral = itertools.cycle(EPHEMERAL)
        self.clients = reactor.transports
        self.taken: set[int] = set()
        self.reactor = reactor

    def listen(self, address: Address, factory: Callable[[], Link]) -> SimListener:
        """Listen at `address`."""
        if address in self.listeners:
            raise OSError(errno.EADDRINUSE, f"something listens at {address} already")
        listener = self.listeners[address] = SimListener(self, address, factory)
        return listener

    async def dial(self, address: Address, waiter: SimWaiter, at_random: bool = False) -> None:
        """Find a listener that accepts, and give it to the waiter; where the last one was is looked at first."""
        failure = OSError(f"{address.host} stands for no host")
        hangs = False
        hosts, last = self.names.get(address.host, [address.host]).copy(), self._reached.get(address)
        if at_random:
            self.reactor.random.shuffle(hosts)
        else:
            hosts.sort(key=lambda host: host != last)
        for host in hosts:
            listener = self.listeners.get(Address(host, address.port))
            await self.reactor.sleep(listener.delay if listener else 0)
            if listener is not None and listener.black_hole:
                await self.reactor.sleep(0.25)
                hangs = True
            elif listener is None or listener.refuse:
                failure = ConnectionRefusedError(
                    errno.ECONNREFUSED, f"nothing listens at {host}:{address.port}"
                )
            else:
                self._reached[address] = host
                waiter.resolve(listener)
                return
        if not hangs:
            waiter.reject(failure)

    def join(self, listener: SimListener, link: Link, local_port: int | None) -> SimTransport:
        """Make the two ends of a connection. Raises LocalPortUnavailable for a client's port that is in use."""
        address = listener.address
        port = self._free_port(address) if local_port is None else local_port
        if self.in_use(address, port):
            raise LocalPortUnavailable(errno.EADDRNOTAVAIL, f"the local port {port} is in use")
        listener.client_port = port
        client = SimTransport(self.reactor, link, listener.latency, address, port)
        server = SimTransport(self.reactor, listener.factory(), listener.latency, address, port)
        client.peer, server.peer = server, client
        listener.accepted.append(server)
        self._from[address, port] = client
        self.reactor.opened(client)
        server.start()
        client.start()
        return client

    def in_use(self, address: Address, port: int) -> bool:
        """Whether this port of the clients' host is taken, or a connection to the address comes from there."""
        if port in self.taken:
            return True
        client = self._from.get((address, port))
        return client is not None and not client.closed

    def _free_port(self, address: Address) -> int:
        """Return the next of the ephemeral ports."""
        return next(port for port in self._ephemeral if not self.in_use(address, port))


class SimTransport:
    """One end of a simulated connection.

    Received bytes come in a buffer that is overwritten after the call, cut in pieces as the seed decides.

    Attributes:
        link: what it drives.
        peer: the other end.
        address: the listener's address.
        local_port: the port of the client.
    """

    peer: SimTransport

    def __init__(
        self,
        reactor: SimLoop[SimTransport],
        link: Link,
        latency: float,
        address: Address,
        local_port: int,
    ) -> None:
        self.link = link
        self.address = address
        self.local_port = local_port
        self.closing = False
        self.closed = False
        self._reactor = reactor
        self._latency = latency
        self._lost = False
        self._lost_waiters: list[SimWaiter] = []
        self._pulling = False
        self._delivering = False
        self._paused = False
        self._silent = False
        self._eof_sent = False
        self._eof_arrived = False
        self._eof_told = False
        self._arrived = bytearray()
        self._on_the_way = 0
        self._cancel_flush_timeout: Callable[[], None] = nothing

    def start(self) -> None:
        """Start the link: it is given its transport."""
        self._call(self.link.connection_made, self)

    # --- The contract --------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Pull in the next turn."""
        if not self._pulling and not self.closed:
            self._reactor.soon(self._pull)
            self._pulling = True

    def pause_reading(self) -> None:
        """Deliver nothing more for now."""
        self._paused = True

    def resume_reading(self) -> None:
        """Go on delivering."""
        self._paused = False
        self._deliver_soon()

    def close(self) -> None:
        """Send the rest within `FLUSH_TIMEOUT`, then close."""
        if not self.closing and not self.closed:
            self.closing = True
            reactor = self._reactor
            self._cancel_flush_timeout = reactor.call_at(reactor.now() + FLUSH_TIMEOUT, self.abort)
            self.wake()

    def abort(self) -> None:
        """Close now."""
        self._shut(None)

    # --- Faults and more, for tests ------------------------------------------------------------------------

    def reset(self) -> None:
        """Break the connection: both ends lose it with ConnectionResetError."""
        for end in (self, self.peer):
            end._eof_sent = True
            end._shut(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    def black_hole(self) -> None:
        """Lose, from now on and without a word, whatever either end sends."""
        self._silent = self.peer._silent = True

    def send_eof(self) -> None:
        """Half-close: send nothing more, but go on receiving."""
        if not self._eof_sent:
            self._eof_sent = True
            self._travel(self.peer._arrive_eof)

    async def wait_lost(self) -> None:
        """Wait until the link was told that the connection is lost."""
        if not self._lost:
            waiter = self._reactor.waiter(nothing)
            self._lost_waiters.append(waiter)
            await waiter.wait()

    # --- Sending -------------------------------------------------------------------------------------------

    def _pull(self) -> None:
        self._pulling = False
        if self.closed or self.peer._on_the_way >= CAPACITY:
            return
        data = self._call(self.link.data_to_send)
        if data:
            self._send(bytes(data))
        if self.closing and not self._pulling and not self.closed:
            self._shut(None)

    def _send(self, data: bytes) -> None:
        if self._silent or self._eof_sent:
            return
        self.peer._on_the_way += len(data)
        self._travel(lambda: self.peer._arrive(data))

    def _travel(self, arrive: Callable[[], None]) -> None:
        if self._silent:
            return
        if self._latency:
            self._reactor.call_at(self._reactor.now() + self._latency, arrive)
        else:
            arrive()

    # --- Receiving -----------------------------------------------------------------------------------------

    def _arrive(self, data: bytes) -> None:
        if self.closed:
            if not self.peer.closed:
                self.peer._shut(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
            return
        self._arrived += data
        self._deliver_soon()

    def _arrive_eof(self) -> None:
        self._eof_arrived = True
        self._deliver_soon()

    def _deliver_soon(self) -> None:
        if not self._delivering and (self._arrived or self._eof_arrived):
            self._delivering = True
            self._reactor.soon(self._deliver)

    def _deliver(self) -> None:
        self._delivering = False
        if self._paused or self.closing or self.closed:
            return
        if self._arrived:
            self._deliver_piece()
            self._deliver_soon()
        elif self._eof_arrived and not self._eof_told:
            self._eof_told = True
            self._call(self.link.eof_received)

    def _deliver_piece(self) -> None:
        random = self._reactor.random
        size = len(self._arrived)
        if random.random() < 0.5:
            size = random.randint(1, size)
        piece = self._arrived[:size]
        del self._arrived[:size]
        was_full = self._on_the_way >= CAPACITY
        self._on_the_way -= size
        if was_full:
            self.peer.wake()
        self._call(self.link.data_received, memoryview(piece))
        piece[:] = b"\xdd" * size

    # --- The end -------------------------------------------------------------------------------------------

    def _call(self, method: Callable[..., Any], *args: Any) -> Any:
        try:
            return method(*args)
        except Exception as error:
            self._shut(error)
            self._reactor.report_bug(error)
            return None

    def _shut(self, error: Exception | None) -> None:
        if self.closed:
            return
        self.closed = True
        self._cancel_flush_timeout()
        self.send_eof()
        self._reactor.soon(lambda: self._lose(None if self.closing else error))

    def _lose(self, error: Exception | None) -> None:
        self._reactor.lost(self)
        self._reactor.guard(lambda: self.link.connection_lost(error))
        self._lost = True
        for waiter in self._lost_waiters:
            waiter.resolve(None)
