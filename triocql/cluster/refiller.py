"""Keeps the pool of one node full: dials what is missing, one connection at a time, and backs off."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from triocql.abc import Waiter
from triocql.cluster.backoff import BackOff
from triocql.cluster.connector import Connector
from triocql.cluster.heartbeat import Heartbeat
from triocql.cluster.permits import Permits
from triocql.cluster.topology import ForeignNode
from triocql.cluster.waiting import nothing, until
from triocql.engine.connections.connection import Connection
from triocql.engine.connections.pool import Pool
from triocql.engine.executing.executor import Executor
from triocql.engine.routing.router import Router
from triocql.errors import Attempt, ConnectError, Error, UnsupportedVersion
from triocql.metadata.events import Connected, DialFailed, Disconnected
from triocql.metadata.node import NodeState
from triocql.metadata.states import Sign
from triocql.observability.logs import get_logger

logger = get_logger(__name__)

# A user's request brings the next attempt forward, but not more often than this, in seconds.
_NUDGE_EVERY = 1.0
# A connection that ends sooner, in seconds, was a failed attempt.
_LASTING = 2.0
# How long a node that came back may take to prepare statements before it gets requests, in seconds.
_INTRODUCTION = 1.0
# Less than this, in seconds, is 0.0 s to a reader of the log.
_SHORTEST_TOLD = 0.05


class PoolRefiller:
    """One background task a node. Only this task dials the node, so that there are never two loops doing it."""

    def __init__(
        self, connector: Connector, router: Router, executor: Executor, dials: Permits, pool: Pool
    ) -> None:
        self.pool = pool
        self._reactor = connector.reactor
        self._connector = connector
        self._router = router
        self._hub = connector.hub
        self._executor = executor
        self._keyspaces = executor.keyspaces
        self._dials = dials
        self._back_off = BackOff(connector.options)  # of attempts that gave no connection that lasted
        self._counted = -inf
        self._told_up = -inf
        self._refused = False
        self._last_dial = -inf
        self._due = -inf
        self._under_way = False
        self._lost_meanwhile = False
        self._waiter: Waiter[None] | None = None
        self._tried = False
        self._trying: Waiter[None] | None = None
        self._stopped = False
        self._cancel: Callable[[], None] | None = None
        pool.on_need = self._needed
        pool.on_lost = self._lost
        pool.dialing = True  # until `run` has seen whether there is a need

    def start(self) -> None:
        """Start the task."""
        self._cancel = self._reactor.spawn(self.run)

    def stop(self) -> None:
        """Dial no more, and give up the dial that is under way."""
        self._stopped = True
        self.pool.dialing = False
        self.pool.on_need = self.pool.on_lost = None
        self._was_tried()
        if self._cancel is not None:
            self._cancel()

    async def run(self) -> None:
        """Dial whenever a connection is missing and a dial is due, until the session ends."""
        self.pool.dialing = self.pool.missing
        while not self._is_over:
            if self.pool.missing and self._reactor.now() >= self._due:
                await self._dial()
            else:
                await self._pause()

    def adopt(self, connection: Connection) -> None:
        """Put a connection into the pool, and watch over it from now on."""
        if self.pool.add(connection):
            self._hub.show(self.pool.node, Sign.CONNECTED)
            logger.info("connected to %s", connection.name)
            meter = connection.meter
            meter.connected += 1
            meter.reconnected += meter.reconnected < meter.lost
            if self._hub.listeners:
                self._hub.publish(Connected(self.pool.node))
            self._reactor.spawn(Heartbeat(self._reactor, connection, self._connector.options.connection).run)
            self._was_tried()
            self._router.on_connected()
        else:
            self._lost(connection)

    async def tried(self, by: float) -> None:
        """Wait until there was a connection, or a dial has failed; until `by` at most: then the node is down."""
        if self._tried:
            return
        self._trying = waiter = self._reactor.waiter(nothing)
        try:
            await until(self._reactor, waiter, by, None)
        finally:
            self._trying = None
        if not self._tried:
            self._hub.show(self.pool.node, Sign.DIAL_FAILED)

    def _was_tried(self) -> None:
        self._tried = True
        if self._trying is not None:
            self._trying.resolve(None)

    @property
    def has_moved(self) -> bool:
        """Whether the node is to be dialled at another address by now."""
        return self.pool.address != self.pool.node.address

    def up(self) -> None:
        """The cluster says that the node is up: dial now, and let the back-off begin anew. If it is dialled already and
        that fails, it is dialled once more soon."""
        self._hub.show(self.pool.node, Sign.SAID_UP)
        now = self._reactor.now()
        often = now - self._told_up < _NUDGE_EVERY
        self._told_up = now
        self._back_off.reset()
        self._due = min(self._due, self._last_dial + _NUDGE_EVERY if often else now)
        self._lost_meanwhile = True
        self._wake(now)

    def resized(self) -> None:
        """The pool has another size: dial what is missing."""
        self._wake(self._reactor.now())

    @property
    def _is_over(self) -> bool:
        """Whether no connection is wanted any more. On Trio, a task that was cancelled takes one step more."""
        return self._stopped or self._router.ending is not None

    # --- Dialling ------------------------------------------------------------------------------------------

    async def _dial(self) -> None:
        """Dial when it is this node's turn."""
        self.pool.dialing = self._under_way = True
        try:
            await self._dials.acquire()
        except BaseException:
            self._end()
            raise
        try:
            if self._is_over:
                self._end()
            else:
                await self._dial_now()
        finally:
            self._dials.release()

    async def _dial_now(self) -> None:
        self._last_dial = now = self._reactor.now()
        self._lost_meanwhile = False
        keyspace = self._keyspaces.current
        try:
            connection = await self._connector.open(self.pool.node, keyspace)
            await self._introduce(connection)
        except ConnectError as error:
            self._end()
            self._failed(error, now)
        except BaseException:
            self._end()
            raise
        else:
            self._end()
            self._refused = False
            if self._keyspaces.current != keyspace or self._is_over or not self.pool.missing:
                connection.abort(
                    Error(
                        "it was not wanted any more, or the session changed its keyspace, while it was made"
                    )
                )
            else:
                self.adopt(connection)

    async def _introduce(self, connection: Connection) -> None:
        """Have a node that takes requests again prepare what it will be asked for; let it go on if that takes long."""
        texts = self._executor.preparing.lately()
        if not texts or self.pool.has_open() or not self._connector.options.reprepare_on_up:
            return
        waiter = self._reactor.waiter(nothing)
        try:
            self._executor.spreading.on(connection, texts, lambda: waiter.resolve(None))
            await until(self._reactor, waiter, self._reactor.now() + _INTRODUCTION, None)
        except BaseException:
            connection.abort(Error("the connection was given up before it was ready"))
            raise

    def _end(self) -> None:
        self.pool.dialing = self._under_way = False

    def _failed(self, error: ConnectError, began: float) -> None:
        now = self._reactor.now()
        self._connector.meters.node(self.pool.node).failed_dials += 1
        self._refused = True
        unfit = isinstance(error, (ForeignNode, UnsupportedVersion))
        self._hub.show(self.pool.node, Sign.REFUSED if unfit else Sign.DIAL_FAILED)
        self._due = inf if self._is_unfit else now + self._delay(now)
        if self._lost_meanwhile and not self._is_unfit:
            # The node was there after this dial had begun: what failed says nothing of it, and who waits waits on.
            self._due = max(now, began + _NUDGE_EVERY)
            self.pool.dialing = True
        following = "left alone" if self._is_unfit else f"dialled again in {self._due - now:.1f} s"
        self.pool.last_failure = Attempt(self.pool.node, error, now - began, following)
        self._was_tried()
        if not self._is_over:
            self._tell(error, self._due - now)
        self._router.on_dial_failed()

    @property
    def _is_unfit(self) -> bool:
        """Whether a dial would be in vain until something has changed there."""
        return self.pool.node.state is NodeState.FORCED_DOWN

    def _tell(self, error: ConnectError, wait: float) -> None:
        name, failure = self.pool.name, str(error)
        if self._hub.listeners:
            self._hub.publish(DialFailed(self.pool.node, error, wait))
        if self._is_unfit:
            logger.warning("%s is left alone until it is up again or has changed: %s", name, failure)
        elif wait < _SHORTEST_TOLD:
            logger.warning("could not connect to %s, trying again now: %s", name, failure)
        else:
            logger.warning("could not connect to %s, trying again in %.1f s: %s", name, wait, failure)

    def _delay(self, now: float) -> float:
        """Count a failed attempt, and return the seconds until the next one."""
        self._counted = now
        return self._back_off.next()

    async def _pause(self) -> None:
        """Wait until something is needed or, if a connection is missing, until the next dial is due."""
        self._waiter = waiter = self._reactor.waiter(nothing)
        try:
            await until(self._reactor, waiter, self._due if self.pool.missing else inf, None)
        finally:
            self._waiter = None

    def _lost(self, connection: Connection) -> None:
        """A connection is gone (`Pool.on_lost`): replaced at once if it lasted, else a failed attempt."""
        now = self._reactor.now()
        if self._hub.listeners:
            self._hub.publish(Disconnected(self.pool.node, connection.error))
        connection.meter.lost += 1
        if not self.pool.has_open():
            self._hub.show(self.pool.node, Sign.LOST)
        if now - connection.began >= _LASTING:
            self._back_off.reset()
            self._due = now
        elif connection.began >= self._counted:  # of those that end together one counts
            self._due = self._last_dial + max(_NUDGE_EVERY, self._delay(now))
        self._lost_meanwhile = True
        self._wake(now)

    def _needed(self) -> None:
        """Somebody waits for a connection (`Pool.on_need`): dial now, but not in a tight loop."""
        if not self._is_unfit:
            self._due = min(self._due, self._last_dial + _NUDGE_EVERY)
            self._wake(self._reactor.now())

    def _wake(self, now: float) -> None:
        if not self._under_way:
            # After a failure, requests wait for a dial only if it begins now.
            self.pool.dialing = self.pool.missing and (self._due <= now or not self._refused)
        if self._waiter is not None:
            self._waiter.resolve(None)
