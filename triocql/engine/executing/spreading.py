"""Prepares statements on nodes before they are asked for them: on the others after a PREPARE, on one that came back.

This only saves round trips. What a node does not know all the same, it says when it is asked for it: `repreparing`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from triocql.engine.connections.connection import Connection
from triocql.engine.connections.internal import InternalRequest
from triocql.engine.requests.telling import call, tell
from triocql.engine.routing.router import Router
from triocql.metadata.node import Node
from triocql.observability.logs import get_logger
from triocql.protocol.constants import V5, Opcode
from triocql.protocol.requests import prepare
from triocql.statements.prepared import PreparedQuery

logger = get_logger(__name__)

_AT_ONCE = 32
"""How many PREPAREs are in flight on one connection."""

_PATIENCE = 10.0
"""Seconds that a node has for each."""

_MOST = 1000
"""How many statements wait for their turn on one connection; those that wait longest are left out."""


class _Errand:
    """The statements that are to be prepared on one connection; the sink of each PREPARE."""

    def __init__(self, connection: Connection, now: Callable[[], float], version: int) -> None:
        self.connection = connection
        self.texts: deque[PreparedQuery] = deque(maxlen=_MOST)
        self.on_end: list[Callable[[], None]] = []
        self._now = now
        self._version = version
        self._under_way = 0

    def resolve(self, answer: tuple[int, int, bytes]) -> None:
        opcode, _, _ = answer
        if opcode == Opcode.ERROR:
            logger.debug("%s did not prepare a statement in advance", self.connection.name)
        self._one_ended()

    def reject(self, error: BaseException) -> None:
        logger.debug("a statement was not prepared in advance: %s", type(error).__name__)
        self._one_ended()

    def go_on(self) -> None:
        """Send what there is room for. What there is none for while nothing is under way is left out."""
        while self.texts and self._under_way < _AT_ONCE and self.connection.has_room:
            self._send(self.texts.popleft())
        if self._under_way == 0:
            self.texts.clear()
            ended, self.on_end = self.on_end, []
            call(ended)

    def _one_ended(self) -> None:
        self._under_way -= 1
        self.go_on()

    def _send(self, text: PreparedQuery) -> None:
        request = InternalRequest(self, self._now() + _PATIENCE, _PATIENCE)
        request.opcode = int(Opcode.PREPARE)
        request.body = prepare(self._version, text.text, text.keyspace if self._version >= V5 else None)
        self._under_way += 1
        tell((request,), self.connection.send)


class Spreading:
    """Has nodes prepare what others have prepared, beside the requests of users: at most some statements at a time, and
    never twice as many for two reasons."""

    def __init__(self, router: Router, version: int) -> None:
        self._router = router
        self._version = version
        self._errands: dict[Connection, _Errand] = {}

    def to_others(self, text: PreparedQuery, origin: Node | None) -> None:
        """Have all nodes prepare `text` that there are connections to, but `origin`, which has."""
        for pool in self._router.pools:
            if pool.node is not origin and (connection := pool.pick()) is not None:
                self.on(connection, (text,))

    def on(
        self, connection: Connection, texts: Iterable[PreparedQuery], on_end: Callable[[], None] | None = None
    ) -> None:
        """Have the node of `connection` prepare `texts`, and call `on_end` when it has, or will not."""
        errand = self._errands.get(connection)
        if errand is None:
            errand = self._errands[connection] = _Errand(connection, self._router.clock.now, self._version)
            errand.on_end.append(lambda: self._forget(connection))
        if on_end is not None:
            errand.on_end.append(on_end)
        errand.texts.extend(text for text in texts if self._means_the_same(text, connection))
        errand.go_on()

    def _means_the_same(self, text: PreparedQuery, connection: Connection) -> bool:
        """Whether `text` would be looked up in its keyspace there: before v5, that is the connection's."""
        return self._version >= V5 or text.keyspace == connection.keyspace

    def _forget(self, connection: Connection) -> None:
        self._errands.pop(connection, None)
