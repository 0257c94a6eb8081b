"""Which connection a request goes to, and what becomes of it when that does not end well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from triocql.config.options import PoolOptions
from triocql.engine.connections import Target
from triocql.engine.connections.connection import Connection
from triocql.engine.connections.pool import Pool
from triocql.engine.phase import Phase
from triocql.engine.requests.clock import Clock
from triocql.engine.requests.queue import RequestQueue
from triocql.engine.requests.single import Wait
from triocql.engine.requests.telling import call, tell
from triocql.errors import Error, InternalError, NoNodeAvailable, QueueFull, SessionClosed
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from triocql.engine.requests import Request

logger = get_logger(__name__)

# How many requests in a row go to one node before it is the next one's turn.
_IN_A_ROW = 32


class Router:
    """Sends requests to the nodes in turn, queues them when all is full, and tries again what may be tried again."""

    def __init__(self, clock: Clock, options: PoolOptions, fill_threshold: int) -> None:
        self.clock = clock
        self.target = Target()
        self.pools: list[Pool] = []
        self.queue: RequestQueue[Request] = RequestQueue(clock)
        self.waiting: RequestQueue[Request | Wait] = RequestQueue(clock)
        self.ending: Exception | None = None
        self.on_drained: list[Callable[[], None]] = []
        self.reading = False
        self.after_reading: list[Callable[[], None]] = []
        self._options = options
        self._fill_threshold = fill_threshold
        self._position = 0
        self._draining: set[Connection] = set()

    # --- Sending -------------------------------------------------------------------------------------------

    def submit(self, request: Request) -> None:
        """Send `request`, or queue it, or fail it. Never raises."""
        tried = request.tried
        if not tried and self.target.send(request):
            return
        connection = None if len(self.queue) else self.pick(tried)
        if connection is None:
            self._hold(request)
            return
        connection.send(request)
        self.target.begin(connection.streams, _IN_A_ROW - 1, self._fill_threshold)

    def pick(self, tried: Iterable[str] = ()) -> Connection | None:
        """Return a connection with room, of a node that was not tried yet if there is one."""
        pools = self.pools
        count = len(pools)
        fallback = None
        self._position += 1
        for index in range(count):
            pool = pools[(self._position + index) % count]
            connection = pool.pick()
            if connection is not None:
                if pool.name not in tried:
                    return connection
                fallback = fallback or connection
        return fallback

    def add(self, pool: Pool) -> None:
        """Send requests to the node of `pool`, too."""
        self.pools.append(pool)

    def remove(self, pool: Pool) -> None:
        """Send nothing more to the node of `pool`: its connections close once what is in flight on them has ended. What
        waited for one of them waits for those of other nodes, or fails if they cannot be had either.
        """
        self.pools.remove(pool)
        call([connection.drain for connection in pool.connections])
        if len(self.queue) or len(self.waiting):
            self._find_others()

    @property
    def names(self) -> str:
        """The nodes, for messages."""
        return ", ".join(pool.name for pool in self.pools)

    @property
    def is_full(self) -> bool:
        """Whether the queue takes no more requests."""
        return len(self.queue) >= self._options.max_queue or self.queue.size >= self._options.max_queue_bytes

    def _hold(self, request: Request) -> None:
        if self.ending is not None:
            request.fail(self.ended_error())
        elif self._has_open():
            if self.is_full:
                request.fail(self._queue_full())
            else:
                # From now on, who comes later waits behind those that wait.
                self.target.begin(None, 0, 0)
                self.queue.enter(request, Phase.QUEUED)
        elif self._call_for_connections():
            self.waiting.enter(request, Phase.CONNECTING)
        else:
            request.fail(self._no_node(request))

    def _call_for_connections(self) -> bool:
        """Have the keepers dial at once; whether any of them does."""
        call(pool.on_need for pool in self.pools if pool.on_need is not None)
        return any(pool.dialing for pool in self.pools)

    def drain(self, reason: Exception) -> None:
        """Take nothing more because of `reason`, and fail what is on no connection; each connection closes once what
        is in flight on it has ended. Only the first reason counts."""
        if self.ending is not None:
            return
        self.ending = reason
        if self.pools:
            logger.info("closing a session with %s: %s", self.names, str(reason))
        tell(self._parked(), lambda request: request.fail(self.ended_error()))
        for pool in self.pools:
            pool.on_need = pool.on_lost = None
        call(connection.drain for connection in self.connections())

    def end(self, reason: Exception) -> None:
        """Fail everything that is under way and close every connection, because of `reason`."""
        self.drain(reason)
        call(connection.close for connection in self.connections())

    def connections(self) -> list[Connection]:
        """Return every connection, those that drain included."""
        return [*(c for pool in self.pools for c in pool.connections), *self._draining]

    def ended_error(self) -> Error:
        """Return the error of whatever is asked of a session that has ended, or of what its end cut off."""
        error: Error
        if isinstance(self.ending, SessionClosed):
            error = SessionClosed(str(self.ending))
        else:
            error = InternalError(f"the session cannot go on after a bug: {self.ending!r}")
            error.__cause__ = self.ending
        return error

    def _queue_full(self) -> QueueFull:
        return QueueFull(
            "use execute_concurrent, stream_concurrent or a request nursery, which keep a number of requests under "
            f"way, instead of starting all at once (or raise max_queue, max_queue_bytes): {len(self.queue):,} requests "
            f"({self.queue.size:,} bytes) wait already, and every connection is full"
        )

    def _no_node(self, request: Request) -> NoNodeAvailable:
        error = NoNodeAvailable(f"no connection to any node ({self.names or 'none is known'})")
        failures = tuple(pool.last_failure for pool in self.pools if pool.last_failure is not None)
        error.attempts = failures
        if (past := request.past()) is not None:
            error.attempts = past.attempts + failures
            error.maybe_executed = past.maybe_executed
        return error

    # --- What connections and keepers tell (`Owner`) -------------------------------------------------------

    def on_reading(self) -> None:
        """A batch of responses is about to be given out: what follows from it is put off to its end."""
        self.reading = True

    def on_read(self) -> None:
        """The batch is given out: send what is queued, then do what was put off."""
        self.reading = False
        if self.after_reading or self.queue.held:  # mostly there is neither
            following, self.after_reading = self.after_reading, []
            call((self.on_room, *following))

    def on_room(self) -> None:
        """Send what is queued, as far as there is room."""
        while len(self.queue):
            connection = self.pick()
            if connection is None:
                return
            request = self.queue.first()
            connection.send(request)
            self.queue.release(request, Phase.QUEUED)

    def on_event(self, connection: Connection, body: bytes, flags: int) -> None:
        """Take note of an event. Nothing subscribes to any, so that each is the node's mistake: one is told of."""
        if connection.events == 1:
            logger.warning("%s sends events that it was not asked for; they are ignored", connection.name)

    def on_draining(self, connection: Connection) -> None:
        """Have the connection replaced, unless its node is no one's any more."""
        if self.ending is None and self._is_pooled(connection):
            logger.info(
                "a connection to %s takes no more requests and is replaced: %d were given up on it",
                connection.name,
                len(connection.orphans),
            )
        self._draining.add(connection)
        self._remove(connection)

    def on_lost(self, connection: Connection, error: Exception) -> None:
        """Have the connection replaced."""
        if self.ending is None and self._is_pooled(connection):
            logger.warning("lost a connection to %s: %s", connection.name, str(error) or repr(error))
        self._draining.discard(connection)
        self._remove(connection)
        if self.ending is not None and not self.connections():
            call(tuple(self.on_drained))

    def _remove(self, connection: Connection) -> None:
        for pool in self.pools:
            pool.remove(connection)
        if len(self.queue):
            self._find_others()

    def _find_others(self) -> None:
        """If no connection is left, have what waits wait for the next dial, as what comes now does, or fail."""
        if not self._has_open() and not self._call_for_connections():
            self.on_dial_failed()

    def _is_pooled(self, connection: Connection) -> bool:
        return any(connection in pool.connections for pool in self.pools)

    def _has_open(self) -> bool:
        return any(pool.has_open() for pool in self.pools)

    def on_connected(self) -> None:
        """A pool got a connection: send what waited for one."""
        tell(self.waiting.requests(), self._connect)
        self.on_room()

    def _connect(self, request: Request | Wait) -> None:
        if not isinstance(request, Wait) and request.phase is Phase.CONNECTING:
            request.leave()
            self.submit(request)

    def on_dial_failed(self) -> None:
        """A keeper gave up for now: if nobody else dials and nothing is open, nothing more is to be waited for."""
        if any(pool.dialing or pool.has_open() for pool in self.pools):
            return
        tell(self._parked(), self._give_up)

    def _give_up(self, request: Request | Wait) -> None:
        if not isinstance(request, Wait) and request.phase in (Phase.CONNECTING, Phase.QUEUED):
            request.fail(self._no_node(request))

    def _parked(self) -> tuple[Request | Wait, ...]:
        return *self.waiting.requests(), *self.queue.requests()
