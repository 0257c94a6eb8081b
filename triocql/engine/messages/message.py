# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False, nonecheck=True
# cython: freethreading_compatible=False
"""Messages: what a request says, and how its answer is read; here also the one that most requests have, EXECUTE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.policies.balancing import RoutedRequest
from triocql.protocol.constants import MAX_FRAME, QUERY_SKIP_METADATA, SERVER, Opcode
from triocql.protocol.frames import check_body
from triocql.protocol.scylla import LAYOUT_TABLET_BLOCK
from triocql.statements.paging import statement_fingerprint
from triocql.statements.prepared import check_values_fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    import cython

    from triocql.engine.messages.encoder import ParametersEncoder
    from triocql.engine.messages.parameters import EncodedParameters
    from triocql.engine.messages.reading import ResultReader
    from triocql.metadata.node import Node
    from triocql.protocol.constants import Consistency
    from triocql.protocol.responses import Prepared
    from triocql.protocol.types import ColumnSpec
    from triocql.statements.prepared import PreparedQuery, PreparedState

    Part: TypeAlias = tuple[str, Sequence[ColumnSpec], bytes]
else:
    from triocql import _cython as cython

if not cython.compiled:  # where it is, these functions are those of `_joining.pxd`
    from triocql.engine.requests.request import Response

    def join(
        payload: bytes, prefix: bytes, head: bytes, values: bytes, before: bytes, timestamp: int, after: bytes
    ) -> bytes:
        """Return the parts of an EXECUTE body in one piece; `timestamp` in microseconds, `SERVER` for none."""
        stamp = b"" if timestamp == SERVER else timestamp.to_bytes(8, "big", signed=True)
        return b"".join((payload, prefix, head, values, before, stamp, after))

    def begins_with(body: bytes, head: bytes) -> bool:
        """Whether `body` begins with `head`, and an [int] follows."""
        return len(body) >= len(head) + 4 and body.startswith(head)

    def int_at(body: bytes, offset: int) -> int:
        """Return the [int] at `offset`."""
        return int.from_bytes(body[offset : offset + 4], "big", signed=True)


_EXECUTE = int(Opcode.EXECUTE)


class Message:
    """The message of a request. The defaults are those of a message without prepared statements.

    Attributes:
        may_be_void: whether a RESULT without content can be the answer.
    """

    __slots__ = ("may_be_void",)

    def __init__(self, may_be_void: bool = False) -> None:
        self.may_be_void = may_be_void

    @property
    def opcode(self) -> int:
        """The opcode of the frame."""
        raise NotImplementedError

    @property
    def flags(self) -> int:
        """The flags of the frame."""
        return 0

    @property
    def text(self) -> str:
        """The text that errors show of it: CQL, without values."""
        raise NotImplementedError

    @property
    def node(self) -> Node | None:
        """The only node that it may go to; None for any."""
        return None

    @property
    def has_key(self) -> bool:
        """Whether its partition is known."""
        return False

    def routed(self, idempotent: bool) -> RoutedRequest:
        """Return what a balancing policy is told of the request."""
        return RoutedRequest(self.text, idempotent=idempotent)

    def body(self) -> bytes:
        """Return the body of the frame, made for the present state of the prepared statements in it."""
        raise NotImplementedError

    def copy(self) -> Message:
        """Return a message that says the same, and goes on doing so when this one is `reprepared`."""
        return self

    def carry(self, told: Mapping[str, bytes | None]) -> None:
        """Say this, too, in the custom payload, if it may have one. Raises OptionError and BindValueError."""

    def consistency_offset(self) -> int | None:
        """Return where the consistency is in the body; None if there is none."""
        return None

    def fitted(self, body: bytes, layout: int, wanted: int) -> bytes:
        """Return a body that says the same as `body`, whose layout is `layout`, for connections where another one is
        `wanted`: only EXECUTE differs from one to another (`Features.layout`).
        """
        return body

    def body_at(self, consistency: Consistency) -> bytes:
        """Return the body with another consistency, if it has one."""
        body, offset = self.body(), self.consistency_offset()
        if offset is None:
            return body
        return body[:offset] + consistency.to_bytes(2, "big") + body[offset + 2 :]

    def read(self, flags: int, body: bytes, connection: Any) -> Response | Prepared:
        """Read the RESULT that answers it; raises ProtocolError, UnfitAnswer for one that cannot be the answer."""
        raise NotImplementedError

    def texts(self) -> Sequence[PreparedQuery]:
        """Return the prepared statements in it."""
        return ()

    def statement(self, statement_id: bytes) -> PreparedQuery | None:
        """Return the prepared statement in it that has this id, if any."""
        return None

    def parts(self) -> Iterable[Part]:
        """Return the statements in it: a text, the columns of its bind markers, and their values as they are sent."""
        return ((self.text, (), b""),)

    def reprepared(self, statement: PreparedQuery, former_id: bytes, state: PreparedState) -> None:
        """Go on with the new state of a statement in it, which had this id; raises PreparedIdMismatch if the values do
        not fit it."""


class ExecuteMessage(Message):
    """A prepared statement with its values encoded.

    Attributes:
        token: a token of what it is about, where its values have no partition key: of a range of them; None for none.
    """

    __slots__ = (
        "_parameters",
        "_plan",
        "_query",
        "_reader",
        "_rows_head",
        "_state",
        "_timestamp",
        "_values",
        "encoder",
        "token",
    )

    def __init__(
        self,
        query: PreparedQuery,
        state: PreparedState,
        values: bytes,
        timestamp: int,
        encoder: ParametersEncoder,
        parameters: EncodedParameters,
        reader: ResultReader,
    ) -> None:
        self.may_be_void = query.answers.void
        self._query = query
        self._adopt(state)
        self._values = values
        self._timestamp = timestamp
        self.encoder = encoder
        self._parameters = parameters
        self._reader = reader
        self.token: int | None = None

    def _adopt(self, state: PreparedState) -> None:
        self._state = state
        self._rows_head = state.rows_head
        self._plan = state.plan

    @property
    def opcode(self) -> int:
        """The opcode of the frame (`Message`)."""
        return _EXECUTE

    @property
    def flags(self) -> int:
        """The flags of the frame (`Message`)."""
        return self._parameters.flags

    @property
    def text(self) -> str:
        """The text that errors show of it (`Message`)."""
        return self._query.text

    @property
    def node(self) -> Node | None:
        """The only node that it may go to (`Message`)."""
        node: Node | None = self.encoder.options.node
        return node

    @property
    def has_key(self) -> bool:
        """Whether its partition is known (`Message`), or where it is."""
        return self.token is not None or bool(self._state.partition_key)

    @property
    def routing_key(self) -> bytes | None:
        """The partition key among the values, as nodes hash it; None if not all of it is bound."""
        routing_key: bytes | None = self._state.routing_key(self._values)
        return routing_key

    def routed(self, idempotent: bool) -> RoutedRequest:
        """Return what a balancing policy is told of the request (`Message`)."""
        query = self._query
        return self.encoder.routed(
            query.text,
            self._state.keyspace or query.keyspace,
            idempotent=idempotent,
            is_lwt=query.is_lwt,
            table=self._state.table or None,
            routing_key=lambda: self.routing_key,
            token=self.token,
        )

    def body(self) -> bytes:
        """Return the body (`Message`). Raises UsageError if it is too long for a frame."""
        parameters = self._parameters
        body = join(
            parameters.payload,
            self._state.prefix,
            parameters.head,
            self._values,
            parameters.before,
            self._timestamp,
            parameters.after,
        )
        if len(body) > MAX_FRAME:
            check_body(len(body))
        return body

    def copy(self) -> ExecuteMessage:
        """Return a message that says the same (`Message`)."""
        return self._with(self._parameters)

    def carry(self, told: Mapping[str, bytes | None]) -> None:
        """Say this, too (`Message`)."""
        self._parameters = self._parameters.carrying(self.encoder.payload_with(told))

    def consistency_offset(self) -> int:
        """Return where the consistency is in the body (`Message`): it is the first of the parameters."""
        return len(self._parameters.payload) + len(self._state.prefix)

    def fitted(self, body: bytes, layout: int, wanted: int) -> bytes:
        """Return the body in another layout (`Message`). Raises UsageError if it is too long for a frame.

        All layouts are of v4, where one byte of flags follows the consistency.
        """
        state, start = self._state, len(self._parameters.payload)
        rest = start + len(state.prefix_in(layout))
        flags = body[rest + 2] & ~QUERY_SKIP_METADATA
        if state.skips_in(wanted):
            flags |= QUERY_SKIP_METADATA
        stop = len(body) - 1 if layout & LAYOUT_TABLET_BLOCK else len(body)
        parts = [
            body[:start],
            state.prefix_in(wanted),
            body[rest : rest + 2],
            bytes((flags,)),
            body[rest + 3 : stop],
        ]
        if wanted & LAYOUT_TABLET_BLOCK:
            parts.append(self.tablet_block())
        fitted = b"".join(parts)
        check_body(len(fitted))
        return fitted

    def tablet_block(self) -> bytes:
        """Return the byte that tells a node which version of the tablet is known here, four bits at a time: any byte if
        none is known, 0 where the partition is not."""
        key = self.routing_key
        if key is None:
            return b"\x00"
        state = self._state
        block: bytes = self._reader.tablets.block(state.keyspace or self._query.keyspace, state.table, key)
        return block

    def read(self, flags: int, body: bytes, connection: Any) -> Response:
        """Read the answer (`Message`). A last page of the columns that are known is not parsed."""
        head = self._rows_head
        if not flags and head and begins_with(body, head):
            response = Response.__new__(Response)
            plan = self._plan
            assert plan is not None, "whose first bytes are known are its columns"
            response.page = plan.page(body, len(head) + 4, int_at(body, len(head)))
            if not cython.compiled:  # where it is, they begin like this
                response.paging_state = response.extras = None
            response.coordinator = connection.node
            return response
        return self._reader.read(flags, body, connection, self._query.answers, self._query, self._state)

    def texts(self) -> Sequence[PreparedQuery]:
        """Return the statement (`Message`)."""
        return (self._query,)

    def statement(self, statement_id: bytes) -> PreparedQuery | None:
        """Return the statement, if it has this id (`Message`)."""
        return self._query if statement_id == self._state.id else None

    def parts(self) -> Iterable[Part]:
        """Return the statement (`Message`)."""
        return ((self._query.text, self._state.bind_columns, self._values),)

    def reprepared(self, statement: PreparedQuery, former_id: bytes, state: PreparedState) -> None:
        """Go on with `state`; raises PreparedIdMismatch if the values were encoded for other types (`Message`)."""
        check_values_fit(statement, self._state, state)
        self._adopt(state)

    def fingerprint(self) -> bytes:
        """Return what its paging states are bound to."""
        query = self._query
        return statement_fingerprint(query.text, query.keyspace, self._state.bind_columns, self._values)

    def page(self, paging_state: bytes) -> ExecuteMessage:
        """Return the message that asks for the page after `paging_state`."""
        parameters = self.encoder.make(
            values=True, skip_metadata=self._state.skip_metadata, paging_state=paging_state
        )
        return self._with(parameters)

    def _with(self, parameters: EncodedParameters) -> ExecuteMessage:
        """Return a message that says the same with other parameters."""
        message = ExecuteMessage(
            self._query, self._state, self._values, self._timestamp, self.encoder, parameters, self._reader
        )
        message.token = self.token
        return message
