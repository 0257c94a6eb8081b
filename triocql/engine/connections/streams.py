# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False, nonecheck=True
# cython: freethreading_compatible=False
"""The stream ids of one connection: which are free, which requests are in flight on the others, which are orphans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.engine.phase import Phase
from triocql.engine.requests.telling import spoil
from triocql.errors import ProtocolError
from triocql.protocol.constants import EVENT_STREAM, Opcode

if TYPE_CHECKING:
    from collections.abc import Callable

    import cython

    from triocql.engine.contracts import StreamsOwner
    from triocql.engine.requests.clock import Clock
    from triocql.observability.meters import NodeMeter
    from triocql.protocol.frames import Frame
else:
    from triocql import _cython as cython

if not cython.compiled:
    from triocql.engine.requests.request import Request
    from triocql.metadata.sharding import shard_of

_SENDING, _WAITING, _DONE = Phase.SENDING, Phase.WAITING, Phase.DONE
_EVENT = int(Opcode.EVENT)
_FEW = 256


class Streams:
    """The table of stream ids, and the requests that the transport has not pulled yet.

    An id is taken from the moment its request is sent until its own response arrives, whether or not anybody still
    waits for it: abandoned ids are orphans. One that was given back is `used`: it is taken again only after all that
    are `free`, so that a second response to its request finds nobody instead of the wrong one. The ids above 255 are
    `spare`: taken only where so many are needed, for Python makes such numbers anew each time, and keeps them in lists.

    Attributes:
        layout: what bodies of EXECUTE have more than usual on this connection: see `Features.layout`.
    """

    __slots__ = (
        "_clock",
        "_counted",
        "_outgoing",
        "_target",
        "closed",
        "connection",
        "free",
        "in_flight",
        "layout",
        "meter",
        "open",
        "orphans",
        "spare",
        "used",
    )

    def __init__(self, connection: StreamsOwner, clock: Clock, size: int, meter: NodeMeter) -> None:
        self.connection = connection
        self.meter = meter
        self._clock = clock
        self._outgoing: list[Request] = []
        self.in_flight: dict[int, Request] = {}
        self.orphans: set[int] = set()
        few = min(size, _FEW)
        self.free = list(range(few - 1, -1, -1))  # if it is empty, so are the other two
        self.used: list[int] = []
        self.spare = range(few, size)
        self.open = True
        self.closed = False
        self.layout = 0
        self._target: Target | None = None
        self._counted = 0

    def send(self, request: Request) -> None:
        """Take a stream id and put `request` into the next batch. What has ended is not sent."""
        if request.phase is _DONE:
            return
        request.at = self.meter
        if self.closed:
            request.lost(self.connection, self.connection.end_error, written=False)
            return
        # What may fail comes first: then nothing has changed.
        if request.layout != self.layout:
            request.fit(self.layout)
        armed = self._clock.armed
        if request.deadline < armed:
            self._clock.watch(request.deadline)
        if not self._outgoing:
            self.connection.wake()
        if len(self.free) == 1:
            self._refill()
        request.stream = stream = self.free.pop()
        request.phase = _SENDING
        request.holder = self
        self.in_flight[stream] = request
        self._outgoing.append(request)
        if self._target is not None:
            self._target.load += 1
            self._counted += 1

    def release(self, request: Request, phase: Phase) -> None:
        """Let `request` go (`Holder`): unsent, its id is free again; sent, its id is an orphan's."""
        stream = request.stream
        if self.in_flight.get(stream) is not request:
            return
        del self.in_flight[stream]
        if phase is _SENDING:
            self.free.append(stream)
        else:
            self.orphans.add(stream)
        self._count()
        self.connection.released()

    def take(self) -> list[Frame]:
        """Return the frames of every request that is still wanted; from here on they count as written."""
        outgoing, self._outgoing = self._outgoing, []
        frames, now = [], self._clock.now()
        for request in outgoing:
            if request.phase is _SENDING and request.holder is self:
                if request.is_unwanted():
                    request.abandon()
                    continue
                request.phase = _WAITING
                request.sent = now
                frames.append((request.stream, request.flags, request.opcode, request.body))
            elif request.phase is _DONE:  # the stack may have been at its end when it was to be let go of
                self.release(request, _SENDING)
        return frames

    def dispatch(self, frames: list[Frame], now: float) -> None:
        """Hand each response, read `now`, to its request; raises ProtocolError for one that belongs to no request."""
        self.meter.moment.now = now
        connection, in_flight, free, used = self.connection, self.in_flight, self.free, self.used
        for stream, flags, opcode, body in frames:
            request = in_flight.get(stream)
            if request is not None and request.phase is _WAITING:
                del in_flight[stream]
                (used if free else free).append(stream)
                request.holder = None
                try:
                    request.answered(connection, opcode, flags, body)
                except Exception as bug:
                    spoil(request, bug)
            elif stream in self.orphans:
                self.orphans.discard(stream)
                (used if free else free).append(stream)
            elif stream == EVENT_STREAM and opcode == _EVENT:
                connection.pushed(flags, body)
            elif request is not None and request.phase is _DONE:  # as an orphan that could not be made one
                del in_flight[stream]
                (used if free else free).append(stream)
            else:
                raise ProtocolError(
                    f"{connection.name} sent a response (opcode {opcode:#04x}) on stream {stream}, "
                    "where no request is waiting"
                )
            if self.closed:
                return
        self._count()

    def count_for(self, target: Target | None) -> None:
        """Count what is in flight and what was abandoned as the load of this target, and of no other."""
        if self._target is not None:
            self._target.load -= self._counted
        self._target = target
        self._counted = 0
        self._count()

    def _count(self) -> None:
        """Have the target know how many are left."""
        if self._target is not None:
            count = len(self.in_flight) + len(self.orphans)
            self._target.load += count - self._counted
            self._counted = count

    def _refill(self) -> None:
        """Let the ids be taken that were given back, the first of them first; if there are none, the spare ones."""
        if self.used:
            self.used.reverse()
            self.free[:0] = self.used
            self.used.clear()
        else:
            self.free[:0] = self.spare[:_FEW][::-1]
            self.spare = self.spare[_FEW:]

    def close(self) -> list[Request]:
        """Let go of everything, for good; return what was in flight."""
        self.open = False
        self.closed = True
        requests = list(self.in_flight.values())
        for request in requests:
            request.holder = None
        self.in_flight.clear()
        self.orphans.clear()
        self._outgoing.clear()
        self._count()
        return requests


class Target:
    """The target of requests to one node, or to one shard of it: the connection whose turn it is, for some more in a
    row.

    A batch on one connection costs less than the same requests spread over several.

    Args:
        renew: called with a request when the turn is over: sends it to the connection whose turn comes next, if any
            has room, and returns whether it has.

    What a choice among nodes depends on is here, and nowhere behind it: with hundreds of nodes, each place in memory
    that is looked at takes its time.

    Attributes:
        streams: the tables of all connections to the node, or to the shard.
        shards: the targets of the node's shards, by their numbers; [] if it has none.
        has_streams: whether there are any of them.
        rank: the node's place among others, the smallest first.
        load: how many requests the node has not answered yet, abandoned ones included, as of its last batch of
            answers; 0 for a shard.
    """

    __slots__ = (
        "_ignore_msb",
        "_left",
        "_renew",
        "_shard_count",
        "_streams",
        "_threshold",
        "has_streams",
        "load",
        "rank",
        "shards",
        "streams",
    )

    def __init__(self, renew: Callable[[Request], bool] | None = None) -> None:
        self.streams: list[Streams] = []
        self.shards: list[Target] = []
        self.has_streams = False
        self.rank = 0
        self.load = 0
        self._shard_count = 0
        self._ignore_msb = 0
        self._renew = renew
        self._streams: Streams | None = None
        self._left = 0
        self._threshold = 0

    def aim(self, tables: list[Streams]) -> None:
        """Lead to these tables from now on."""
        self.streams = tables
        self.has_streams = bool(tables)

    def begin(self, streams: Streams | None, count: int, threshold: int) -> None:
        """Send the next `count` requests to `streams`, as long as fewer than `threshold` are in flight there."""
        self._streams = streams
        self._left = count
        self._threshold = threshold

    def send(self, request: Request) -> bool:
        """Send `request` if the turn is not over; return whether it was sent."""
        streams = self._streams
        if streams is None or self._left == 0 or not streams.open or not streams.free:
            return False
        if len(streams.in_flight) >= self._threshold:
            return False
        self._left -= 1
        streams.send(request)
        return True

    def serve(self, request: Request) -> bool:
        """Send `request`, if need be to the connection whose turn comes next; return whether it was sent."""
        return self.send(request) or (self._renew is not None and bool(self._renew(request)))

    # --- Shards --------------------------------------------------------------------------------------------

    def divide(self, shard_count: int, ignore_msb: int, shards: list[Target]) -> None:
        """Have so many shards from now on; none if there are 0."""
        self.shards = shards
        self._shard_count = shard_count
        self._ignore_msb = ignore_msb

    def shard_of(self, token: int) -> int:
        """Return the shard that has the partitions with `token`; -1 if the node has none."""
        return shard_of(token, self._shard_count, self._ignore_msb) if self._shard_count else -1

    def serve_at(self, shard: int, request: Request) -> bool:
        """Send `request` to a shard or, where that has no connection with room, to another one of the node; return
        whether it was sent. -1 is for any shard, as is a number that the node has none for."""
        if 0 <= shard < len(self.shards):
            target = self.shards[shard]
            if target.serve(request):
                return True
        return self.serve(request)

    def count(self) -> int:
        """Return how many requests were not answered yet, abandoned ones included."""
        count = 0
        for streams in self.streams:
            count += len(streams.in_flight) + len(streams.orphans)
        return count


class Turn:
    """The node whose turn it is, by its target: what comes goes there until that takes no more.

    Attributes:
        routes: where what has a partition goes instead; None if there is no choice.
        layout: that of the connections, as far as they are alike: that of the newest one.
    """

    __slots__ = ("layout", "routes", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.layout = 0
        self.routes: Any = None
