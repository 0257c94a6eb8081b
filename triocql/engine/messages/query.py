"""A query: text that is executed as it is, without values."""

from __future__ import annotations

from collections.abc import Mapping

from triocql.engine.connections.connection import Connection
from triocql.engine.messages import Message
from triocql.engine.messages.encoder import ParametersEncoder
from triocql.engine.messages.reading import ResultReader
from triocql.engine.requests import Response
from triocql.metadata.node import Node
from triocql.policies.balancing import RoutedRequest
from triocql.protocol.constants import Opcode
from triocql.protocol.requests import encode_long_string
from triocql.statements.paging import statement_fingerprint
from triocql.statements.texts import Answers, is_conditional

_QUERY = int(Opcode.QUERY)


class QueryMessage(Message):
    """Text that is executed as it is, without values."""

    __slots__ = (
        "_answers",
        "_keyspace",
        "_parameters",
        "_reader",
        "_timestamp",
        "encoder",
        "flags",
        "text",
    )
    opcode = _QUERY
    text: str
    flags: int

    def __init__(
        self,
        text: str,
        answers: Answers,
        timestamp: int,
        encoder: ParametersEncoder,
        reader: ResultReader,
        keyspace: str | None = None,
        paging_state: bytes | None = None,
    ) -> None:
        self.text = text
        self._timestamp = timestamp
        self.encoder = encoder
        self._reader = reader
        self._answers = answers
        self._keyspace = keyspace
        Message.__init__(self, answers.void)
        self._parameters = encoder.make(paging_state=paging_state)
        self.flags = self._parameters.flags

    @property
    def node(self) -> Node | None:
        """The only node that it may go to (`Message`)."""
        return self.encoder.options.node

    def routed(self, idempotent: bool) -> RoutedRequest:
        """Return what a balancing policy is told of the request (`Message`)."""
        return self.encoder.routed(
            self.text, self._keyspace, idempotent=idempotent, is_lwt=is_conditional(self.text)
        )

    def body(self) -> bytes:
        """Return the body (`Message`)."""
        parameters = self._parameters
        return b"".join(
            (parameters.payload, encode_long_string(self.text), parameters.around(b"", self._timestamp))
        )

    def carry(self, told: Mapping[str, bytes | None]) -> None:
        """Say this, too (`Message`)."""
        self._parameters = self._parameters.carrying(self.encoder.payload_with(told))
        self.flags = self._parameters.flags

    def consistency_offset(self) -> int:
        """Return where the consistency is in the body (`Message`): it is the first of the parameters."""
        return len(self._parameters.payload) + len(encode_long_string(self.text))

    def read(self, flags: int, body: bytes, connection: Connection) -> Response:
        """Read the answer (`Message`). Raises UsageError if the text hides a column with a codec of its own."""
        response = self._reader.read(flags, body, connection, self._answers)
        if response.page is not None:
            self._reader.check_names(self.text, response.page.plan.columns)
        return response

    def fingerprint(self) -> bytes:
        """Return what its paging states are bound to."""
        return statement_fingerprint(self.text, self._keyspace)

    def page(self, paging_state: bytes) -> QueryMessage:
        """Return the message that asks for the page after `paging_state`."""
        return QueryMessage(
            self.text,
            self._answers,
            self._timestamp,
            self.encoder,
            self._reader,
            self._keyspace,
            paging_state,
        )
