"""From the bytes of a RESULT to a `Response`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from triocql.codecs.rows import RowPlan
from triocql.engine.connections.connection import Connection
from triocql.engine.messages.descriptions import Descriptions
from triocql.engine.requests import Response
from triocql.errors import ProtocolError, UnfitAnswer
from triocql.protocol.constants import Opcode, ResultKind
from triocql.protocol.responses import (
    NO_EXTRAS,
    VOID,
    Extras,
    RowsHeader,
    SchemaChange,
    SetKeyspace,
    decode_message,
    read_rows_header,
    split_extras,
)
from triocql.protocol.types import ColumnSpec
from triocql.statements.prepared import PreparedQuery, PreparedState
from triocql.statements.texts import Answers

_ROWS = int(ResultKind.ROWS).to_bytes(4, "big")
_RESULT = int(Opcode.RESULT)


class ResultReader:
    """Reads results for one session: knows the protocol version and what statements give."""

    def __init__(
        self, descriptions: Descriptions, version: int, on_keyspace: Callable[[Connection, str], None]
    ) -> None:
        self.version = version
        self._descriptions = descriptions
        self._on_keyspace = on_keyspace

    def check_names(self, text: str, columns: Sequence[ColumnSpec]) -> None:
        """Refuse a text that hides a column with a codec of its own. Raises UsageError."""
        self._descriptions.check_names(text, columns)

    def read(
        self,
        flags: int,
        body: bytes,
        connection: Connection,
        answers: Answers,
        text: PreparedQuery | None = None,
        state: PreparedState | None = None,
    ) -> Response:
        """Return the response in `body`, which has to be one of `answers`.

        `state` is what the request was sent with; news about its columns are kept in `text` for the next request.
        Raises ProtocolError, and UnfitAnswer for an answer that cannot be one to this request.
        """
        extras, start = split_extras(flags, body)
        if body[start : start + 4] != _ROWS:
            return self._other(body, start, extras, connection, answers)
        if not answers.rows:
            raise UnfitAnswer("the node answered with rows to a statement that returns none")
        response = self._rows(body, start + 4, extras, connection, text, state)
        if response.paging_state is not None and not answers.pages:
            raise UnfitAnswer(
                "the node answered with the first of several pages to a statement that has one page"
            )
        return response

    def _rows(
        self,
        body: bytes,
        start: int,
        extras: Extras | None,
        connection: Connection,
        text: PreparedQuery | None,
        state: PreparedState | None,
    ) -> Response:
        known = None if state is None else state.metadata
        header = read_rows_header(body, start, self.version, known)
        plan = self._plan(header, text, state)
        page = plan.page(body, header.rows_offset, header.row_count)
        return Response(page, header.paging_state, extras, connection.node)

    def _plan(self, header: RowsHeader, text: PreparedQuery | None, state: PreparedState | None) -> RowPlan:
        metadata, new_id = header.metadata, header.new_metadata_id
        # Under a new id the same columns are news all the same: by the old one they would be told with every answer.
        same = metadata is None or (new_id is None and state is not None and metadata is state.metadata)
        if same and state is not None and state.plan is not None:
            # The columns were left out as asked for, or are the same again: `read_rows_header` has compared them.
            return state.plan
        if metadata is None:
            # Nobody asked for that: only what is known is left out.
            raise ProtocolError(
                "the node left out the columns of its rows, though it was asked to describe them"
            )
        # PREPARE tells no columns of a conditional update: they depend on its outcome, and are not kept.
        keep = state is not None and (state.metadata is not None or new_id is not None)
        if keep and text is not None and state is not None:
            self._descriptions.learn(text, state, metadata, new_id)
        return self._descriptions.plan(metadata.columns)

    def _other(
        self, body: bytes, start: int, extras: Extras | None, connection: Connection, answers: Answers
    ) -> Response:
        message = decode_message(_RESULT, body, start, self.version)
        if isinstance(message, SetKeyspace) and answers.keyspace in ("", message.keyspace):
            self._on_keyspace(connection, message.keyspace)
        elif isinstance(message, SchemaChange) and answers.schema_change:
            extras = (extras or NO_EXTRAS)._replace(schema_change=message)
        elif message is not VOID or not answers.void:
            raise UnfitAnswer(
                f"the node answered with {message}, which cannot be the answer to this statement"
            )
        return Response(None, None, extras, connection.node)
