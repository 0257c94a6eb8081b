"""From the bytes of a RESULT to a `Response`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from triocql.codecs.rows import RowPlan
from triocql.engine.connections.connection import Connection
from triocql.engine.messages.descriptions import Descriptions
from triocql.engine.requests import Response
from triocql.engine.requests.telling import report
from triocql.errors import UnfitAnswer
from triocql.metadata.tablethints import V1, V2
from triocql.metadata.tabletstore import Tablets
from triocql.observability.logs import get_logger
from triocql.protocol.constants import Opcode, ResultKind
from triocql.protocol.responses import (
    NO_EXTRAS,
    VOID,
    Extras,
    MissingColumns,
    RowsHeader,
    SchemaChange,
    SetKeyspace,
    decode_message,
    read_rows_header,
    split_extras,
)
from triocql.protocol.types import ColumnSpec
from triocql.statements.prepared import PreparedQuery, PreparedState
from triocql.statements.texts import Answers, shown

logger = get_logger(__name__)

Table = tuple[str | None, str | None]
"""The keyspace and the name of a table, as far as they are known."""

_ROWS = int(ResultKind.ROWS).to_bytes(4, "big")
_RESULT = int(Opcode.RESULT)


class ResultReader:
    """Reads results for one session: knows the protocol version and what statements give."""

    def __init__(
        self,
        descriptions: Descriptions,
        version: int,
        on_keyspace: Callable[[Connection, str], None],
        tablets: Tablets,
    ) -> None:
        self.version = version
        self._descriptions = descriptions
        self._on_keyspace = on_keyspace
        self.tablets = tablets

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
        table: Table = (None, None),
    ) -> Response:
        """Return the response in `body`, which has to be one of `answers`.

        `state` is what the request was sent with; news about its columns are kept in `text` for the next request.
        `table` is what the request is about, if nothing was prepared for it.
        Raises ProtocolError, and UnfitAnswer for an answer that cannot be one to this request.
        """
        extras, start = split_extras(flags, body)
        if extras is not None and extras.payload and connection.features.tablets:
            if text is not None and state is not None:
                table = state.keyspace or text.keyspace, state.table
            self._learn(connection, extras.payload, *table)
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

    def _learn(
        self,
        connection: Connection,
        payload: Mapping[str, bytes | None],
        keyspace: str | None,
        table: str | None,
    ) -> None:
        """Keep what came along about the tablets of a table, if anything did. It is nothing to the request."""
        versioned = connection.features.tablets > 1
        key = V2 if versioned else V1
        if key in payload and (keyspace := keyspace or connection.keyspace) and table:
            try:
                self.tablets.take(keyspace, table, payload[key], versioned=versioned)
            except Exception as bug:
                report(bug)

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
        header = read_rows_header(body, start, self.version, known, connection.features)
        plan = self._plan(header, text, state)
        page = plan.page(body, header.rows_offset, header.row_count)
        return Response(page, header.paging_state, extras, connection.node)

    def _plan(self, header: RowsHeader, text: PreparedQuery | None, state: PreparedState | None) -> RowPlan:
        metadata, new_id = header.metadata, header.new_metadata_id
        if metadata is None and new_id is not None:
            logger.warning("a node told a new id of the columns of rows without the columns: it is ignored")
        # Under a new id the same columns are news all the same: by the old one they would be told with every answer.
        same = metadata is None or (new_id is None and state is not None and metadata is state.metadata)
        if same and state is not None and state.plan is not None:
            # The columns were left out as asked for, or are the same again: `read_rows_header` has compared them.
            return state.plan
        if metadata is None:
            # Nobody asked for that: only what is known is left out.
            of = "" if text is None else f" of {shown(text.text)!r}"
            raise MissingColumns(
                f"the node left out the columns of the rows{of}, though it was asked to describe them"
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
