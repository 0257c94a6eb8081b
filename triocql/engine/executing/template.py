"""Prepared statements on their way: the shortest path from values to a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.engine.executing.execution import Execution
from triocql.engine.messages.parameters import stamp
from triocql.engine.requests.response import Response
from triocql.errors import BindTypeError, BindValueError
from triocql.protocol.constants import Opcode
from triocql.statements.paging import statement_fingerprint
from triocql.statements.prepared import check_values_fit

if TYPE_CHECKING:
    from triocql.engine.connections.connection import Connection
    from triocql.engine.executing.executor import ExecutionContext
    from triocql.engine.messages.parameters import EncodedParameters
    from triocql.engine.messages.reading import ResultReader
    from triocql.engine.messages.settings import RequestSettings
    from triocql.engine.requests.request import Sink
    from triocql.statements.prepared import PreparedQuery, PreparedState

_EXECUTE = int(Opcode.EXECUTE)


class ExecuteMessage:
    """A prepared statement with its values encoded. Pure twin of `_hot`."""

    __slots__ = (
        "_envelope",
        "_reader",
        "_state",
        "_text",
        "_timestamp",
        "_values",
        "may_be_void",
        "settings",
    )
    opcode = _EXECUTE

    def __init__(
        self,
        text: PreparedQuery,
        state: PreparedState,
        values: bytes,
        timestamp: int,
        settings: RequestSettings,
        envelope: EncodedParameters,
        reader: ResultReader,
    ) -> None:
        self._text = text
        self.may_be_void = text.answers.void
        self._state = state
        self._values = values
        self._timestamp = timestamp
        self.settings = settings
        self._envelope = envelope
        self._reader = reader

    @property
    def flags(self) -> int:
        """The flags of the frame (`Message`)."""
        return self._envelope.flags

    @property
    def text(self) -> str:
        """What errors show of it (`Message`)."""
        return self._text.text

    def body(self) -> bytes:
        """Return the body (`Message`)."""
        envelope = self._envelope
        return b"".join(
            (
                envelope.payload,
                self._state.prefix,
                envelope.head,
                self._values,
                envelope.before,
                stamp(self._timestamp),
                envelope.after,
            )
        )

    def read(self, flags: int, body: bytes, connection: Connection) -> Response:
        """Read the answer (`Message`)."""
        state = self._state
        size = len(state.rows_head)
        whole = flags == 0 and len(body) >= size + 4
        if whole and state.plan is not None and body.startswith(state.rows_head):
            count = int.from_bytes(body[size : size + 4], "big", signed=True)
            return Response(state.plan.page(body, size + 4, count), coordinator=connection.name)
        return self._reader.read(flags, body, connection, self._text.answers, self._text, self._state)

    def texts(self) -> tuple[PreparedQuery, ...]:
        """Return the statement (`Message`)."""
        return (self._text,)

    def statement(self, statement_id: bytes) -> PreparedQuery | None:
        """Return the statement, if it has this id (`Message`)."""
        return self._text if statement_id == self._state.id else None

    def reprepared(self, statement: PreparedQuery, state: PreparedState) -> None:
        """Go on with `state`; raises PreparedIdMismatch if the values were encoded for other types (`Message`)."""
        check_values_fit(statement, self._state, state)
        self._state = state

    def fingerprint(self) -> bytes:
        """Return what its paging states are bound to."""
        text = self._text
        return statement_fingerprint(text.text, text.keyspace, self._state.bind_columns, self._values)

    def page(self, paging_state: bytes) -> ExecuteMessage:
        """Return the message that asks for the page after `paging_state`."""
        envelope = self.settings.make(
            values=True, skip_metadata=self._state.skip_metadata, paging_state=paging_state
        )
        return ExecuteMessage(
            self._text, self._state, self._values, self._timestamp, self.settings, envelope, self._reader
        )


class ExecuteTemplate:
    """Starts executions of one prepared statement with one set of options. Pure twin of `_hot`."""

    __slots__ = (
        "_envelope",
        "_fixed_timestamp",
        "_idempotent",
        "_parts",
        "_resumes",
        "_settings",
        "_state",
        "_text",
        "_timeout",
    )

    def __init__(self, parts: ExecutionContext, text: PreparedQuery, settings: RequestSettings) -> None:
        options = settings.options
        self._parts = parts
        self._text = text
        self._settings = settings
        self._timeout = options.timeout
        self._idempotent = text.idempotent if options.idempotent is None else options.idempotent
        self._fixed_timestamp = options.timestamp
        self._resumes = options.paging_state is not None
        self._adopt(text.state)

    def _adopt(self, state: PreparedState) -> None:
        self._state = state
        self._envelope = self._settings.for_values(skip_metadata=state.skip_metadata)

    def start(self, sink: Sink, parameters: Any, now: float = -1.0) -> Execution:
        """Bind `parameters` and send; `now` is the time if it is known. Raises UsageError and its kinds.

        Values that do not fit may fit by now: a node is asked before they are refused.
        """
        state = self._text.state
        parts = self._parts
        try:
            values = state.binder.bind(parameters)
        except (BindTypeError, BindValueError) as refusal:
            return parts.ask(self._settings, self._text, sink, parameters, refusal)
        if now < 0:
            now = parts.now()
        execution = Execution(sink, parts.recovery, now, self._timeout, self._idempotent)
        execution.say(self.message(state, values))
        router = parts.router
        if not router.turn.send(execution):
            router.submit(execution)
        return execution

    def message(self, state: PreparedState, values: bytes) -> ExecuteMessage:
        """Return the message for values that are bound already. Raises PagingStateMismatch."""
        if state is not self._state:
            self._adopt(state)
        timestamp = self._fixed_timestamp
        if timestamp is None:
            timestamp = self._parts.timestamps.next()
        settings = self._settings
        message = ExecuteMessage(
            self._text, state, values, timestamp, settings, self._envelope, self._parts.reader
        )
        return settings.resumed(message) if self._resumes else message

    def execution(self, sink: Sink) -> Execution:
        """Return an execution that says nothing yet."""
        parts = self._parts
        return Execution(sink, parts.recovery, parts.now(), self._timeout, self._idempotent)
