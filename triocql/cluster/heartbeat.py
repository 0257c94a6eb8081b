"""Watches over one connection: asks for a sign of life where nothing comes, and ends what is dead."""

from __future__ import annotations

from triocql.abc import Reactor
from triocql.cluster.query import InternalQueries
from triocql.cluster.waiting import nothing, until
from triocql.config.groups import ConnectionOptions
from triocql.engine.connections.connection import Connection, State
from triocql.errors import ConnectionLost, Error
from triocql.protocol.constants import Opcode
from triocql.protocol.requests import options

_MIB = 1024 * 1024


class Heartbeat:
    """One background task a connection, which ends with it.

    It asks for an answer after a while without one, and ends a connection whose frame does not end, or that should
    have drained by now. Events are no sign of life, as they answer nothing; that an answer is on its way is one.
    """

    def __init__(self, reactor: Reactor, connection: Connection, limits: ConnectionOptions) -> None:
        self._reactor = reactor
        self._connection = connection
        self._limits = limits

    async def run(self) -> None:
        """Watch, until the connection has ended."""
        limits = self._limits
        while self._connection.state is not State.CLOSED:
            await self._rest(limits.watch_interval)
            now = self._reactor.now()
            if self._connection.drain_by <= now:
                self._lose("is not wanted any more, and did not end what was in flight in time")
            elif self._stalled(now):
                self._lose("sent the beginning of a frame, and not the rest of it in time")
            elif self._silent(now - limits.heartbeat_interval):
                await self._ask(now - self._connection.last_answer)

    async def _rest(self, seconds: float) -> None:
        """Let time pass, but no longer than the connection lasts."""
        waiter = self._reactor.waiter(nothing)
        self._connection.on_end = lambda: waiter.resolve(None)
        await until(self._reactor, waiter, self._reactor.now() + seconds, None)

    def _stalled(self, now: float) -> bool:
        """Return whether a frame takes longer than one of its length may."""
        connection = self._connection
        if connection.frame_begun is None:
            return False
        allowed = self._limits.frame_timeout + connection.framing.frame_size_pending / _MIB
        return now - connection.frame_begun > allowed

    def _silent(self, since: float) -> bool:
        """Return whether nothing was answered since, and nothing is on its way."""
        return self._connection.frame_begun is None and self._connection.last_answer <= since

    async def _ask(self, silence: float) -> None:
        """Ask for a sign of life; if no stream id is left for that, the connection has as long to give one."""
        connection, limits = self._connection, self._limits
        if connection.free:
            await self._ping()
        elif not connection.in_flight:
            self._lose("answered none of the abandoned requests, which hold all its stream ids")
        elif silence >= limits.heartbeat_interval + limits.heartbeat_timeout:
            self._lose(f"has no free stream id and answered nothing for {silence:g} s")

    async def _ping(self) -> None:
        timeout = self._limits.heartbeat_timeout
        began = self._reactor.now()
        queries = InternalQueries(self._reactor, self._connection, began + timeout, timeout)
        try:
            await queries.exchange(Opcode.OPTIONS, options())  # an ERROR is a sign of life, too
        except Error as error:
            if self._silent(began):
                self._lose(f"did not answer a heartbeat within {timeout:g} s: {error}")

    def _lose(self, reason: str) -> None:
        self._connection.abort(ConnectionLost(f"{self._connection.name} {reason}"))
