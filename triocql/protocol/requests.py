"""The bodies of requests (section 4.1 of the specifications).

Everything is checked before a byte is made: what a version cannot say raises UsageError, what does not fit
its length field BindValueError.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triocql._brief import brief
from triocql.errors import BindValueError, UsageError
from triocql.protocol import constants as c
from triocql.protocol.frames import check_body
from triocql.protocol.reader import Reader
from triocql.protocol.types import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_SHORT = struct.Struct(">H")
_INT = struct.Struct(">i")
_LONG = struct.Struct(">q")
_CONSISTENCY_AND_INT = struct.Struct(">HI")
_CONSISTENCY_AND_BYTE = struct.Struct(">HB")

NO_VALUES = b"\x00\x00"
"""The values of a statement that has none, as a batch wants them."""


@dataclass(frozen=True, slots=True)
class QueryParameters:
    """The parameters of QUERY and EXECUTE: values, consistency, pages, and the rest.

    Attributes:
        consistency: the level to read or write at.
        values: the bound values as the wire has them: their number as a [short], then each as a [value], with
            its name as a [string] before it if `value_names` is set. None: no values.
        value_names: whether `values` has names.
        skip_metadata: ask for rows without the description of their columns.
        page_size: rows a page; None: all in one.
        paging_state: where the page before ended, as that page said.
        serial_consistency: the level of the serial phase of conditional updates.
        timestamp: the time of writing in microseconds since 1970; None: the coordinator's.
        keyspace: the keyspace of unqualified table names, in place of the connection's (v5).
        now_in_seconds: the time that expirations are judged by, in seconds since 1970 (v5).
    """

    consistency: int = c.Consistency.LOCAL_ONE
    values: bytes | None = None
    value_names: bool = False
    skip_metadata: bool = False
    page_size: int | None = None
    paging_state: bytes | None = None
    serial_consistency: int | None = None
    timestamp: int | None = None
    keyspace: str | None = None
    now_in_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """A statement of a batch: its CQL text or its prepared id, and its values as in `QueryParameters`."""

    statement: str | bytes
    values: bytes = NO_VALUES


def startup(options: Mapping[str, str]) -> bytes:
    """Return the body of STARTUP."""
    parts = [_short(len(options), "options of STARTUP")]
    for name, value in options.items():
        parts += (encode_string(name), encode_string(value))
    return b"".join(parts)


def options() -> bytes:
    """Return the body of OPTIONS, which is empty."""
    return b""


def auth_response(token: bytes | None) -> bytes:
    """Return the body of AUTH_RESPONSE."""
    return _encode_bytes(token)


def register(events: Sequence[str]) -> bytes:
    """Return the body of REGISTER: "TOPOLOGY_CHANGE", "STATUS_CHANGE" and "SCHEMA_CHANGE" are the events."""
    return _short(len(events), "event types") + b"".join(map(encode_string, events))


def query(version: int, text: str, parameters: QueryParameters) -> bytes:
    """Return the body of QUERY."""
    return b"".join((encode_long_string(text), *_parameters(version, parameters)))


def use(version: int, keyspace: str) -> bytes:
    """Return the body of the QUERY that moves a connection to `keyspace`."""
    return query(version, f"USE {quoted(keyspace)}", QueryParameters())


def prepare(version: int, text: str, keyspace: str | None = None) -> bytes:
    """Return the body of PREPARE; `keyspace` needs v5."""
    _check_v5(version, "keyspace", keyspace)
    body = encode_long_string(text)
    if version >= c.V5:
        body += _INT.pack(0) if keyspace is None else _INT.pack(c.PREPARE_KEYSPACE) + encode_string(keyspace)
    check_body(len(body))
    return body


def execute(
    version: int, statement_id: bytes, metadata_id: bytes | None, parameters: QueryParameters
) -> bytes:
    """Return the body of EXECUTE; `metadata_id` is what PREPARED said in v5, None before."""
    return b"".join((execute_id(version, statement_id, metadata_id), *_parameters(version, parameters)))


def execute_id(version: int, statement_id: bytes, metadata_id: bytes | None) -> bytes:
    """Return what EXECUTE starts with; `parameters_head`, the values and `parameters_tail` follow."""
    if version < c.V5:
        return _short_bytes(statement_id)
    if metadata_id is None:
        raise UsageError("EXECUTE needs the id of the result's metadata in protocol v5")
    return _short_bytes(statement_id) + _short_bytes(metadata_id)


def extended_execute_id(statement_id: bytes, metadata_id: bytes | None) -> bytes:
    """Return what EXECUTE starts with in v4 where ids of metadata were agreed upon; None for one that is not known."""
    return _short_bytes(statement_id) + _short_bytes(metadata_id or b"")


def batch(version: int, kind: int, entries: Iterable[BatchEntry], parameters: QueryParameters) -> bytes:
    """Return the body of BATCH.

    Of `parameters`, those that belong to single statements or to pages have to be left out.
    """
    if parameters.values is not None or parameters.value_names:
        raise UsageError("values of a batch belong to its statements, and have no names there")
    if parameters.skip_metadata or parameters.page_size is not None or parameters.paging_state is not None:
        raise UsageError("a batch has no pages: page_size, paging_state and skip_metadata do not go with it")
    statements = [_entry(entry) for entry in entries]
    head = bytes((kind,)) + _short(len(statements), "statements of a batch")
    return b"".join(
        (head, *statements, parameters_head(version, parameters), parameters_tail(version, parameters))
    )


def batch_entries(body: bytes) -> Iterator[BatchEntry]:
    """Give the statements of a batch as they were given to `batch`."""
    reader = Reader(body, 1)
    for _ in range(reader.short()):
        statement = reader.short_bytes() if reader.byte() else reader.raw(reader.int32()).decode()
        begin = reader.pos
        for _ in range(reader.short()):
            reader.nullable_bytes()
        yield BatchEntry(statement, body[begin : reader.pos])


def with_statement_id(body: bytes, former: bytes, new: bytes) -> bytes:
    """Return the body of a batch with another id of one of its prepared statements."""
    entries = list(batch_entries(body))
    changed = [
        BatchEntry(new, entry.values)
        if isinstance(entry.statement, bytes)
        and entry.statement == former  # `-bb` lets no text be compared with it
        else entry
        for entry in entries
    ]
    first = 3  # the kind, and how many there are
    rest = first + sum(len(_entry(entry)) for entry in entries)
    return b"".join((body[:first], *map(_entry, changed), body[rest:]))


def parameters_head(version: int, parameters: QueryParameters) -> bytes:
    """Return the part of the parameters before the values: consistency and flags."""
    flags = _flags(parameters)
    # The flags have four bytes in v5, one before it: the options that came with v5 have no place there.
    if version >= c.V5:
        return _CONSISTENCY_AND_INT.pack(parameters.consistency, flags)
    _check_v5(version, "keyspace", parameters.keyspace)
    _check_v5(version, "now_in_seconds", parameters.now_in_seconds)
    return _CONSISTENCY_AND_BYTE.pack(parameters.consistency, flags)


def parameters_tail(version: int, parameters: QueryParameters) -> bytes:
    """Return the part of the parameters after the values."""
    p = parameters
    parts = []
    if p.page_size is not None:
        parts.append(_number(_INT, p.page_size, "page_size"))
    if p.paging_state is not None:
        parts.append(_encode_bytes(p.paging_state))
    if p.serial_consistency is not None:
        parts.append(_SHORT.pack(p.serial_consistency))
    if p.timestamp is not None:
        parts.append(_number(_LONG, p.timestamp, "timestamp"))
    if p.keyspace is not None:
        parts.append(encode_string(p.keyspace))
    if p.now_in_seconds is not None:
        parts.append(_number(_INT, p.now_in_seconds, "now_in_seconds"))
    return b"".join(parts)


def encode_payload(version: int, payload: Mapping[str, bytes | None]) -> bytes:
    """Return a custom payload; it goes before a body whose frame has the flag 0x04. Needs v4."""
    if version < c.V4:
        raise UsageError(f"custom_payload needs protocol v4, this connection speaks v{version}")
    parts = [_short(len(payload), "entries of a custom payload")]
    for name, value in payload.items():
        parts += (encode_string(name), _encode_bytes(value))
    return b"".join(parts)


def encode_string(text: str) -> bytes:
    """Return a [string]."""
    data = _utf8(text)
    return _short(len(data), "bytes of a string") + data


def encode_long_string(text: str) -> bytes:
    """Return a [long string]."""
    return _encode_bytes(_utf8(text))


def _entry(entry: BatchEntry) -> bytes:
    if isinstance(entry.statement, str):
        return b"\x00" + encode_long_string(entry.statement) + entry.values
    return b"\x01" + _short_bytes(entry.statement) + entry.values


def _parameters(version: int, parameters: QueryParameters) -> tuple[bytes, bytes, bytes]:
    head = parameters_head(version, parameters)
    return head, parameters.values or b"", parameters_tail(version, parameters)


def _flags(p: QueryParameters) -> int:
    if p.value_names and p.values is None:
        raise UsageError("value_names without values")
    return (
        (p.values is not None and c.QUERY_VALUES)
        | (p.skip_metadata and c.QUERY_SKIP_METADATA)
        | (p.page_size is not None and c.QUERY_PAGE_SIZE)
        | (p.paging_state is not None and c.QUERY_PAGING_STATE)
        | (p.serial_consistency is not None and c.QUERY_SERIAL_CONSISTENCY)
        | (p.timestamp is not None and c.QUERY_TIMESTAMP)
        | (p.value_names and c.QUERY_VALUE_NAMES)
        | (p.keyspace is not None and c.QUERY_KEYSPACE)
        | (p.now_in_seconds is not None and c.QUERY_NOW_IN_SECONDS)
    )


def _check_v5(version: int, name: str, value: object) -> None:
    if value is not None and version < c.V5:
        raise UsageError(f"{name} needs protocol v5, this connection speaks v{version}")


def _short(count: int, what: str) -> bytes:
    if count > c.MAX_SHORT:
        raise BindValueError(f"{count} {what}; the protocol allows {c.MAX_SHORT}")
    return _SHORT.pack(count)


def _short_bytes(data: bytes) -> bytes:
    return _short(len(data), "bytes of an id") + data


def _encode_bytes(data: bytes | None) -> bytes:
    if data is None:
        return b"\xff\xff\xff\xff"
    if len(data) > c.MAX_INT:
        raise BindValueError(f"{len(data)} bytes in one value; the protocol allows {c.MAX_INT}")
    return _INT.pack(len(data)) + data


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BindValueError(f"a text cannot be encoded as UTF-8: {error.reason} at {error.start}") from None


def _number(layout: struct.Struct, value: int, name: str) -> bytes:
    try:
        return layout.pack(value)
    except struct.error as error:
        raise BindValueError(
            f"{name} is {brief(value)}; it has to be an integer of {layout.size} bytes"
        ) from error
