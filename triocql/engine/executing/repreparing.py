"""UNPREPARED: the node does not know a statement (any more). It is prepared there again, then the request goes on."""

from __future__ import annotations

from collections.abc import Callable

from triocql import errors
from triocql.engine.connections.connection import Connection
from triocql.engine.connections.internal import InternalRequest
from triocql.engine.executing.execution import Attempt
from triocql.engine.messages.descriptions import Descriptions
from triocql.engine.phase import Phase
from triocql.engine.requests.telling import tell
from triocql.engine.routing.router import Router
from triocql.protocol.constants import V5, Opcode
from triocql.protocol.requests import prepare
from triocql.protocol.responses import Prepared, read_answer
from triocql.statements.prepared import PreparedQuery, PreparedState
from triocql.statements.texts import is_qualified, shown

# How often a request has one statement prepared again on one node. A node whose memory of statements is full keeps a
# new one only once it was wanted more often than an old one, which it counts up to 15 (its cache is a TinyLFU).
_MOST = 16


class _Flight:
    """One PREPARE on one connection, and the requests that wait for it; the sink of that request."""

    def __init__(self, owner: Repreparing, connection: Connection, text: PreparedQuery, id_: bytes) -> None:
        self.owner = owner
        self.connection = connection
        self.text = text
        self.id = id_
        self.attempts: list[Attempt] = []
        self.request: InternalRequest

    def join(self, attempt: Attempt, now: float) -> None:
        """Add one more request that waits; the most patient one decides how long the node may take."""
        self.attempts.append(attempt)
        self.request.deadline = max(self.request.deadline, attempt.execution.until(now))

    def resolve(self, answer: tuple[int, int, bytes]) -> None:
        self.owner.answered(self, *answer)

    def reject(self, error: BaseException) -> None:
        self.owner.failed(self, error)


class Repreparing:
    """Prepares again, once per statement and connection however many requests wait for it."""

    def __init__(self, router: Router, version: int, descriptions: Descriptions) -> None:
        self._router = router
        self._version = version
        self._descriptions = descriptions
        self._flights: dict[tuple[Connection, bytes], _Flight] = {}

    def unprepared(self, attempt: Attempt, connection: Connection, error: errors.Unprepared) -> None:
        """Called with the answer UNPREPARED to `attempt`: prepare and send again, or fail it."""
        execution = attempt.execution
        if execution.is_done:
            return  # a tracker has ended it
        text = attempt.message.statement(error.id)
        if text is None:
            attempt.fail(
                errors.ProtocolError(
                    f"{connection.name} answered UNPREPARED with the id of a statement that was not in the request"
                )
            )
        elif execution.recall().count_unprepared(connection.node, text.text) > _MOST:
            attempt.fail(
                errors.UnpreparedLoop(
                    f"{connection.name} goes on answering UNPREPARED to {shown(text.text)!r}: it was prepared there "
                    f"{_MOST} times for this request"
                )
            )
        else:
            history, elapsed = execution.recall(), self._router.clock.now() - execution.started
            history.waited(Phase.WAITING, history.since(elapsed), connection.node)
            if connection.has_room:
                self._join(attempt, connection, text, error.id)
            else:
                self._router.submit(attempt)

    def _join(self, attempt: Attempt, connection: Connection, text: PreparedQuery, id_: bytes) -> None:
        self._router.waiting.enter(attempt, Phase.PREPARING)
        flight = self._flights.get((connection, id_))
        if flight is None:
            flight = _Flight(self, connection, text, id_)
            connection.meter.prepared_again += 1
            flight.request = request = InternalRequest(flight, 0.0, attempt.execution.timeout)
            request.opcode = int(Opcode.PREPARE)
            keyspace = text.keyspace if self._version >= V5 else None
            request.body = prepare(self._version, text.text, keyspace)
            self._flights[connection, id_] = flight
            flight.join(attempt, self._router.clock.now())
            tell((request,), connection.send)
        else:
            flight.join(attempt, self._router.clock.now())

    def answered(self, flight: _Flight, opcode: int, flags: int, body: bytes) -> None:
        """Called with the answer to the PREPARE of `flight`."""
        try:
            answer = read_answer(opcode, flags, body, self._version, flight.connection.features)
            state = self._new_state(flight, answer)
        except BaseException as error:  # a class of the callers' may have raised it
            self.failed(flight, error)
            if isinstance(error, errors.UnfitAnswer):
                flight.connection.abort(errors.copy_of(error))
            return
        self._land(flight, lambda attempt: self._resend(attempt, flight, state))

    def failed(self, flight: _Flight, error: BaseException) -> None:
        """Fail what waits for `flight`; after the loss of the connection, or when the node takes too long, it goes
        elsewhere.
        """
        if isinstance(error, errors.ConnectionLost):
            self._land(flight, self._router.submit)
        elif isinstance(error, errors.RequestTimeout):
            now = self._router.clock.now()
            self._land(
                flight, lambda attempt: attempt.execution.recovery.overdue(attempt, flight.connection, now)
            )
        else:
            self._land(flight, lambda attempt: attempt.fail(errors.copy_of(error)))

    def _land(self, flight: _Flight, following: Callable[[Attempt], object]) -> None:
        """Have the requests that still wait for `flight` wait no longer, and do with each what follows."""
        self._flights.pop((flight.connection, flight.id), None)

        def land(attempt: Attempt) -> None:
            if attempt.phase is Phase.PREPARING:
                attempt.leave()
                following(attempt)

        tell(flight.attempts, land)

    def _new_state(self, flight: _Flight, answer: object) -> PreparedState:
        if isinstance(answer, errors.ResponseError):
            answer.coordinator = flight.connection.node
            raise answer
        if not isinstance(answer, Prepared):
            raise errors.UnfitAnswer("the node did not answer PREPARE with a prepared statement")
        if answer.id != flight.text.state.id and not self._may_differ(flight.text):
            raise errors.PreparedIdMismatch(
                f"preparing {shown(flight.text.text)!r} again on {flight.connection.name} gave another id"
                f"{self._why(flight)}; call prepare() again and bind to its result"
            )
        return self._descriptions.renew(flight.text, answer)

    def _may_differ(self, text: PreparedQuery) -> bool:
        """Whether a statement may have another id than before, and be the same all the same: before v5, nodes of
        ScyllaDB make the id of the keyspace that the connection is in, too, whether that matters or not."""
        return self._version < V5 and is_qualified(text.text)

    def _why(self, flight: _Flight) -> str:
        before, now = flight.text.keyspace, flight.connection.keyspace
        if self._version >= V5 or before == now:
            return ""
        return f", as the keyspace of its names was {before} and is {now} since a USE (write it before the table)"

    def _resend(self, attempt: Attempt, flight: _Flight, state: PreparedState) -> None:
        try:
            attempt.message.reprepared(flight.text, flight.id, state)
        except errors.Error as error:
            attempt.fail(error)
            return
        attempt.encode()
        if flight.connection.has_room:
            flight.connection.send(attempt)
        else:
            self._router.submit(attempt)
