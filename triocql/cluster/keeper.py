"""Keeps the connections to one node: dials what is missing, backs off, and watches over what is there."""

from __future__ import annotations

from math import inf

from triocql._logs import get_logger
from triocql.abc import Reactor, Waiter
from triocql.cluster.connector import Connector
from triocql.cluster.exchange import exchange
from triocql.engine.connection import Connection, State
from triocql.engine.executor import Executor
from triocql.engine.pool import Pool
from triocql.engine.router import Router
from triocql.errors import Attempt, ConnectError, ConnectionLost, Error
from triocql.policies.reconnection import ExponentialBackoff
from triocql.protocol.constants import Opcode

logger = get_logger(__name__)

# A user's request brings the next attempt forward, but not more often than this, in seconds.
_NUDGE_EVERY = 1.0
_MIB = 1024 * 1024


class Keeper:
    """One background task a node. Only this task dials the node, so that there are never two loops doing it."""

    def __init__(
        self, reactor: Reactor, connector: Connector, router: Router, executor: Executor, pool: Pool
    ) -> None:
        options = connector.options
        self._reactor = reactor
        self._connector = connector
        self._router = router
        self._executor = executor
        self._pool = pool
        self._limits = options.connection
        self._backoff = ExponentialBackoff(
            options.reconnection.base, options.reconnection.maximum, options.reconnection.jitter
        )
        self._failures = 0
        self._last_dial = -inf
        self._due = -inf
        self._waiter: Waiter[None] | None = None
        pool.on_need = self._needed
        pool.dialing = True  # until `run` has seen whether there is a need

    async def run(self) -> None:
        """Dial whenever a connection is missing and a dial is due, until the session ends."""
        self._pool.dialing = self._pool.missing
        while self._router.ending is None:
            if self._pool.missing and self._reactor.now() >= self._due:
                await self._dial()
            else:
                await self._pause()

    def adopt(self, connection: Connection) -> None:
        """Put a connection into the pool, and watch over it from now on."""
        logger.info("connected to %s", connection.name)
        self._pool.add(connection)
        self._reactor.spawn(self._watch, connection)
        self._router.on_connected()

    # --- Dialling ------------------------------------------------------------------------------------------

    async def _dial(self) -> None:
        self._pool.dialing = True
        began = self._last_dial = self._reactor.now()
        keyspace = self._executor.keyspaces.current
        try:
            connection = await self._connector.open(self._pool.address, keyspace)
        except ConnectError as error:
            self._failed(error, began)
            return
        finally:
            self._pool.dialing = False
        self._failures = 0
        if self._executor.keyspaces.current != keyspace or self._router.ending is not None:
            connection.abort(Error("the session changed its keyspace, or ended, while it was being made"))
        else:
            self.adopt(connection)

    def _failed(self, error: ConnectError, began: float) -> None:
        now = self._reactor.now()
        self._failures += 1
        delay = self._backoff.delay(self._failures)
        self._due = now + delay
        if self._router.ending is None:
            logger.warning(
                "could not connect to %s, trying again in %.1f s: %s", self._pool.name, delay, str(error)
            )
        self._pool.last_failure = Attempt(self._pool.name, error, now - began)
        self._pool.dialing = False
        self._router.on_dial_failed()

    async def _pause(self) -> None:
        """Wait until something is needed or, if a connection is missing, until the next dial is due."""
        self._waiter = waiter = self._reactor.waiter(lambda: None)
        cancel = (
            self._reactor.call_at(self._due, lambda: waiter.resolve(None)) if self._pool.missing else None
        )
        try:
            await waiter.wait()
        finally:
            self._waiter = None
            if cancel is not None:
                cancel()

    def _needed(self) -> None:
        """A connection was lost, or somebody waits for one (`Pool.on_need`): dial now, but not in a tight loop."""
        if self._waiter is None:
            return
        now = self._reactor.now()
        soon = max(now, self._last_dial + _NUDGE_EVERY)
        if self._failures:
            soon = min(soon, self._due)
        self._due = soon
        # After a failure, requests wait for a dial only if it begins now.
        self._pool.dialing = soon <= now or not self._failures
        self._waiter.resolve(None)

    # --- Watching ------------------------------------------------------------------------------------------

    async def _watch(self, connection: Connection) -> None:
        """Ask for a sign of life when nothing was read for a while; end a connection whose frame does not end."""
        limits = self._limits
        interval = min(limits.heartbeat_interval, limits.heartbeat_timeout, limits.frame_timeout)
        while connection.state is not State.CLOSED:
            await self._rest(connection, interval)
            now = self._reactor.now()
            if self._stalled(connection, now):
                connection.abort(
                    ConnectionLost(f"{connection.name} began a frame and did not end it in time")
                )
            elif now - connection.last_read >= limits.heartbeat_interval:
                if connection.free:
                    await self._heartbeat(connection)
                elif not connection.in_flight:
                    connection.abort(ConnectionLost(f"{connection.name} answers none of what was given up"))

    async def _rest(self, connection: Connection, seconds: float) -> None:
        """Let time pass, but no longer than the connection lasts."""
        waiter = self._reactor.waiter(lambda: None)
        connection.on_end = lambda: waiter.resolve(None)
        cancel = self._reactor.call_at(self._reactor.now() + seconds, connection.on_end)
        try:
            await waiter.wait()
        finally:
            cancel()

    def _stalled(self, connection: Connection, now: float) -> bool:
        if connection.frame_begun is None:
            return False
        allowed = self._limits.frame_timeout + connection.wire.frame_size_pending / _MIB
        return now - connection.frame_begun > allowed

    async def _heartbeat(self, connection: Connection) -> None:
        timeout = self._limits.heartbeat_timeout
        deadline = self._reactor.now() + timeout
        try:
            await exchange(self._reactor, connection, Opcode.OPTIONS, b"", deadline=deadline, timeout=timeout)
        except Error as error:
            if connection.last_read < deadline - timeout:
                connection.abort(
                    ConnectionLost(f"{connection.name} gave no sign of life for {timeout:g} s: {error}")
                )
