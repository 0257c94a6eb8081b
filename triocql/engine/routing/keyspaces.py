"""``USE``: one answer to it moves every connection of the session before the next request."""

from __future__ import annotations

from triocql.engine.connections.connection import Connection, State
from triocql.engine.connections.internal import InternalRequest
from triocql.engine.requests.telling import report
from triocql.engine.routing.router import Router
from triocql.errors import ConnectionLost, Error
from triocql.protocol.constants import Opcode
from triocql.protocol.requests import use
from triocql.protocol.responses import SetKeyspace, read_answer


class _Move:
    """One connection on its way to another keyspace; the sink of its USE."""

    def __init__(self, owner: Keyspaces, connection: Connection, keyspace: str) -> None:
        self.owner = owner
        self.connection = connection
        self.keyspace = keyspace

    def resolve(self, answer: tuple[int, int, bytes]) -> None:
        try:
            moved = read_answer(*answer, self.owner.version) == SetKeyspace(self.keyspace)
        except Error:
            moved = False
        self.owner.moved(self.connection, self.keyspace, refused=not moved)

    def reject(self, error: BaseException) -> None:
        self.owner.moved(self.connection, self.keyspace, refused=True)


class Keyspaces:
    """Keeps the connections of a session in one keyspace.

    While a connection moves it takes no requests; one that cannot follow is given up and replaced. It moves once at a
    time, as nodes need not carry out in order what comes on one connection: if the session has gone on to another
    keyspace meanwhile, it follows there after that.
    """

    def __init__(self, router: Router, version: int, timeout: float, current: str | None) -> None:
        self.current = current
        self.version = version
        self._router = router
        self._timeout = timeout
        self._moving: set[Connection] = set()

    def changed(self, origin: Connection, keyspace: str) -> None:
        """A node answered a user's USE on `origin`: move all other connections."""
        self.current = keyspace
        origin.keyspace = keyspace
        for connection in [c for pool in self._router.pools for c in pool.connections]:
            if connection is not origin and connection.state is not State.CLOSED:
                self._move(connection)

    def follow(self, connection: Connection, keyspace: str | None) -> None:
        """Have a new connection, which was made for `keyspace`, move to where the session has gone meanwhile."""
        if keyspace != self.current:
            self._move(connection)

    def moved(self, connection: Connection, keyspace: str, *, refused: bool) -> None:
        """Called with the outcome of a move."""
        self._moving.discard(connection)
        if connection.state is State.CLOSED:
            return
        if refused:
            connection.abort(ConnectionLost(f"{connection.name} did not change to keyspace {keyspace!r}"))
        else:
            connection.keyspace = keyspace
            connection.hold(False)
            if keyspace != self.current:
                self._move(connection)
            self._router.on_room()

    def _move(self, connection: Connection) -> None:
        connection.hold(True)
        if connection in self._moving:
            return
        try:
            self._send(connection)
        except Exception as bug:
            self._moving.discard(connection)
            connection.abort(bug)
            report(bug)

    def _send(self, connection: Connection) -> None:
        if not connection.free:
            connection.abort(Error("no stream id was free for the USE that changes the keyspace"))
            return
        keyspace = self.current or ""
        move = _Move(self, connection, keyspace)
        request = InternalRequest(move, self._router.clock.now() + self._timeout, self._timeout)
        request.opcode = int(Opcode.QUERY)
        request.body = use(self.version, keyspace)
        self._moving.add(connection)
        connection.send(request)
