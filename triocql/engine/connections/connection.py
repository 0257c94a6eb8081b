"""One connection: its stream ids, what is in flight on them, and what was abandoned."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf

from triocql.abc import Transport
from triocql.config.groups import ConnectionOptions
from triocql.engine.connections import Streams
from triocql.engine.contracts import Owner
from triocql.engine.phase import Phase
from triocql.engine.requests import Request, Response
from triocql.engine.requests.clock import Clock
from triocql.engine.requests.telling import call, expire, report, tell
from triocql.errors import ConnectionLost, Error, ProtocolError
from triocql.metadata.node import Node
from triocql.metadata.sharding import Sharder
from triocql.observability.meters import NodeMeter
from triocql.protocol.features import Features
from triocql.protocol.frames import Frame
from triocql.protocol.framing import Framing


class State(Enum):
    """OPEN takes requests; DRAINING only ends those it has; CLOSED has none."""

    OPEN = "open"
    DRAINING = "draining"
    CLOSED = "closed"


class Connection:
    """A `Link` that multiplexes requests over stream ids. Past `max_orphans` it drains, and its owner replaces it.

    Attributes:
        sharder: how the node divides its partitions among shards; None where it has none, or they are not to be used.
        shard: the shard that the connection leads to; -1 without a sharder.
    """

    def __init__(
        self,
        node: Node,
        framing: Framing,
        clock: Clock,
        limits: ConnectionOptions,
        owner: Owner,
        meter: NodeMeter,
    ) -> None:
        self.node = node
        self.name = node.name
        self.framing = framing
        self.state = State.OPEN
        self.features = Features()
        self.sharder: Sharder | None = None
        self.shard = -1
        self.keyspace: str | None = None
        self.error: Exception | None = None
        self.began = self.last_answer = clock.now()
        self.frame_begun: float | None = None
        self.events = 0
        self.drain_by = inf
        self.on_end: Callable[[], None] | None = None
        self.void = Response(coordinator=self.node)
        self.meter = meter
        self.streams = Streams(self, clock, limits.max_in_flight, meter)
        self.in_flight = self.streams.in_flight
        self.orphans = self.streams.orphans
        self.free = self.streams.free
        self.send = self.streams.send
        self._statistics = node.statistics
        self._clock = clock
        self._max_orphans = limits.max_orphans
        self._owner = owner
        self._transport: Transport | None = None
        clock.add(self)

    def __repr__(self) -> str:
        shard = "" if self.shard < 0 else f" shard {self.shard}"
        return (
            f"<Connection {self.name}{shard} {self.state.value}, {len(self.in_flight)} in flight, "
            f"{len(self.orphans)} orphans>"
        )

    # --- The engine's side -----------------------------------------------------------------------------------

    def agree(self, features: Features) -> None:
        """Go on as was agreed upon in the handshake."""
        self.features = features
        self.streams.layout = features.layout

    @property
    def is_connected(self) -> bool:
        """Whether there is a transport, within TLS if that is used."""
        return self._transport is not None

    @property
    def has_room(self) -> bool:
        """Whether a user's request can be sent now."""
        return self.streams.open and bool(self.free)

    def hold(self, held: bool) -> None:
        """Have no room for requests of users while `held`: the connection is being moved to another keyspace."""
        self.streams.open = self.state is State.OPEN and not held

    @property
    def end_error(self) -> Exception:
        """The error that the connection has ended with."""
        assert self.error is not None, "it has not ended"
        return self.error

    def lost_error(self) -> ConnectionLost:
        """Return the error of what was asked of this connection, which has ended."""
        lost = ConnectionLost(f"the connection to {self.name} ended: {self.error}")
        lost.__cause__ = self.error
        return lost

    def expire(self, now: float) -> tuple[float, int]:
        """End the requests that are due (`Source`)."""
        return expire(tuple(self.in_flight.values()), now, self.node), len(self.in_flight)

    def drain(self, by: float = inf) -> None:
        """Accept no more requests; close once those in flight have ended.

        Args:
            by: the time by which they have to: whoever watches over the connection ends it then. Without it they have
                until their own deadlines.
        """
        self.drain_by = min(self.drain_by, by)
        if self.state is State.OPEN:
            self.state = State.DRAINING
            self.streams.open = False
            self._owner.on_draining(self)
            self._close_if_drained()

    def close(self) -> None:
        """End in order: what is on its way out is flushed, what is in flight fails."""
        self._end(Error("this session closed it"))
        if self._transport is not None:
            self._transport.close()

    def abort(self, error: Exception) -> None:
        """End now because of `error`; every request in flight learns of it."""
        self._end(error)
        if self._transport is not None:
            self._transport.abort()

    # --- What the table of streams tells ---------------------------------------------------------------------

    def wake(self) -> None:
        """The first request of a batch is there."""
        if self._transport is not None:
            self._transport.wake()

    def released(self) -> None:
        """A request was let go of without an answer."""
        if len(self.orphans) > self._max_orphans:
            self.drain()
        self._close_if_drained()
        self._owner.on_room()

    def pushed(self, flags: int, body: bytes) -> None:
        """The server sent an event. Raises ProtocolError if that is too much for the owner."""
        self.events += 1
        self.meter.events += 1
        self._owner.on_event(self, body, flags)

    # --- The reactor's side (`Link`) -------------------------------------------------------------------------

    def connection_made(self, transport: Transport) -> None:
        """Called once with the transport; what was sent before is pulled now (`Link`)."""
        self._transport = transport
        if self.state is State.CLOSED:
            transport.abort()
        else:
            transport.wake()

    def data_to_send(self) -> bytes:
        """Hand over every request that is still wanted, as one batch."""
        try:
            frames = self.streams.take()
            if not frames:
                return b""
            data = self.framing.encode(frames)
        except Exception as bug:
            self.abort(bug)
            report(bug)
            return b""
        self.meter.bytes_sent += len(data)
        return data

    def data_received(self, data: bytes | memoryview) -> None:
        """Called with bytes of the node; hands every response that became complete to its request (`Link`)."""
        if self.state is State.CLOSED:
            return
        now, events, count = self._clock.now(), self.events, 0
        self.meter.bytes_received += len(data)
        self._owner.on_reading()
        try:
            while True:
                frames = self.framing.receive(data)
                count += len(frames)
                if now >= self._statistics.due:
                    self._measure(frames, now)
                self.streams.dispatch(frames, now)
                if not self.framing.has_more or self.streams.closed:
                    break
                data = b""
        except ProtocolError as error:
            self.abort(error)
            return
        except Exception as bug:
            self.abort(bug)
            report(bug)
            return
        finally:
            self._owner.on_read()
        if count > self.events - events:
            self.last_answer = now
        if not self.framing.mid_frame:
            self.frame_begun = None
        elif frames or self.frame_begun is None:
            self.frame_begun = now
        self._close_if_drained()

    def eof_received(self) -> None:
        """End: a node that has stopped sending will not answer."""
        self.abort(ConnectionResetError("the node closed the connection"))

    def connection_lost(self, error: Exception | None) -> None:
        """Called at the end of the connection, by which reason ever."""
        self._end(error or ConnectionResetError("the connection was closed"))

    # --- Inside ----------------------------------------------------------------------------------------------

    def _measure(self, frames: list[Frame], now: float) -> None:
        """Measure how long the node took for one of these responses, if they are such."""
        request = self.in_flight.get(frames[0][0]) if frames else None
        if request is not None and request.phase is Phase.WAITING:
            self._statistics.measured(now - request.sent, now)

    def _close_if_drained(self) -> None:
        if self.state is State.DRAINING and not self.in_flight:
            self.close()

    def _end(self, error: Exception) -> None:
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self.error = error
        self._clock.discard(self)
        requests = self.streams.close()
        call((lambda: self._owner.on_lost(self, error),))
        tell(requests, self._lose)
        if self.on_end is not None:
            call((self.on_end,))

    def _lose(self, request: Request) -> None:
        request.lost(self, self.end_error, written=request.phase is Phase.WAITING)
