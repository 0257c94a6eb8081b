"""The tables that a node keeps of the schema, as Cassandra 5.0 has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from .declared import Keyspace, Table
from .node import Row, ServerNode


class SystemTable(NamedTuple):
    """A table: its columns with the names of their types, and its rows as a node tells them."""

    columns: Mapping[str, str]
    rows: Callable[[ServerNode], list[Row]]


def texts(*names: str) -> dict[str, str]:
    """Return columns of text."""
    return dict.fromkeys(names, "text")


# --- What rows have by default -------------------------------------------------------------------------------

_OPTIONS: dict[str, tuple[str, Any]] = {
    "additional_write_policy": ("text", "99p"),
    "allow_auto_snapshot": ("boolean", None),
    "bloom_filter_fp_chance": ("double", 0.01),
    "caching": ("frozen<map<text, text>>", {"keys": "ALL", "rows_per_partition": "NONE"}),
    "cdc": ("boolean", None),
    "comment": ("text", ""),
    "compaction": (
        "frozen<map<text, text>>",
        {
            "class": "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy",
            "max_threshold": "32",
            "min_threshold": "4",
        },
    ),
    "compression": (
        "frozen<map<text, text>>",
        {"chunk_length_in_kb": "16", "class": "org.apache.cassandra.io.compress.LZ4Compressor"},
    ),
    "crc_check_chance": ("double", 1.0),
    "dclocal_read_repair_chance": ("double", 0.0),
    "default_time_to_live": ("int", 0),
    "extensions": ("frozen<map<text, blob>>", {}),
    "gc_grace_seconds": ("int", 864_000),
    "id": ("uuid", None),
    "incremental_backups": ("boolean", None),
    "max_index_interval": ("int", 2048),
    "memtable": ("text", None),
    "memtable_flush_period_in_ms": ("int", 0),
    "min_index_interval": ("int", 128),
    "read_repair": ("text", "BLOCKING"),
    "read_repair_chance": ("double", 0.0),
    "speculative_retry": ("text", "99p"),
}
_TYPES = {name: type_ for name, (type_, _) in _OPTIONS.items()}
_DEFAULTS: Row = {name: default for name, (_, default) in _OPTIONS.items()}
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


# --- The rows ------------------------------------------------------------------------------------------------


def _all(node: ServerNode) -> Iterator[Keyspace]:
    yield from node.server.schema.keyspaces.values()


def _with_views(keyspace: Keyspace) -> Iterator[Table]:
    yield from keyspace.tables.values()
    yield from (view.table for view in keyspace.views.values())


def _keyspaces(node: ServerNode) -> list[Row]:
    return [
        {
            "keyspace_name": each.name,
            "durable_writes": each.durable_writes,
            "replication": _replication(node, each.replication),
        }
        for each in _all(node)
    ]


def _replication(node: ServerNode, told: dict[str, str]) -> dict[str, str]:
    """Return it as servers keep it: with a number for each data centre, where one was told for all."""
    if "replication_factor" not in told or not told["class"].endswith("NetworkTopologyStrategy"):
        return told
    centres = {each.data_center for each in node.server.members}
    factors = {**dict.fromkeys(sorted(centres), told["replication_factor"]), **told}
    del factors["replication_factor"]
    return factors


def _tables(node: ServerNode) -> list[Row]:
    return [
        {
            "keyspace_name": keyspace.name,
            "table_name": table.name,
            **_DEFAULTS,
            "id": table.id,
            "flags": ["compound"],
            **table.options,
        }
        for keyspace in _all(node)
        for table in keyspace.tables.values()
    ]


def _views(node: ServerNode) -> list[Row]:
    return [
        {
            "keyspace_name": keyspace.name,
            "view_name": view.table.name,
            **_DEFAULTS,
            "id": view.table.id,
            "base_table_id": view.base.id,
            "base_table_name": view.base.name,
            "include_all_columns": view.all_columns,
            "where_clause": view.where,
            **view.table.options,
        }
        for keyspace in _all(node)
        for view in keyspace.views.values()
    ]


def _columns(node: ServerNode) -> list[Row]:
    rows = []
    for keyspace in _all(node):
        for table in _with_views(keyspace):
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


def _dropped_columns(node: ServerNode) -> list[Row]:
    return [
        {
            "keyspace_name": keyspace.name,
            "table_name": table.name,
            "column_name": name,
            "dropped_time": _LONG_AGO,
            "kind": kind,
            "type": type_,
        }
        for keyspace in _all(node)
        for table in keyspace.tables.values()
        for name, (kind, type_) in table.dropped.items()
    ]


def _indexes(node: ServerNode) -> list[Row]:
    return [
        {
            "keyspace_name": keyspace.name,
            "table_name": table.name,
            "index_name": name,
            "kind": index.kind,
            "options": index.options,
        }
        for keyspace in _all(node)
        for table in keyspace.tables.values()
        for name, index in table.indexes.items()
    ]


def _types(node: ServerNode) -> list[Row]:
    return [
        {
            "keyspace_name": keyspace.name,
            "type_name": name,
            "field_names": list(fields),
            "field_types": list(fields.values()),
        }
        for keyspace in _all(node)
        for name, fields in keyspace.types.items()
    ]


def _functions(node: ServerNode) -> list[Row]:
    return [
        {
            "keyspace_name": keyspace.name,
            "function_name": name,
            "argument_types": list(types),
            "argument_names": list(function.arguments),
            "body": function.body,
            "called_on_null_input": function.called_on_null,
            "language": function.language,
            "return_type": function.returns,
        }
        for keyspace in _all(node)
        for (name, types), function in keyspace.functions.items()
    ]


def _aggregates(node: ServerNode) -> list[Row]:
    return [
        {
            "keyspace_name": keyspace.name,
            "aggregate_name": name,
            "argument_types": list(types),
            "final_func": aggregate.final_function,
            "initcond": aggregate.initial,
            "return_type": aggregate.returns,
            "state_func": aggregate.state_function,
            "state_type": aggregate.state_type,
        }
        for keyspace in _all(node)
        for (name, types), aggregate in keyspace.aggregates.items()
    ]


def _none(node: ServerNode) -> list[Row]:
    return []


# --- All of them ---------------------------------------------------------------------------------------------

_TEXTS = "frozen<list<text>>"
_STRINGS = "frozen<map<text, text>>"
_COLUMNS = {
    **texts("keyspace_name", "table_name", "column_name", "clustering_order"),
    "column_name_bytes": "blob",
    "kind": "text",
    "position": "int",
    "type": "text",
}

SCHEMA_TABLES: dict[str, SystemTable] = {
    "system_schema.keyspaces": SystemTable(
        {"keyspace_name": "text", "durable_writes": "boolean", "replication": _STRINGS}, _keyspaces
    ),
    "system_schema.tables": SystemTable(
        {**texts("keyspace_name", "table_name"), **_TYPES, "flags": "frozen<set<text>>"}, _tables
    ),
    "system_schema.columns": SystemTable(_COLUMNS, _columns),
    "system_schema.column_masks": SystemTable(
        {
            **texts("keyspace_name", "table_name", "column_name"),
            "function_argument_nulls": "frozen<list<boolean>>",
            "function_argument_types": _TEXTS,
            "function_argument_values": _TEXTS,
            **texts("function_keyspace", "function_name"),
        },
        _none,
    ),
    "system_schema.dropped_columns": SystemTable(
        {
            **texts("keyspace_name", "table_name", "column_name"),
            "dropped_time": "timestamp",
            **texts("kind", "type"),
        },
        _dropped_columns,
    ),
    "system_schema.types": SystemTable(
        {**texts("keyspace_name", "type_name"), "field_names": _TEXTS, "field_types": _TEXTS}, _types
    ),
    "system_schema.functions": SystemTable(
        {
            **texts("keyspace_name", "function_name"),
            "argument_types": _TEXTS,
            "argument_names": _TEXTS,
            "body": "text",
            "called_on_null_input": "boolean",
            **texts("language", "return_type"),
        },
        _functions,
    ),
    "system_schema.aggregates": SystemTable(
        {
            **texts("keyspace_name", "aggregate_name"),
            "argument_types": _TEXTS,
            **texts("final_func", "initcond", "return_type", "state_func", "state_type"),
        },
        _aggregates,
    ),
    "system_schema.indexes": SystemTable(
        {**texts("keyspace_name", "table_name", "index_name", "kind"), "options": _STRINGS}, _indexes
    ),
    "system_schema.triggers": SystemTable(
        {**texts("keyspace_name", "table_name", "trigger_name"), "options": _STRINGS}, _none
    ),
    "system_schema.views": SystemTable(
        {
            **texts("keyspace_name", "view_name"),
            **_TYPES,
            "base_table_id": "uuid",
            "base_table_name": "text",
            "include_all_columns": "boolean",
            "where_clause": "text",
        },
        _views,
    ),
    "system_virtual_schema.keyspaces": SystemTable(texts("keyspace_name"), _none),
    "system_virtual_schema.tables": SystemTable(texts("keyspace_name", "table_name", "comment"), _none),
    "system_virtual_schema.columns": SystemTable(_COLUMNS, _none),
}
