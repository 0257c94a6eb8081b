"""The requests of clients as they came in, parsed (section 4.1 of the protocol's v5 specification)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any

from .connection import ServerConnection
from .encoder import FLAG_PAYLOAD, FLAG_TRACING, Column, Opcode
from .errorcodes import Consistency
from .framing import Frame
from .node import ServerNode
from .scylla.settings import METADATA_ID
from .wire import BadRequest, Reader

_VALUES, _SKIP_METADATA, _PAGE_SIZE, _PAGING_STATE, _SERIAL = 0x01, 0x02, 0x04, 0x08, 0x10
_TIMESTAMP, _NAMES, _KEYSPACE, _NOW = 0x20, 0x40, 0x80, 0x100

_CONSISTENCIES = frozenset(Consistency)

RawValue = bytes | EllipsisType | None
"""The bytes of a bound value; None is null, Ellipsis a value that is not set."""


@dataclass
class BatchEntry:
    """One statement of a batch: the text, or the id of a prepared one and its text if the node knows it."""

    text: str
    id: bytes
    values: list[RawValue]


@dataclass
class Request:
    """One request as a node got it.

    Attributes:
        node: the node that was asked.
        connection: the connection that it came in on.
        version: of the protocol.
        stream: its stream id.
        opcode: what it asks for.
        body: its bytes after the header and the extras.
        tracing: whether it asks for tracing.
        payload: the custom payload.
        text: the query; of an EXECUTE, the text that was prepared ("" if the node does not know the id).
        id: of an EXECUTE, the prepared statement's id.
        metadata_id: of an EXECUTE (v5, or by an extension), the id of the metadata that the client has.
        tablet_block: of an EXECUTE (tablets-routing v2), four bits of the version of the tablet that the client knows.
        values: the bound values' bytes.
        names: their names, if the client gave some.
        entries: the statements of a batch.
        consistency, serial_consistency, page_size, paging_state, timestamp, keyspace, now_in_seconds: its options.
        skip_metadata: whether the client does without the columns of rows.
        options: of STARTUP.
        events: of REGISTER.
    """

    node: ServerNode
    connection: ServerConnection
    version: int
    stream: int
    opcode: int
    body: bytes = field(default=b"", repr=False)
    tracing: bool = False
    payload: Mapping[str, bytes | None] | None = None
    text: str = ""
    id: bytes = b""
    metadata_id: bytes = b""
    tablet_block: int | None = None
    values: list[RawValue] = field(default_factory=list, repr=False)
    names: list[str] = field(default_factory=list)
    entries: list[BatchEntry] = field(default_factory=list, repr=False)
    consistency: int | None = None
    serial_consistency: int | None = None
    skip_metadata: bool = False
    page_size: int | None = None
    paging_state: bytes | None = None
    timestamp: int | None = None
    keyspace: str | None = None
    now_in_seconds: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    @property
    def has_metadata_ids(self) -> bool:
        """Whether its prepared statements have ids of their rows' metadata."""
        return self.version >= 5 or METADATA_ID in self.connection.extensions

    @property
    def texts(self) -> list[str]:
        """The texts of all statements in it: several for a batch."""
        return [entry.text for entry in self.entries] if self.opcode == Opcode.BATCH else [self.text]

    @property
    def decoded_values(self) -> list[Any]:
        """The bound values, of all statements of a batch, decoded where the node knows their types; else bytes."""
        if self.opcode == Opcode.BATCH:
            return [value for entry in self.entries for value in self._decoded(entry.id, entry.values)]
        return self._decoded(self.id, self.values)

    def _decoded(self, id_: bytes, values: Sequence[RawValue]) -> list[Any]:
        statement = self.node.statement(id_)
        if statement is None:
            return list(values)
        columns: Sequence[Column] = statement.parameters
        if self.names:
            by_name = {column.name: column for column in columns}
            columns = [by_name[name] for name in self.names if name in by_name]
        pairs = zip(columns, values, strict=False)
        return [column.type.decode(raw) if isinstance(raw, bytes) else raw for column, raw in pairs]

    def __str__(self) -> str:
        name = Opcode(self.opcode).name if self.opcode in set(Opcode) else f"opcode {self.opcode:#x}"
        return f"{name} {'; '.join(self.texts)}".strip()


def parse(node: ServerNode, connection: ServerConnection, frame: Frame) -> Request:
    """Parse a frame, to its last byte. Raises BadRequest if it is not a valid request."""
    request = Request(node, connection, frame.version & 0x7F, frame.stream, frame.opcode)
    reader = Reader(frame.body)
    if frame.flags & FLAG_PAYLOAD:
        request.payload = reader.bytes_map()
    request.tracing = bool(frame.flags & FLAG_TRACING)
    request.body = frame.body
    parser = _PARSERS.get(frame.opcode)
    if parser is not None:
        parser(request, reader)
        if reader.left:
            raise BadRequest(f"{Opcode(frame.opcode).name} has {reader.left} bytes too many")
    return request


def _parse_startup(request: Request, reader: Reader) -> None:
    request.options = reader.string_map()


def _parse_register(request: Request, reader: Reader) -> None:
    request.events = reader.string_list()


def _parse_prepare(request: Request, reader: Reader) -> None:
    request.text = reader.long_string()
    if request.version >= 5 and reader.integer() & 1:
        request.keyspace = reader.string()


def _parse_query(request: Request, reader: Reader) -> None:
    request.text = reader.long_string()
    _parse_parameters(request, reader)


def _parse_execute(request: Request, reader: Reader) -> None:
    request.id = reader.short_bytes()
    request.text = request.node.prepared_text(request.id)
    if request.has_metadata_ids:
        request.metadata_id = reader.short_bytes()
    _parse_parameters(request, reader)
    scylla = request.node.scylla
    if scylla is not None and scylla.tablets_v2_name in request.connection.extensions:
        request.tablet_block = reader.byte()


def _parse_parameters(request: Request, reader: Reader) -> None:
    request.consistency = _consistency(reader)
    flags = _flags(request, reader)
    if flags & _VALUES:
        for _ in range(reader.short()):
            if flags & _NAMES:
                request.names.append(reader.string())
            request.values.append(reader.value())
    request.skip_metadata = bool(flags & _SKIP_METADATA)
    if flags & _PAGE_SIZE:
        request.page_size = reader.integer()
    if flags & _PAGING_STATE:
        request.paging_state = reader.nullable_bytes()
    _parse_options(request, reader, flags)


def _parse_batch(request: Request, reader: Reader) -> None:
    reader.byte()  # logged, unlogged or counter
    for _ in range(reader.short()):
        id_ = reader.short_bytes() if reader.byte() else b""
        text = request.node.prepared_text(id_) if id_ else reader.long_string()
        request.entries.append(BatchEntry(text, id_, [reader.value() for _ in range(reader.short())]))
    request.consistency = _consistency(reader)
    _parse_options(request, reader, _flags(request, reader))


def _parse_options(request: Request, reader: Reader, flags: int) -> None:
    """Read the options that queries and batches share."""
    if flags & _SERIAL:
        request.serial_consistency = _consistency(reader)
    if flags & _TIMESTAMP:
        request.timestamp = reader.long()
    if flags & _KEYSPACE:
        request.keyspace = reader.string()
    if flags & _NOW:
        request.now_in_seconds = reader.integer()


def _flags(request: Request, reader: Reader) -> int:
    return reader.integer() if request.version >= 5 else reader.byte()


def _consistency(reader: Reader) -> int:
    number = reader.short()
    if number not in _CONSISTENCIES:
        raise BadRequest(f"there is no consistency level {number}")
    return Consistency(number)


_PARSERS: dict[int, Callable[[Request, Reader], None]] = {
    Opcode.STARTUP: _parse_startup,
    Opcode.REGISTER: _parse_register,
    Opcode.PREPARE: _parse_prepare,
    Opcode.QUERY: _parse_query,
    Opcode.EXECUTE: _parse_execute,
    Opcode.BATCH: _parse_batch,
}
