"""The ports at which a node takes connections, and what each of them was like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from triocql.abc import Address, Link, Transport

from .hosts import Host, Listener

Kind = Literal["ordinary", "shard-aware"]


class Accepted(NamedTuple):
    """A connection that was taken.

    Attributes:
        number: its number among all connections of the server.
        time: when, in seconds of the server's clock.
        port: the port of the node that was dialled.
        peer_port: the port of the client.
        shard: the shard that it got to; -1 if the node has none.
        shard_aware: whether it came by the shard-aware port.
        tls: whether it speaks TLS, if the server does.
    """

    number: int
    time: float = 0.0
    port: int = 0
    peer_port: int = 0
    shard: int = -1
    shard_aware: bool = False
    tls: bool = True


@dataclass(eq=False)
class Door:
    """One of a node's ports.

    Attributes:
        address: where it is, or will be when it opens; once it has been open, with the port that it got.
        kind: whether the client's port chooses the shard there.
        tls: whether it speaks TLS, if the server does.
        usual: its port where there are no sockets, unless the address has one.
    """

    address: Address
    kind: Kind = "ordinary"
    tls: bool = True
    usual: int = 9042
    _listener: Listener | None = None

    @property
    def is_open(self) -> bool:
        """Whether it takes connections."""
        return self._listener is not None

    def open(self, host: Host, accept: Callable[[Door, Callable[[], None], int], Link]) -> None:
        """Take connections; `accept` is called with the door, what resets the connection, and the client's port."""
        if self._listener is None:
            self._listener = host.listen(
                self.address, lambda reset, port: accept(self, reset, port), self.usual
            )
            self.address = Address(self.address.host, self._listener.port)

    def close(self) -> None:
        """Take no more connections."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None


class TlsStranger:
    """A link of a port that speaks TLS to a client that does not: it answers with an alert, and closes."""

    _ALERT = bytes.fromhex("15030300020246")  # fatal: protocol_version

    def __init__(self) -> None:
        self._transport: Transport | None = None
        self._unsent = b""

    def connection_made(self, transport: Transport) -> None:
        """Called once with the transport (`Link`)."""
        self._transport = transport

    def data_to_send(self) -> bytes:
        """Hand over the alert (`Link`)."""
        data, self._unsent = self._unsent, b""
        return data

    def data_received(self, data: bytes | memoryview) -> None:
        """Called with bytes that make no sense here (`Link`)."""
        if self._transport is not None:
            self._unsent = self._ALERT
            self._transport.wake()
            self._transport.close()

    def eof_received(self) -> None:
        """Close, too (`Link`)."""
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Called when the connection has ended (`Link`)."""
