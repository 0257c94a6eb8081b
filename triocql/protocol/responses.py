"""The messages that servers send (section 4.2 of the specifications), errors excepted: see `failures`."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from triocql.errors import LimitExceeded, ProtocolError, ResponseError
from triocql.protocol import constants as c
from triocql.protocol.constants import Opcode, ResultKind
from triocql.protocol.failures import read_error
from triocql.protocol.features import PLAIN
from triocql.protocol.reader import IPAddress, Reader
from triocql.protocol.types import ColumnSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from triocql.protocol.features import Features

_TWO_INTS = struct.Struct(">ii")

_INT = struct.Struct(">i")

_FLAGS_AND_INT = struct.Struct(">Ii")

_NOTHING_FOLLOWS = frozenset((c.ROWS_NO_METADATA, c.ROWS_NO_METADATA | c.ROWS_GLOBAL_TABLE_SPEC))
"""The flags of rows that come without a word about their columns: those of prepared statements, mostly."""

_EXTRAS = c.FLAG_TRACING | c.FLAG_WARNING | c.FLAG_CUSTOM_PAYLOAD
_KNOWN_FLAGS = _EXTRAS | c.FLAG_BETA
_ROWS_FLAGS = c.ROWS_GLOBAL_TABLE_SPEC | c.ROWS_HAS_MORE_PAGES | c.ROWS_NO_METADATA | c.ROWS_METADATA_CHANGED


class MissingColumns(ProtocolError):
    """Rows came without their columns, which are not known, or were others."""


class Extras(NamedTuple):
    """What few answers have.

    Attributes:
        tracing_id: the id of the trace; it may precede any message, as the next two.
        warnings: those of the server.
        payload: a custom payload.
        schema_change: the change that was made of the schema, if the message is about one.
        schema_agreed: whether all nodes have it, as far as that was found out.
    """

    tracing_id: UUID | None = None
    warnings: tuple[str, ...] = ()
    payload: dict[str, bytes | None] | None = None
    schema_change: SchemaChange | None = None
    schema_agreed: bool | None = None


NO_EXTRAS = Extras()


@dataclass(frozen=True, slots=True)
class Ready:
    """READY: the connection, or its registration for events, is set up."""


@dataclass(frozen=True, slots=True)
class Supported:
    """SUPPORTED: what STARTUP may ask for, and the protocol versions."""

    options: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Authenticate:
    """AUTHENTICATE: the class of the server's authenticator."""

    server_class: str


@dataclass(frozen=True, slots=True)
class AuthChallenge:
    """AUTH_CHALLENGE: the server's next token."""

    token: bytes | None


@dataclass(frozen=True, slots=True)
class AuthSuccess:
    """AUTH_SUCCESS: the server's last token."""

    token: bytes | None


@dataclass(frozen=True, slots=True)
class TopologyChange:
    """An event: a node was added or removed; `change` is "NEW_NODE", "REMOVED_NODE" or "MOVED_NODE"."""

    change: str
    address: IPAddress
    port: int


@dataclass(frozen=True, slots=True)
class StatusChange:
    """An event: a node went "UP" or "DOWN"."""

    change: str
    address: IPAddress
    port: int


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """The result of a statement that changes the schema, and the event of such a change.

    Attributes:
        change: "CREATED", "UPDATED" or "DROPPED".
        target: "KEYSPACE", "TABLE", "TYPE", "FUNCTION" or "AGGREGATE".
        keyspace: where it happened.
        name: of the table, type, function or aggregate; "" if the target is a keyspace. Cassandra tells "?" for each
            character of a type's or a function's name that is beyond Latin-1.
        arg_types: of the function or aggregate, as CQL.
    """

    change: str
    target: str
    keyspace: str
    name: str = ""
    arg_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientRoutesChange:
    """An event of ScyllaDB: nodes are reached otherwise by these connections.

    Attributes:
        change: "UPDATE_NODES".
        connection_ids: of the connections.
        host_ids: of the nodes, one for each of these.
    """

    change: str
    connection_ids: tuple[str, ...]
    host_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a kind that is not known; nobody registered for it."""

    kind: str


Event = TopologyChange | StatusChange | SchemaChange | ClientRoutesChange | UnknownEvent


@dataclass(frozen=True, slots=True)
class Void:
    """A result without content."""


@dataclass(frozen=True, slots=True)
class SetKeyspace:
    """The result of USE."""

    keyspace: str


@dataclass(frozen=True, slots=True)
class RowsMetadata:
    """The columns of rows.

    Attributes:
        columns: one a column, in order.
        raw: the bytes that describe them, by which they are recognized when they come again.
        global_spec: whether `raw` starts with one keyspace and table for all columns.
    """

    columns: tuple[ColumnSpec, ...]
    raw: bytes
    global_spec: bool

    @property
    def column_count(self) -> int:
        """The number of columns."""
        return len(self.columns)


class RowsHeader(NamedTuple):
    """The part of a RESULT of rows that precedes their cells.

    Attributes:
        metadata: the columns; None if they were left out, as asked for.
        column_count: the number of columns.
        paging_state: where this page ends; None on the last one.
        new_metadata_id: the id of `metadata` if it changed since the statement was prepared (v5, and where ids of
            metadata were agreed upon).
        row_count: the number of rows.
        rows_offset: where in the body the first cell starts.
    """

    metadata: RowsMetadata | None
    column_count: int
    paging_state: bytes | None
    new_metadata_id: bytes | None
    row_count: int
    rows_offset: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """The result of PREPARE.

    Attributes:
        id: of the statement.
        metadata_id: of `result_metadata` (v5, and where that was agreed upon).
        bind_columns: one a bind marker.
        pk_indexes: which bind markers make up the partition key, in its order; empty if not all do (v4).
        result_metadata: the columns of the rows to come; None if there will be none, or if it is not known.
        is_lwt: whether it is a lightweight transaction; None where nodes do not tell.
    """

    id: bytes
    metadata_id: bytes | None
    bind_columns: tuple[ColumnSpec, ...]
    pk_indexes: tuple[int, ...]
    result_metadata: RowsMetadata | None
    is_lwt: bool | None = None


Result = Void | RowsHeader | SetKeyspace | Prepared | SchemaChange
Message = Ready | Supported | Authenticate | AuthChallenge | AuthSuccess | Event | Result | ResponseError

_RESULT = int(Opcode.RESULT)
_VOID = int(ResultKind.VOID).to_bytes(4, "big")

READY = Ready()
VOID = Void()


def split_extras(flags: int, body: bytes) -> tuple[Extras | None, int]:
    """Return what precedes the message in a body, None if nothing does, and where the message starts."""
    if flags & ~_KNOWN_FLAGS:
        raise ProtocolError(f"a frame has unknown flags: {flags:#04x}")
    if not flags & _EXTRAS:
        return None, 0
    reader = Reader(body)
    tracing_id = reader.uuid() if flags & c.FLAG_TRACING else None
    warnings = reader.string_list() if flags & c.FLAG_WARNING else ()
    payload = reader.bytes_map() if flags & c.FLAG_CUSTOM_PAYLOAD else None
    return Extras(tracing_id, warnings, payload), reader.pos


def decode_message(
    opcode: int,
    body: bytes,
    pos: int,
    version: int,
    known: RowsMetadata | None = None,
    features: Features = PLAIN,
) -> Message:
    """Return the message at `pos` of a body; an ERROR is returned, too, not raised.

    `known` is what is known of the columns of rows, `features` are those of the connection. Raises ProtocolError for
    what is no valid response.
    """
    if opcode == _RESULT and body.startswith(_VOID, pos):
        return VOID
    decode = _MESSAGES.get(opcode)
    if decode is None:
        raise ProtocolError(f"opcode {opcode:#04x} is no response")
    return decode(Reader(body, pos), version, known, features)


def read_answer(opcode: int, flags: int, body: bytes, version: int, features: Features = PLAIN) -> Message:
    """Return the message of a response, whatever precedes it in the body; an ERROR is returned, too, not raised.

    Raises ProtocolError for what is no valid response.
    """
    return decode_message(opcode, body, split_extras(flags, body)[1], version, None, features)


def read_rows_header(
    body: bytes,
    pos_after_kind: int,
    version: int,
    known: RowsMetadata | None = None,
    features: Features = PLAIN,
) -> RowsHeader:
    """Return what precedes the cells of rows.

    If their columns are described by the same bytes as `known`, it is returned as it is, without parsing.
    Raises ProtocolError if the rows cannot be in the bytes that follow, and MissingColumns if they are not as wide as
    `known`.
    """
    start = pos_after_kind + 8
    if len(body) < start + 4:
        raise ProtocolError(f"the metadata of rows end early: the message has {len(body)} bytes in all")
    flags, column_count = _TWO_INTS.unpack_from(body, pos_after_kind)
    paging_state = new_metadata_id = metadata = None
    if flags not in _NOTHING_FOLLOWS:
        if flags & ~_ROWS_FLAGS:
            raise ProtocolError(f"rows have unknown flags: {flags:#x}")
        reader = Reader(body, start)
        paging_state, new_metadata_id = _rows_extras(reader, flags, version, features)
        if not flags & c.ROWS_NO_METADATA:
            metadata = _rows_metadata(reader, flags, column_count, known)
        reader.check(4)
        start = reader.pos
    if metadata is None and known is not None and len(known.columns) != column_count:
        raise MissingColumns(
            f"rows have {column_count} columns and no description; the statement was prepared with {len(known.columns)}"
        )
    row_count = _INT.unpack_from(body, start)[0]
    start += 4
    left = len(body) - start
    # Rows without columns would take no bytes, however many there are.
    if row_count < 0 or column_count < (row_count > 0) or row_count * column_count * 4 > left:
        raise LimitExceeded(f"{row_count} rows of {column_count} columns are announced in {left} bytes")
    return RowsHeader(metadata, column_count, paging_state, new_metadata_id, row_count, start)


def rows_head(metadata: RowsMetadata, *, described: bool) -> bytes:
    """Return the bytes of a RESULT of rows up to their number, for a last page of these columns.

    `described` says whether the columns are, or were left out as asked for.
    """
    # Cassandra sets both flags when it leaves the columns out.
    flags = c.ROWS_NO_METADATA | c.ROWS_GLOBAL_TABLE_SPEC
    if described:
        flags = c.ROWS_GLOBAL_TABLE_SPEC if metadata.global_spec else 0
    head = _INT.pack(ResultKind.ROWS) + _TWO_INTS.pack(flags, len(metadata.columns))
    return head + metadata.raw if described else head


def _has_ids(version: int, features: Features) -> bool:
    """Return whether ids of metadata are told on a connection."""
    return version >= c.V5 or features.metadata_ids


def _rows_extras(
    reader: Reader, flags: int, version: int, features: Features
) -> tuple[bytes | None, bytes | None]:
    """Read paging state and new metadata id."""
    paging_state = reader.nullable_bytes() if flags & c.ROWS_HAS_MORE_PAGES else None
    changed = flags & c.ROWS_METADATA_CHANGED and _has_ids(version, features)
    return paging_state, reader.short_bytes() if changed else None


def _rows_metadata(reader: Reader, flags: int, column_count: int, known: RowsMetadata | None) -> RowsMetadata:
    global_spec = bool(flags & c.ROWS_GLOBAL_TABLE_SPEC)
    start = reader.pos
    if (
        known is not None
        and len(known.columns) == column_count
        and known.global_spec == global_spec
        and reader.body.startswith(known.raw, start)
    ):
        reader.pos += len(known.raw)
        return known
    columns = _columns(reader, global_spec, column_count)
    return RowsMetadata(columns, reader.body[start : reader.pos], global_spec)


def _columns(reader: Reader, global_spec: bool, count: int) -> tuple[ColumnSpec, ...]:
    if count > c.MAX_SHORT:
        raise LimitExceeded(f"{count} columns or bind markers are announced; the limit is {c.MAX_SHORT}")
    if global_spec and count:
        keyspace, table = reader.string(), reader.string()
        reader.count(count, 4)
        return tuple(ColumnSpec(keyspace, table, reader.string(), reader.cql_type()) for _ in range(count))
    reader.count(count, 8)
    return tuple(
        ColumnSpec(reader.string(), reader.string(), reader.string(), reader.cql_type()) for _ in range(count)
    )


def _result(reader: Reader, version: int, known: RowsMetadata | None, features: Features) -> Result:
    kind = reader.int32()
    if kind == ResultKind.ROWS:
        return read_rows_header(reader.body, reader.pos, version, known, features)
    if kind == ResultKind.SET_KEYSPACE:
        return SetKeyspace(reader.string())
    if kind == ResultKind.PREPARED:
        return _prepared(reader, version, features)
    if kind == ResultKind.SCHEMA_CHANGE:
        return _schema_change(reader)
    raise ProtocolError(f"result kind {kind} is not known")


def _prepared(reader: Reader, version: int, features: Features) -> Prepared:
    statement_id = reader.short_bytes()
    metadata_id = reader.short_bytes() if _has_ids(version, features) else None
    flags, count = _FLAGS_AND_INT.unpack(reader.raw(8))
    mask = features.lwt_mask
    is_lwt = flags & mask == mask if mask else None
    pk_indexes = _pk_indexes(reader, reader.count(count, 4)) if version >= c.V4 else ()
    bind_columns = _columns(reader, bool(flags & c.ROWS_GLOBAL_TABLE_SPEC), count)
    flags, count = _TWO_INTS.unpack(reader.raw(8))
    _rows_extras(reader, flags, version, features)
    described = count and not flags & c.ROWS_NO_METADATA
    result_metadata = _rows_metadata(reader, flags, count, None) if described else None
    return Prepared(statement_id, metadata_id, bind_columns, pk_indexes, result_metadata, is_lwt)


def _pk_indexes(reader: Reader, columns: int) -> tuple[int, ...]:
    indexes = tuple(reader.short() for _ in range(reader.count(reader.int32(), 2)))
    if max(indexes, default=-1) >= columns:
        raise ProtocolError(
            f"the partition key is in bind marker {max(indexes)} of {columns}, counted from 0"
        )
    return indexes


def _schema_change(reader: Reader) -> SchemaChange:
    change, target, keyspace = reader.string(), reader.string(), reader.name()
    if target == "KEYSPACE":
        return SchemaChange(change, target, keyspace)
    name = reader.name()
    if target in ("FUNCTION", "AGGREGATE"):
        return SchemaChange(change, target, keyspace, name, reader.names())
    return SchemaChange(change, target, keyspace, name)


def _event(reader: Reader) -> Event:
    kind = reader.string()
    if kind == "TOPOLOGY_CHANGE":
        return TopologyChange(reader.string(), reader.address(), reader.int32())
    if kind == "STATUS_CHANGE":
        return StatusChange(reader.string(), reader.address(), reader.int32())
    if kind == "SCHEMA_CHANGE":
        return _schema_change(reader)
    if kind == "CLIENT_ROUTES_CHANGE":
        return ClientRoutesChange(reader.string(), reader.string_list(), reader.string_list())
    return UnknownEvent(kind)


_MESSAGES: dict[int, Callable[[Reader, int, RowsMetadata | None, Features], Message]] = {
    Opcode.ERROR: lambda reader, version, known, features: read_error(reader, version, features),
    Opcode.READY: lambda reader, *_: READY,
    Opcode.AUTHENTICATE: lambda reader, *_: Authenticate(reader.string()),
    Opcode.SUPPORTED: lambda reader, *_: Supported(reader.string_multimap()),
    Opcode.RESULT: _result,
    Opcode.EVENT: lambda reader, *_: _event(reader),
    Opcode.AUTH_CHALLENGE: lambda reader, *_: AuthChallenge(reader.nullable_bytes()),
    Opcode.AUTH_SUCCESS: lambda reader, *_: AuthSuccess(reader.nullable_bytes()),
}
