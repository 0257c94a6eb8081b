"""A user's request, through all its attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from triocql.engine.requests.overdue import spent
from triocql.engine.requests.phase import Phase
from triocql.engine.requests.request import Request, Sink
from triocql.errors import Attempt, RequestError, SessionClosed
from triocql.protocol.constants import MAX_FRAME, Opcode, ResultKind
from triocql.protocol.frames import check_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triocql.engine.connections.connection import Connection
    from triocql.engine.executing.recovery import Recovery
    from triocql.engine.requests.response import Response
    from triocql.protocol.responses import Prepared
    from triocql.statements.prepared import PreparedQuery, PreparedState

_RESULT = int(Opcode.RESULT)
_VOID = int(ResultKind.VOID).to_bytes(4, "big")


class Message(Protocol):
    """What a request says, and what its answer means."""

    @property
    def opcode(self) -> int:
        """The opcode of the frame."""

    @property
    def flags(self) -> int:
        """The flags of the frame."""

    @property
    def may_be_void(self) -> bool:
        """Whether a RESULT without content can be the answer."""

    @property
    def text(self) -> str:
        """What errors show of it: CQL, without values."""

    def body(self) -> bytes:
        """Return the body of the frame, made for the present state of the prepared statements in it."""

    def read(self, flags: int, body: bytes, connection: Connection) -> Response | Prepared:
        """Read the RESULT that answers it; raises ProtocolError, UnfitAnswer for one that cannot be the answer."""

    def texts(self) -> Iterable[PreparedQuery]:
        """Return the prepared statements in it."""

    def statement(self, statement_id: bytes) -> PreparedQuery | None:
        """Return the prepared statement in it that has this id, if any."""

    def reprepared(self, statement: PreparedQuery, state: PreparedState) -> None:
        """Take the new state of a statement in it; raises PreparedIdMismatch if the values do not fit it."""


class Execution(Request):
    """A request whose message may be tried on several connections. Pure twin of `_hot`."""

    __slots__ = (
        "attempts",
        "idempotent",
        "maybe_executed",
        "message",
        "recovery",
        "started",
        "tried",
        "unprepared",
    )

    message: Message

    def __init__(
        self, sink: Sink, recovery: Recovery, started: float, timeout: float, idempotent: bool
    ) -> None:
        Request.__init__(self, sink, started + timeout, timeout)
        self.recovery = recovery
        self.started = started
        self.idempotent = idempotent
        self.maybe_executed = False
        self.attempts: tuple[Attempt, ...] = ()
        self.tried: tuple[str, ...] = ()
        self.unprepared: dict[tuple[str, bytes], int] | None = None

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self.phase is Phase.DONE

    def say(self, message: Message) -> None:
        """Set what the request says. Raises UsageError if it is too long for a frame."""
        body = message.body()
        if len(body) > MAX_FRAME:
            check_body(len(body))
        self.message = message
        self.opcode = message.opcode
        self.flags = message.flags
        self.body = body

    def go(self, message: Message) -> None:
        """Say it and send it, from wherever the request is held, unless it has ended."""
        if self.phase is Phase.DONE:
            return
        self.say(message)
        self.leave()
        self.recovery.router.submit(self)

    def answered(self, connection: Connection, opcode: int, flags: int, body: bytes) -> None:
        """End with the response, or have recovery decide about the error."""
        if opcode != _RESULT:
            self.recovery.refused(self, connection, opcode, flags, body)
            return
        if not flags and body == _VOID and self.message.may_be_void:
            self.succeed(connection.void)
            return
        try:
            response = self.message.read(flags, body, connection)
        except BaseException as error:  # a class or a codec of the caller's may have raised it
            self.recovery.unreadable(self, connection, error)
        else:
            self.succeed(response)

    def lost(self, connection: Connection, error: Exception, *, written: bool) -> None:
        """Have recovery decide."""
        self.recovery.lost(self, connection, error, written=written)

    def fail(self, error: BaseException) -> None:
        """End with `error`, which gets to know the attempts before it."""
        if isinstance(error, (RequestError, SessionClosed)):
            error.attempts = error.attempts or self.attempts
            error.maybe_executed = error.maybe_executed or self.maybe_executed
        Request.fail(self, error)

    @property
    def statement(self) -> str:
        """The text of the statement (`Request`)."""
        message: Message | None = getattr(self, "message", None)
        return "" if message is None else message.text

    def note_attempt(self, connection: Connection, error: RequestError, now: float) -> None:
        """Remember a failed attempt that another one follows."""
        self.attempts += (Attempt(connection.name, error, now - self.started - spent(self)),)
        self.tried += (connection.name,)
        self.maybe_executed = self.maybe_executed or error.maybe_executed
