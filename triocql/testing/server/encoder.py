"""The bodies of all messages that a node sends (sections 4.2 and 8 of the protocol's v5 specification)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple
from uuid import UUID

from . import wire
from .types import CqlType

FLAG_COMPRESSED, FLAG_TRACING, FLAG_PAYLOAD, FLAG_WARNING, FLAG_BETA = 0x01, 0x02, 0x04, 0x08, 0x10
_GLOBAL_TABLE, _MORE_PAGES, _NO_METADATA, _METADATA_CHANGED = 0x01, 0x02, 0x04, 0x08
_VOID, _ROWS, _SET_KEYSPACE, _PREPARED, _SCHEMA_CHANGE = 1, 2, 3, 4, 5


class Opcode(IntEnum):
    """The kinds of messages."""

    ERROR = 0x00
    STARTUP = 0x01
    READY = 0x02
    AUTHENTICATE = 0x03
    OPTIONS = 0x05
    SUPPORTED = 0x06
    QUERY = 0x07
    RESULT = 0x08
    PREPARE = 0x09
    EXECUTE = 0x0A
    REGISTER = 0x0B
    EVENT = 0x0C
    BATCH = 0x0D
    AUTH_CHALLENGE = 0x0E
    AUTH_RESPONSE = 0x0F
    AUTH_SUCCESS = 0x10


class Column(NamedTuple):
    """A column of rows, or of bind markers."""

    keyspace: str
    table: str
    name: str
    type: CqlType


def metadata_id(columns: Sequence[Column]) -> bytes:
    """Return the id of a result's metadata (v5): the same for the same columns."""
    described = b"".join(map(_spec, columns, [5] * len(columns)))
    return hashlib.md5(described, usedforsecurity=False).digest()


# --- RESULT --------------------------------------------------------------------------------------------------


def void() -> bytes:
    """RESULT: nothing."""
    return wire.integer(_VOID)


def rows(
    version: int,
    columns: Sequence[Column],
    cells: Iterable[Sequence[bytes | None]],
    *,
    paging_state: bytes | None = None,
    describe: bool = True,
    new_metadata_id: bytes | None = None,
) -> bytes:
    """RESULT: rows.

    Args:
        version: of the protocol.
        columns: the columns.
        cells: for each row its cells' bytes.
        paging_state: where the next page begins, None after the last.
        describe: whether to send what the columns are.
        new_metadata_id: the id of metadata that has changed (v5).
    """
    metadata = _rows_metadata(version, columns, paging_state, describe, new_metadata_id)
    encoded = [b"".join(map(wire.value, row)) for row in cells]
    return wire.integer(_ROWS) + metadata + wire.integer(len(encoded)) + b"".join(encoded)


def _rows_metadata(
    version: int,
    columns: Sequence[Column],
    paging_state: bytes | None = None,
    describe: bool = True,
    new_metadata_id: bytes | None = None,
) -> bytes:
    flags = _MORE_PAGES if paging_state is not None else 0
    body = wire.value(paging_state) if paging_state is not None else b""
    if new_metadata_id is not None:
        flags |= _METADATA_CHANGED
        body += wire.short_bytes(new_metadata_id)
    more, specs = _specs(version, columns)
    flags |= more  # Cassandra leaves out the columns, but not the flag of their table
    if describe:
        body += specs
    else:
        flags |= _NO_METADATA
    return wire.integer(flags) + wire.integer(len(columns)) + body


def _specs(version: int, columns: Sequence[Column]) -> tuple[int, bytes]:
    """Return the flag and the bytes of what the columns are; their table is said once if it is the same."""
    tables = {(column.keyspace, column.table) for column in columns}
    if len(tables) != 1:
        return 0, b"".join(_spec(column, version) for column in columns)
    keyspace, table = tables.pop()
    each = b"".join(wire.string(column.name) + column.type.option(version) for column in columns)
    return _GLOBAL_TABLE, wire.string(keyspace) + wire.string(table) + each


def _spec(column: Column, version: int) -> bytes:
    names = wire.string(column.keyspace) + wire.string(column.table) + wire.string(column.name)
    return names + column.type.option(version)


def set_keyspace(keyspace: str) -> bytes:
    """RESULT: the answer to USE."""
    return wire.integer(_SET_KEYSPACE) + wire.string(keyspace)


def prepared(
    version: int,
    statement_id: bytes,
    parameters: Sequence[Column],
    key: Sequence[int],
    result: Sequence[Column] | None,
    result_id: bytes | None = None,
    *,
    with_id: bool = False,
    mark: int = 0,
) -> bytes:
    """RESULT: the answer to PREPARE.

    Args:
        version: of the protocol.
        statement_id: the id.
        parameters: the columns of the bind markers.
        key: for each part of the partition key its index among them (since v4).
        result: the columns of the rows to come, None if there will be no rows.
        result_id: the id of their metadata (v5), made of the columns unless given.
        with_id: whether versions before v5 have this id, too (an extension of ScyllaDB).
        mark: a flag that is none of the protocol's (another one).
    """
    body = wire.integer(_PREPARED) + wire.short_bytes(statement_id)
    if version >= 5 or with_id:
        body += wire.short_bytes(metadata_id(result or ()) if result_id is None else result_id)
    flags, specs = _specs(version, parameters)
    body += wire.unsigned(flags | mark) + wire.integer(len(parameters))
    if version >= 4:
        body += wire.integer(len(key)) + b"".join(map(wire.short, key))
    return body + specs + _rows_metadata(version, result or (), describe=result is not None)


def schema_change(
    change: str, target: str, keyspace: str, name: str | None = None, arguments: Sequence[str] | None = None
) -> bytes:
    """The content of a change of the schema, as an event has it; a RESULT has it after its kind.

    Args:
        change: "CREATED", "UPDATED" or "DROPPED".
        target: "KEYSPACE", "TABLE", "TYPE", "FUNCTION" or "AGGREGATE".
        keyspace: the keyspace.
        name: of the table, type, function or aggregate.
        arguments: the types of a function's or aggregate's arguments.
    """
    body = wire.string(change) + wire.string(target) + wire.string(keyspace)
    if name is not None:
        body += wire.string(name)
    return body + (wire.string_list(arguments or ()) if target in ("FUNCTION", "AGGREGATE") else b"")


def schema_changed(*change: Any) -> bytes:
    """RESULT: a change of the schema; the arguments are those of `schema_change`."""
    return wire.integer(_SCHEMA_CHANGE) + schema_change(*change)


# --- Others --------------------------------------------------------------------------------------------------


def supported(options: Mapping[str, Sequence[str]]) -> bytes:
    """SUPPORTED."""
    return wire.string_multimap(options)


def authenticate(class_name: str) -> bytes:
    """AUTHENTICATE."""
    return wire.string(class_name)


def auth_token(token: bytes | None) -> bytes:
    """AUTH_CHALLENGE or AUTH_SUCCESS."""
    return wire.value(token)


def node_event(kind: str, change: str, address: str, port: int) -> bytes:
    """EVENT: TOPOLOGY_CHANGE or STATUS_CHANGE."""
    return wire.string(kind) + wire.string(change) + wire.inet(address, port)


def schema_event(*change: Any) -> bytes:
    """EVENT: SCHEMA_CHANGE; the arguments are those of `schema_change`."""
    return wire.string("SCHEMA_CHANGE") + schema_change(*change)


def client_routes_event(change: str, connection_ids: Sequence[str], host_ids: Sequence[str]) -> bytes:
    """EVENT: CLIENT_ROUTES_CHANGE (ScyllaDB)."""
    names = wire.string("CLIENT_ROUTES_CHANGE") + wire.string(change)
    return names + wire.string_list(connection_ids) + wire.string_list(host_ids)


def extras(
    tracing_id: UUID | None, warnings: Sequence[str], payload: Mapping[str, bytes | None] | None
) -> tuple[int, bytes]:
    """Return the flags and the bytes of what goes before a message's body."""
    flags, body = 0, b""
    if tracing_id is not None:
        flags, body = FLAG_TRACING, tracing_id.bytes
    if warnings:
        flags, body = flags | FLAG_WARNING, body + wire.string_list(warnings)
    if payload is not None:
        flags, body = flags | FLAG_PAYLOAD, body + wire.bytes_map(payload)
    return flags, body
