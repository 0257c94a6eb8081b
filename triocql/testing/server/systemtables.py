"""The system tables: what each node says of itself, of its peers, and of the schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .log import normal
from .node import Row, ServerNode


class SystemTable(NamedTuple):
    """A table: its columns with the names of their types, and its rows as a node tells them."""

    columns: Mapping[str, str]
    rows: Callable[[ServerNode], list[Row]]


class Selection(NamedTuple):
    """A SELECT on a system table: its name, columns (None: all), conditions and their values."""

    table: str
    columns: list[str] | None
    conditions: dict[str, str]


# --- What is asked -------------------------------------------------------------------------------------------

_SELECT = re.compile(
    r"select (?P<columns>.+?) from (?P<table>system(?:_\w+)?\.\w+)(?: where (?P<where>.*?))?"
    r"(?: limit \d+)?(?: allow filtering)?$",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"(\w+)\s*=\s*('(?:[^']|'')*'|[\w.:-]+|\?)", re.IGNORECASE)


def parse_selection(text: str) -> Selection | None:
    """Return what a query asks of a system table, None if it is none of these."""
    match = _SELECT.match(normal(text))
    if match is None:
        return None
    columns = [each.strip().lower() for each in match["columns"].split(",")]
    conditions = {name.lower(): literal for name, literal in _CONDITION.findall(match["where"] or "")}
    return Selection(match["table"].lower(), None if columns == ["*"] else columns, conditions)


def is_system_query(text: str) -> bool:
    """Whether a query reads a system table."""
    return parse_selection(text) is not None


def select(node: ServerNode, selection: Selection, values: list[Any]) -> tuple[dict[str, str], list[Row]]:
    """Return the columns and rows of a selection; `values` stand for its bind markers.

    Raises:
        LookupError: there is no such table or column.
    """
    table = _table(selection)
    edit = node.server.edits.get(selection.table, _unchanged)
    if edit is None:
        raise LookupError(f"table {selection.table} does not exist")
    names = list(table.columns) if selection.columns is None else selection.columns
    wanted = {
        name: str(values.pop(0)) if literal == "?" else literal.strip("'").replace("''", "'")
        for name, literal in selection.conditions.items()
    }
    rows = [
        {name: row.get(name) for name in names}
        for row in edit(node, table.rows(node))
        if all(str(row.get(name)) == content for name, content in wanted.items())
    ]
    return {name: table.columns[name] for name in names}, rows


def parameter_types(selection: Selection) -> dict[str, str]:
    """Return the types of the bind markers of a selection, by the columns that they are for.

    Raises:
        LookupError: there is no such table or column.
    """
    columns = _table(selection).columns
    return {name: columns[name] for name, literal in selection.conditions.items() if literal == "?"}


def _table(selection: Selection) -> SystemTable:
    """Return the table that has what is asked for. Raises LookupError."""
    table = TABLES.get(selection.table)
    if table is None:
        raise LookupError(f"table {selection.table} does not exist")
    for name in (*(selection.columns or ()), *selection.conditions):
        if name not in table.columns:
            raise LookupError(f"Undefined column name {name} in table {selection.table}")
    return table


def _unchanged(node: ServerNode, rows: list[Row]) -> list[Row]:
    return rows


# --- The nodes -----------------------------------------------------------------------------------------------


def _shared(node: ServerNode, told_to: ServerNode) -> Row:
    return {
        "data_center": node.data_center,
        "rack": node.rack,
        "host_id": node.host_id,
        "release_version": node.release_version,
        "schema_version": node.schema_version or told_to.server.schema.version,
        "tokens": [str(token) for token in node.tokens],
    }


def _local(node: ServerNode) -> list[Row]:
    address, port = node.address.host, node.address.port
    return [
        {
            **_shared(node, node),
            "key": "local",
            "bootstrapped": "COMPLETED",
            "broadcast_address": address,
            "broadcast_port": 7000,
            "cluster_name": node.server.name,
            "cql_version": "3.4.7",
            "gossip_generation": 1,
            "listen_address": address,
            "listen_port": 7000,
            "native_protocol_version": str(max(node.versions)),
            "partitioner": node.server.partitioner,
            "rpc_address": address,
            "rpc_port": port,
            "truncated_at": {},
        }
    ]


def _peers(node: ServerNode) -> list[Row]:
    return [
        {**_shared(peer, node), "peer": peer.address.host, "rpc_address": peer.address.host}
        for peer in node.server.members
        if peer is not node
    ]


def _peers_v2(node: ServerNode) -> list[Row]:
    return [
        {
            **_shared(peer, node),
            "peer": peer.address.host,
            "peer_port": 7000,
            "native_address": peer.address.host,
            "native_port": peer.address.port,
        }
        for peer in node.server.members
        if peer is not node
    ]


# --- The schema ----------------------------------------------------------------------------------------------

_TABLE_OPTIONS: Row = {
    "additional_write_policy": "99p",
    "bloom_filter_fp_chance": 0.01,
    "caching": {"keys": "ALL", "rows_per_partition": "NONE"},
    "comment": "",
    "compaction": {"class": "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy"},
    "compression": {"class": "org.apache.cassandra.io.compress.LZ4Compressor", "chunk_length_in_kb": "16"},
    "crc_check_chance": 1.0,
    "dclocal_read_repair_chance": 0.0,
    "default_time_to_live": 0,
    "extensions": {},
    "flags": ["compound"],
    "gc_grace_seconds": 864_000,
    "max_index_interval": 2048,
    "memtable_flush_period_in_ms": 0,
    "min_index_interval": 128,
    "read_repair": "BLOCKING",
    "read_repair_chance": 0.0,
    "speculative_retry": "99p",
}


def _keyspaces(node: ServerNode) -> list[Row]:
    return [
        {"keyspace_name": each.name, "durable_writes": each.durable_writes, "replication": each.replication}
        for each in node.server.schema.keyspaces.values()
    ]


def _tables(node: ServerNode) -> list[Row]:
    return [
        {"keyspace_name": keyspace.name, "table_name": table.name, "id": table.id, **_TABLE_OPTIONS}
        for keyspace in node.server.schema.keyspaces.values()
        for table in keyspace.tables.values()
    ]


def _columns(node: ServerNode) -> list[Row]:
    rows = []
    for keyspace in node.server.schema.keyspaces.values():
        for table in keyspace.tables.values():
            for name, type_ in sorted(table.columns.items()):
                kind, position = table.kind(name)
                order = "desc" if name in table.descending else "asc"
                rows.append(
                    {
                        "keyspace_name": keyspace.name,
                        "table_name": table.name,
                        "column_name": name,
                        "clustering_order": order if kind == "clustering" else "none",
                        "column_name_bytes": name.encode(),
                        "kind": kind,
                        "position": position,
                        "type": type_,
                    }
                )
    return rows


def _types(node: ServerNode) -> list[Row]:
    return [
        {
            "keyspace_name": keyspace.name,
            "type_name": name,
            "field_names": list(fields),
            "field_types": list(fields.values()),
        }
        for keyspace in node.server.schema.keyspaces.values()
        for name, fields in keyspace.types.items()
    ]


def _none(node: ServerNode) -> list[Row]:
    return []


# --- All of them ---------------------------------------------------------------------------------------------

_NODE = {
    "data_center": "text",
    "host_id": "uuid",
    "rack": "text",
    "release_version": "text",
    "schema_version": "uuid",
    "tokens": "set<text>",
}
_STRINGS = "frozen<map<text, text>>"
_OPTIONS = {
    "additional_write_policy": "text",
    "bloom_filter_fp_chance": "double",
    "caching": _STRINGS,
    "comment": "text",
    "compaction": _STRINGS,
    "compression": _STRINGS,
    "crc_check_chance": "double",
    "dclocal_read_repair_chance": "double",
    "default_time_to_live": "int",
    "extensions": "frozen<map<text, blob>>",
    "gc_grace_seconds": "int",
    "id": "uuid",
    "max_index_interval": "int",
    "memtable_flush_period_in_ms": "int",
    "min_index_interval": "int",
    "read_repair": "text",
    "read_repair_chance": "double",
    "speculative_retry": "text",
}


def _texts(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "text")


TABLES: dict[str, SystemTable] = {
    "system.local": SystemTable(
        {
            **_texts("key", "bootstrapped"),
            "broadcast_address": "inet",
            "broadcast_port": "int",
            **_texts("cluster_name", "cql_version"),
            **_NODE,
            "gossip_generation": "int",
            "listen_address": "inet",
            "listen_port": "int",
            **_texts("native_protocol_version", "partitioner"),
            "rpc_address": "inet",
            "rpc_port": "int",
            "truncated_at": "map<uuid, blob>",
        },
        _local,
    ),
    "system.peers": SystemTable(
        {"peer": "inet", **_NODE, "preferred_ip": "inet", "rpc_address": "inet"}, _peers
    ),
    "system.peers_v2": SystemTable(
        {
            "peer": "inet",
            "peer_port": "int",
            **_NODE,
            "native_address": "inet",
            "native_port": "int",
            "preferred_ip": "inet",
            "preferred_port": "int",
        },
        _peers_v2,
    ),
    "system_schema.keyspaces": SystemTable(
        {"keyspace_name": "text", "durable_writes": "boolean", "replication": _STRINGS}, _keyspaces
    ),
    "system_schema.tables": SystemTable(
        {**_texts("keyspace_name", "table_name"), **_OPTIONS, "cdc": "boolean", "flags": "frozen<set<text>>"},
        _tables,
    ),
    "system_schema.columns": SystemTable(
        {
            **_texts("keyspace_name", "table_name", "column_name", "clustering_order"),
            "column_name_bytes": "blob",
            "kind": "text",
            "position": "int",
            "type": "text",
        },
        _columns,
    ),
    "system_schema.types": SystemTable(
        {
            **_texts("keyspace_name", "type_name"),
            "field_names": "frozen<list<text>>",
            "field_types": "frozen<list<text>>",
        },
        _types,
    ),
    "system_schema.functions": SystemTable(
        {
            **_texts("keyspace_name", "function_name"),
            "argument_types": "frozen<list<text>>",
            "argument_names": "frozen<list<text>>",
            "body": "text",
            "called_on_null_input": "boolean",
            **_texts("language", "return_type"),
        },
        _none,
    ),
    "system_schema.aggregates": SystemTable(
        {
            **_texts("keyspace_name", "aggregate_name"),
            "argument_types": "frozen<list<text>>",
            **_texts("final_func", "initcond", "return_type", "state_func", "state_type"),
        },
        _none,
    ),
    "system_schema.indexes": SystemTable(
        {**_texts("keyspace_name", "table_name", "index_name", "kind"), "options": _STRINGS}, _none
    ),
    "system_schema.triggers": SystemTable(
        {**_texts("keyspace_name", "table_name", "trigger_name"), "options": _STRINGS}, _none
    ),
    "system_schema.views": SystemTable(
        {
            **_texts("keyspace_name", "view_name"),
            **_OPTIONS,
            "base_table_id": "uuid",
            "base_table_name": "text",
            "include_all_columns": "boolean",
            "where_clause": "text",
        },
        _none,
    ),
    "system_virtual_schema.keyspaces": SystemTable({"keyspace_name": "text"}, _none),
    "system_virtual_schema.tables": SystemTable(_texts("keyspace_name", "table_name", "comment"), _none),
    "system_virtual_schema.columns": SystemTable(
        {
            **_texts("keyspace_name", "table_name", "column_name", "clustering_order"),
            "column_name_bytes": "blob",
            "kind": "text",
            "position": "int",
            "type": "text",
        },
        _none,
    ),
}
