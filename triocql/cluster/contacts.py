"""The first connection of a session: to whichever contact point answers first, in the order they were given."""

from __future__ import annotations

from collections.abc import Callable

from triocql.abc import Waiter
from triocql.cluster.attempts import NEXT, none_of
from triocql.cluster.connector import Connector
from triocql.engine.connections.connection import Connection
from triocql.errors import Attempt, ConnectError, Error
from triocql.metadata.node import Node

_HEAD_START = 1.0
"""Seconds after which the next contact point is dialled beside one that does not answer, at the latest."""


class Contacts:
    """Dials contact points in their order: the next one as soon as one has failed, or has let wait for a while.

    All of them have one deadline. Half of the time until then is left for the last one, at least.
    """

    def __init__(self, connector: Connector, nodes: tuple[Node, ...], deadline: float) -> None:
        self._reactor = connector.reactor
        self._connector = connector
        self._deadline = deadline
        self._nodes = nodes
        self._begun = 0
        self._failed: dict[Node, Attempt] = {}
        self._winner: Connection | None = None
        self._over = False
        self._cancels: list[Callable[[], None]] = []
        self._waiter: Waiter[Connection] = connector.reactor.waiter(self._stop)
        self._head_start = min(_HEAD_START, (deadline - self._reactor.now()) / 2 / len(nodes))

    async def connect(self) -> Connection:
        """Return the first connection there is.

        Raises ConnectError with every attempt; the error itself if there was one contact point.
        """
        try:
            self._dial_next()
            return await self._waiter.wait()
        except BaseException:
            if self._winner is not None:
                self._winner.abort(Error("the session was given up while it was opened"))
            raise
        finally:
            self._stop()

    def _stop(self) -> None:
        self._over = True
        for cancel in self._cancels:
            cancel()
        self._cancels.clear()

    def _dial_next(self) -> None:
        if self._over or self._begun == len(self._nodes):
            return
        node = self._nodes[self._begun]
        self._begun += 1
        self._cancels.append(self._reactor.spawn(self._dial, node))
        following = self._reactor.now() + self._head_start
        begun = self._begun
        self._cancels.append(
            self._reactor.call_at(following, lambda: self._dial_next() if self._begun == begun else None)
        )

    async def _dial(self, node: Node) -> None:
        began = self._reactor.now()
        try:
            connection = await self._connector.open(node, self._connector.options.keyspace, self._deadline)
        except ConnectError as error:
            self._lost(node, error, self._reactor.now() - began)
        except Exception as bug:
            self._end(bug)
        else:
            self._won(connection)

    def _won(self, connection: Connection) -> None:
        if self._over:
            connection.abort(Error("another contact point was faster"))
            return
        self._winner = connection
        self._stop()
        self._waiter.resolve(connection)

    def _lost(self, node: Node, error: ConnectError, elapsed: float) -> None:
        if (thrown := _thrown(error)) is not None:
            self._end(thrown)
            return
        self._failed[node] = Attempt(node, error, elapsed, NEXT)
        if len(self._failed) == len(self._nodes):
            attempts = [self._failed[each] for each in self._nodes]
            self._end(none_of(attempts, "no connection to any contact point"))
        else:
            self._dial_next()

    def _end(self, error: BaseException) -> None:
        if not self._over:
            self._stop()
            self._waiter.reject(error)


def _thrown(error: BaseException | None) -> BaseException | None:
    """Return what the authenticator raised if that is no `Exception`: such as SystemExit, which is the caller's."""
    while isinstance(error, Exception):
        error = error.__cause__
    return error
