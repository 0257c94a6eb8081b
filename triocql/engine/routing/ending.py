"""The end of a session: in order, or at once."""

from __future__ import annotations

from collections.abc import Callable

from triocql.engine.requests.telling import call, tell
from triocql.engine.routing.backlog import Backlog
from triocql.engine.routing.pools import Pools
from triocql.errors import Error, InternalError, SessionClosed
from triocql.observability.logs import get_logger

logger = get_logger(__name__)


class Ending:
    """Ends what is under way, once.

    Attributes:
        reason: why the session takes nothing more; None as long as it does.
        on_drained: called when the last connection has closed after that.
    """

    def __init__(self, pools: Pools, backlog: Backlog) -> None:
        self.reason: Exception | None = None
        self.on_drained: list[Callable[[], None]] = []
        self._pools = pools
        self._backlog = backlog

    def drain(self, reason: Exception) -> None:
        """Send nothing more because of `reason`, and fail what is on no connection; each connection closes once what
        is in flight on it has ended. Only the first reason counts."""
        if self.reason is not None:
            return
        self.reason = reason
        if len(self._pools):
            logger.info("closing a session with %s: %s", self._pools.names, str(reason))
        tell(self._backlog.requests(), lambda request: request.fail(self.error()))
        for pool in self._pools:
            pool.on_need = pool.on_lost = None
        call(connection.drain for connection in self._pools.connections())

    def end(self, reason: Exception) -> None:
        """Fail everything that is under way and close every connection, because of `reason`."""
        self.drain(reason)
        call(connection.close for connection in self._pools.connections())

    def error(self) -> Error:
        """Return the error of whatever is asked of a session that has ended, or of what its end cut off."""
        error: Error
        if isinstance(self.reason, SessionClosed):
            error = SessionClosed(str(self.reason))
        else:
            error = InternalError(f"the session cannot go on after a bug: {self.reason!r}")
            error.__cause__ = self.reason
        return error

    def check(self) -> None:
        """Call those who wait for the end, if it has come."""
        if self.reason is not None and not self._pools.connections():
            call(tuple(self.on_drained))
