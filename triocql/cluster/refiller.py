"""Keeps the pool of one node full: dials what is missing, one connection at a time, and backs off."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from triocql.abc import Waiter
from triocql.cluster.allowance import Allowance
from triocql.cluster.backoff import BackOff
from triocql.cluster.connector import Connector
from triocql.cluster.filling import Filling
from triocql.cluster.heartbeat import Heartbeat
from triocql.cluster.permits import Permits
from triocql.cluster.topology import ForeignNode
from triocql.cluster.waiting import nothing, until
from triocql.cluster.ways import ShardPort
from triocql.engine.connections.connection import Connection, State
from triocql.engine.connections.pool import Pool, Trouble
from triocql.engine.executing.executor import Executor
from triocql.engine.routing.router import Router
from triocql.errors import Attempt, ConnectError, Error, UnsupportedVersion
from triocql.metadata.events import Connected, DialFailed, Disconnected
from triocql.metadata.node import NodeState
from triocql.metadata.sharding import Sharder
from triocql.metadata.states import Sign
from triocql.observability.logs import get_logger

logger = get_logger(__name__)

DRAIN = 30.0
"""Seconds that what is in flight gets on connections that are not wanted any more."""


# A user's request brings the next attempt forward, but not more often than this, in seconds.
_NUDGE_EVERY = 1.0
# A connection that ends sooner, in seconds, was a failed attempt.
_LASTING = 2.0
# How long a node that came back may take to prepare statements before it gets requests, in seconds.
_INTRODUCTION = 1.0
# The part of the connect timeout that a dial of the shard-aware port may take: the node is dialled after that.
_PART = 0.25
# Other shards again within so many seconds, and it is no restart of the node.
_SETTLED = 10.0
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
        self._shard_port = ShardPort(pool, connector.options)
        self._filling = Filling(pool, connector.options)
        self._allowance = Allowance(pool)
        self._divided = -inf
        self._counted = -inf
        self._told_up = -inf
        self._refused = False
        self._last_dial = -inf
        self._due = -inf
        self._in_vain_until = -inf
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
            if self.pool.missing and self._reactor.now() >= self._next:
                await self._dial()
            else:
                await self._pause()

    def adopt(self, connection: Connection) -> None:
        """Put a connection into the pool, and watch over it from now on. If its shard has enough of them, it is spare.

        One that tells of other shards than before has all connections to those closed that are no more.
        """
        if connection.state is not State.OPEN:
            self._lost(connection)
            return
        now = self._reactor.now()
        stale = [] if connection.sharder == self.pool.sharder else self._divide(connection, now)
        if not self.pool.has_place(connection.shard):
            self._in_vain_until = now + self._filling.keep(connection)
            return
        self.pool.add(connection)
        self._router.turn.layout = connection.streams.layout
        self._hub.show(self.pool.node, Sign.CONNECTED)
        logger.info("connected to %s", connection.name)
        meter = connection.meter
        meter.connected += 1
        meter.reconnected += meter.reconnected < meter.lost
        if self._hub.listeners:
            self._hub.publish(Connected(self.pool.node))
        self._reactor.spawn(Heartbeat(self._reactor, connection, self._connector.options.connection).run)
        self._filling.added()
        self._was_tried()
        self._router.on_connected()
        self._router.let_go(stale, now + DRAIN)

    def _divide(self, connection: Connection, now: float) -> list[Connection]:
        """Have the pool follow what a connection tells of the node's shards; return the connections that are not the
        pool's any more."""
        stale = self._router.divide(self.pool, connection.sharder)
        if stale:
            logger.info("%s has other shards than before: %s", self.pool.name, _shown(connection.sharder))
            if now - self._divided < _SETTLED:
                # As where an address leads to several nodes. Each change has all shards dialled anew.
                self._due = now + self._delay(now)
            self._divided = now
        return stale

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
        """The cluster says that the node is up: dial now, or soon if it says so often, and let the back-off begin anew;
        who asks meanwhile waits for that. If it is dialled already and that fails, it is dialled once more soon."""
        self._hub.show(self.pool.node, Sign.SAID_UP)
        now = self._reactor.now()
        often = now - self._told_up < _NUDGE_EVERY
        self._told_up = now
        self._back_off.reset()
        self._refused = False
        self._due = min(self._due, self._last_dial + _NUDGE_EVERY if often else now)
        self._lost_meanwhile = True
        self._wake(now)

    def resized(self) -> None:
        """The pool has another size: dial what is missing."""
        self._wake(self._reactor.now())

    @property
    def _next(self) -> float:
        """When the next dial is due, and allowed. Where the node gives all to shards that have enough, neither requests
        nor what the cluster says bring it forward, as long as there are connections."""
        due = max(self._due, self._in_vain_until) if self.pool.has_open() else self._due
        return max(due, self._allowance.next)

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
        self._allowance.spend(now)
        self._lost_meanwhile = False
        keyspace = self._keyspaces.current
        try:
            connection = await self._open(keyspace, now)
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
            if self._is_over or not self.pool.missing:
                connection.abort(Error("it was not wanted any more while it was made"))
            else:
                self._keyspaces.follow(connection, keyspace)
                self.adopt(connection)

    async def _open(self, keyspace: str | None, now: float) -> Connection:
        """Return a connection to the node: to the shard that lacks one, where this side can say which one it is."""
        node, port = self.pool.node, self._shard_port
        way = port.way(now, by_chance=self._filling.takes_chances)
        if way is not None:
            by = now + self._connector.options.connection.connect_timeout * _PART
            try:
                connection = await self._connector.open(node, keyspace, by, way=way)
            except ConnectError as error:
                port.failed(error)
                self.pool.trouble = Trouble.of(error, self._reactor.now())
                if self._hub.listeners:
                    self._hub.publish(DialFailed(node, error, 0.0))
            else:
                port.landed(way, connection, self._reactor.now())
                return connection
        try:
            connection = await self._connector.open(node, keyspace)
        except ConnectError:
            port.compared(now, reached=False)
            raise
        port.compared(self._reactor.now(), reached=True)
        return connection

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
            self._refused = False
            self.pool.dialing = True
        following = "left alone" if self._is_unfit else f"dialled again in {self._due - now:.1f} s"
        self.pool.trouble = Trouble.of(error, now)
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
            await until(self._reactor, waiter, self._next if self.pool.missing else inf, None)
        finally:
            self._waiter = None

    def _lost(self, connection: Connection) -> None:
        """A connection is gone (`Pool.on_lost`): replaced at once if it lasted, else a failed attempt."""
        now = self._reactor.now()
        if self._hub.listeners:
            self._hub.publish(Disconnected(self.pool.node, connection.error))
        connection.meter.lost += 1
        if connection.error is not None:
            self.pool.trouble = Trouble.of(connection.error, now)
        self._in_vain_until = -inf
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


def _shown(sharder: Sharder | None) -> str:
    return "none" if sharder is None else f"{sharder.shard_count} of them, {sharder.ignore_msb} bits ignored"
