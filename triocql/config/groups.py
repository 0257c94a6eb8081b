"""Groups of options: of each connection, of the pools, and of the delays between attempts to connect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from triocql._hints import hinted
from triocql.abc import SocketOption
from triocql.config.checks import is_number, require, require_integer, require_seconds, require_type
from triocql.config.sockets import deviations, read_socket_options, require_keepalive
from triocql.metadata.node import Distance
from triocql.protocol.constants import MAX_FRAME, MAX_INT, VERSIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

Compression: TypeAlias = Literal["lz4", "snappy"]

_STREAM_IDS = 32_768


@hinted()
@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """Options of each single connection.

    Attributes:
        connect_timeout: seconds for opening it, the handshake included.
        protocol_version: 3, 4 or 5, to insist on it; None begins with 5 and steps down as the node says.
        compression: "lz4", or "snappy" (protocol v3 and v4; the extra ``triocql[snappy]``); None for none.
        max_in_flight: the most requests that wait for their answers at the same time.
        max_orphans: with more abandoned requests than this still unanswered, it is replaced.
        max_frame: the longest frame body that is accepted, in bytes.
        heartbeat_interval: the seconds without a byte read after which the node is asked for an answer.
        heartbeat_timeout: the seconds it has to give that answer.
        frame_timeout: the seconds a frame once begun may take, and one more for each MiB of it.
        tcp_nodelay: whether small messages leave at once, and do not wait for the acknowledgement of others.
        tcp_keepalive: whether the operating system probes silent connections; a whole number of seconds is how often.
            Heartbeats find dead connections without it.
        socket_options: more options of TCP sockets, each a level, a name and a value, set before dialling: such as
            ``[(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)]``.

    Raises OptionError for a value that is not allowed.

    >>> ConnectionOptions(compression="lz4").max_in_flight
    2048
    """

    connect_timeout: float = 5.0
    protocol_version: int | None = None
    compression: Compression | None = None
    max_in_flight: int = 2048
    max_orphans: int = 256
    max_frame: int = MAX_FRAME
    heartbeat_interval: float = 30.0
    heartbeat_timeout: float = 5.0
    frame_timeout: float = 30.0
    tcp_nodelay: bool = True
    tcp_keepalive: bool | int = True
    socket_options: Sequence[SocketOption] = ()

    @property
    def watch_interval(self) -> float:
        """The seconds from look to look at what is late."""
        return min(self.heartbeat_interval, self.heartbeat_timeout, self.frame_timeout)

    @property
    def of_sockets(self) -> tuple[SocketOption, ...]:
        """The socket options beside those that every reactor sets, which are TCP_NODELAY and keep-alive."""
        usual = deviations(nodelay=self.tcp_nodelay, keepalive=self.tcp_keepalive)
        return *usual, *self.socket_options

    @property
    def fill_threshold(self) -> int:
        """The number of requests in flight on a connection from which the next one of its node is used, too."""
        return max(1, self.max_in_flight // 2)

    def __post_init__(self) -> None:
        for name in ("connect_timeout", "heartbeat_interval", "heartbeat_timeout", "frame_timeout"):
            require_seconds(getattr(self, name), name)
        version, compression = self.protocol_version, self.compression
        require(version in (None, *VERSIONS), "protocol_version", version, "3, 4, 5 or None")
        require(compression in (None, "lz4", "snappy"), "compression", compression, "'lz4', 'snappy' or None")
        require_integer(self.max_in_flight, "max_in_flight", 1, _STREAM_IDS)
        require_integer(self.max_orphans, "max_orphans", 0, _STREAM_IDS)
        require_integer(self.max_frame, "max_frame", 1024, MAX_INT)
        require_type(self.tcp_nodelay, bool, "tcp_nodelay", "True or False")
        require_keepalive(self.tcp_keepalive)
        object.__setattr__(self, "socket_options", read_socket_options(self.socket_options))


@hinted()
@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """The number of connections, and the bounds of the queue of requests that wait for them.

    Attributes:
        connections_local: connections to each node of the local data centre; they are filled in turn.
        connections_remote: connections to each node of other data centres that the balancing policy allows.
        max_queue: the most requests that wait while every connection is full; one more raises QueueFull.
        max_queue_bytes: the most bytes of them.

    Raises OptionError for a value that is not allowed.
    """

    connections_local: int = 2
    connections_remote: int = 1
    max_queue: int = 10_000
    max_queue_bytes: int = 64 * 1024 * 1024

    @property
    def sizes(self) -> dict[Distance, int]:
        """How many connections a node gets, by its distance."""
        return {
            Distance.LOCAL: self.connections_local,
            Distance.REMOTE: self.connections_remote,
            Distance.IGNORED: 0,
        }

    def __post_init__(self) -> None:
        require_integer(self.connections_local, "connections_local", 1, 1024)
        require_integer(self.connections_remote, "connections_remote", 0, 1024)
        require_integer(self.max_queue, "max_queue", 0, MAX_INT)
        require_integer(self.max_queue_bytes, "max_queue_bytes", 0, 2**63 - 1)


@hinted()
@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectionOptions:
    """The delays before connecting again after a connection was lost or refused: each is twice the one before.

    Attributes:
        base: the first delay in seconds.
        maximum: the longest delay in seconds.
        jitter: the part of each delay by which it is made longer or shorter at random, from 0 to 1.

    Raises OptionError for a value that is not allowed.
    """

    base: float = 1.0
    maximum: float = 60.0
    jitter: float = 0.15

    def __post_init__(self) -> None:
        require_seconds(self.base, "reconnection_base")
        require_seconds(self.maximum, "reconnection_maximum")
        allowed = f"at least reconnection_base ({self.base!r})"
        require(self.maximum >= self.base, "reconnection_maximum", self.maximum, allowed)
        jitter: Any = self.jitter
        require(is_number(jitter) and 0 <= jitter <= 1, "reconnection_jitter", jitter, "a number from 0 to 1")
