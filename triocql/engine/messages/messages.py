"""What requests say: a query's text, a batch, or a statement to prepare. Bound statements are in `template`."""

from __future__ import annotations

from triocql.engine.connections.connection import Connection
from triocql.engine.messages.reading import ResultReader
from triocql.engine.messages.settings import RequestSettings
from triocql.engine.requests.response import Response
from triocql.errors import UnfitAnswer
from triocql.protocol.constants import Opcode
from triocql.protocol.requests import encode_long_string
from triocql.protocol.responses import Prepared, decode_message, split_extras
from triocql.statements.paging import statement_fingerprint
from triocql.statements.prepared import PreparedQuery, PreparedState, check_values_fit
from triocql.statements.texts import MODIFICATION, Answers

_QUERY, _BATCH, _PREPARE = int(Opcode.QUERY), int(Opcode.BATCH), int(Opcode.PREPARE)
_RESULT = int(Opcode.RESULT)

Contents = dict[bytes, tuple[PreparedQuery, set[PreparedState]]]
"""The prepared statements in a batch by their ids, each with the states that its values were encoded for."""


class QueryMessage:
    """Text that is executed as it is, without values."""

    __slots__ = (
        "_answers",
        "_envelope",
        "_keyspace",
        "_reader",
        "_timestamp",
        "flags",
        "may_be_void",
        "settings",
        "text",
    )
    opcode = _QUERY

    def __init__(
        self,
        text: str,
        answers: Answers,
        timestamp: int,
        settings: RequestSettings,
        reader: ResultReader,
        keyspace: str | None = None,
        paging_state: bytes | None = None,
    ) -> None:
        self.text = text
        self._timestamp = timestamp
        self.settings = settings
        self._reader = reader
        self._answers = answers
        self._keyspace = keyspace
        self.may_be_void = answers.void
        self._envelope = settings.make(paging_state=paging_state)
        self.flags = self._envelope.flags

    def body(self) -> bytes:
        """Return the body (`Message`)."""
        envelope = self._envelope
        return b"".join(
            (envelope.payload, encode_long_string(self.text), envelope.around(b"", self._timestamp))
        )

    def read(self, flags: int, body: bytes, connection: Connection) -> Response:
        """Read the answer (`Message`). Raises UsageError if the text hides a column with a codec of its own."""
        response = self._reader.read(flags, body, connection, self._answers)
        if response.page is not None:
            self._reader.check_names(self.text, response.page.plan.columns)
        return response

    def texts(self) -> tuple[PreparedQuery, ...]:
        """Return (): there is no prepared statement in it."""
        return ()

    def statement(self, statement_id: bytes) -> PreparedQuery | None:
        """Return None: there is no prepared statement in it."""

    def reprepared(self, statement: PreparedQuery, state: PreparedState) -> None:
        """Do nothing: there is no prepared statement in it."""

    def fingerprint(self) -> bytes:
        """Return what its paging states are bound to."""
        return statement_fingerprint(self.text, self._keyspace)

    def page(self, paging_state: bytes) -> QueryMessage:
        """Return the message that asks for the page after `paging_state`."""
        return QueryMessage(
            self.text,
            self._answers,
            self._timestamp,
            self.settings,
            self._reader,
            self._keyspace,
            paging_state,
        )


class BatchMessage:
    """Several statements; the prepared ones among them by their ids, which a new state does not change."""

    __slots__ = ("_body", "_prepared", "_reader", "flags")
    opcode = _BATCH
    may_be_void = True
    text = "BATCH"

    def __init__(
        self,
        body: bytes,
        flags: int,
        prepared: Contents,
        reader: ResultReader,
    ) -> None:
        self._body = body
        self._prepared = prepared
        self._reader = reader
        self.flags = flags

    def body(self) -> bytes:
        """Return the body (`Message`)."""
        return self._body

    def read(self, flags: int, body: bytes, connection: Connection) -> Response:
        """Read the answer (`Message`)."""
        return self._reader.read(flags, body, connection, MODIFICATION)

    def texts(self) -> list[PreparedQuery]:
        """Return the prepared statements in it (`Message`)."""
        return [text for text, _ in self._prepared.values()]

    def statement(self, statement_id: bytes) -> PreparedQuery | None:
        """Return the statement in it that has this id (`Message`)."""
        entry = self._prepared.get(statement_id)
        return None if entry is None else entry[0]

    def reprepared(self, statement: PreparedQuery, state: PreparedState) -> None:
        """Check that the encoded values still fit (`Message`)."""
        for encoded_for in self._prepared[state.id][1]:
            check_values_fit(statement, encoded_for, state)


class PrepareMessage:
    """A text to prepare; the response's place is taken by what the node says of it."""

    __slots__ = ("_body", "_version", "text")
    opcode = _PREPARE
    may_be_void = False
    flags = 0

    def __init__(self, text: str, body: bytes, version: int) -> None:
        self.text = text
        self._body = body
        self._version = version

    def body(self) -> bytes:
        """Return the body (`Message`)."""
        return self._body

    def read(self, flags: int, body: bytes, connection: Connection) -> Prepared:
        """Read the answer (`Message`)."""
        answer = decode_message(_RESULT, body, split_extras(flags, body)[1], self._version)
        if not isinstance(answer, Prepared):
            raise UnfitAnswer("PREPARE was answered with a RESULT of another kind")
        return answer

    def texts(self) -> tuple[PreparedQuery, ...]:
        """Return (): there is no prepared statement in it."""
        return ()

    def statement(self, statement_id: bytes) -> PreparedQuery | None:
        """Return None: there is no prepared statement in it."""

    def reprepared(self, statement: PreparedQuery, state: PreparedState) -> None:
        """Do nothing: there is no prepared statement in it."""
