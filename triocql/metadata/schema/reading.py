"""Rows of the system tables, read as objects of a schema. They come from a server: they are checked first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from triocql.codecs.values import FrozenMap
from triocql.metadata.schema.callables import Aggregate, Function
from triocql.metadata.schema.cells import (
    Unreadable,
    flag,
    frozen,
    identity,
    mapped,
    others,
    put,
    shown,
    text,
    text_map,
    text_or_none,
    texts,
)
from triocql.metadata.schema.columnrows import read_columns, read_dropped
from triocql.metadata.schema.columns import NOTHING, Argument
from triocql.metadata.schema.relations import COMPOUND, Index, Table, Trigger, View, VirtualTable
from triocql.metadata.schema.scylla import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from triocql.metadata.schema.shared import Shared
    from triocql.protocol.types import CqlType

    Row = Mapping[str, Any]
    ReadType = Callable[[str], CqlType]

_TEXT_OPTIONS: Final = ("comment", "speculative_retry", "additional_write_policy", "read_repair", "memtable")
_FLAG_OPTIONS: Final = ("cdc", "allow_auto_snapshot", "incremental_backups")
_NUMBER_OPTIONS: Final = (
    "bloom_filter_fp_chance",
    "crc_check_chance",
    "dclocal_read_repair_chance",
    "read_repair_chance",
)
_COUNT_OPTIONS: Final = (
    "default_time_to_live",
    "gc_grace_seconds",
    "max_index_interval",
    "memtable_flush_period_in_ms",
    "min_index_interval",
)
_MAP_OPTIONS: Final = ("caching", "compaction", "compression")
_CLASSES: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(_TEXT_OPTIONS, (str,)),
    **dict.fromkeys(_FLAG_OPTIONS, (bool,)),
    **dict.fromkeys(_NUMBER_OPTIONS, (float, int)),
    **dict.fromkeys(_COUNT_OPTIONS, (int,)),
}

_OF_TABLES: Final = frozenset(("keyspace_name", "table_name", "id", "flags"))
_OF_VIEWS: Final = frozenset(
    (
        "keyspace_name",
        "view_name",
        "id",
        "base_table_id",
        "base_table_name",
        "where_clause",
        "include_all_columns",
    )
)


_OF_INDEXES: Final = frozenset(("keyspace_name", "table_name", "index_name", "kind", "options"))
_OF_TRIGGERS: Final = frozenset(("keyspace_name", "table_name", "trigger_name", "options"))
_OF_FUNCTIONS: Final = frozenset(
    (
        "keyspace_name",
        "function_name",
        "argument_types",
        "argument_names",
        "body",
        "language",
        "return_type",
        "called_on_null_input",
    )
)
_OF_AGGREGATES: Final = frozenset(
    (
        "keyspace_name",
        "aggregate_name",
        "argument_types",
        "state_func",
        "state_type",
        "final_func",
        "initcond",
        "return_type",
        "reduce_func",
    )
)


class Parts(NamedTuple):
    """The rows of one table or view, beside the one that it has among the tables or views.

    Attributes:
        columns: of its columns.
        masks: of the masks of these.
        dropped: of dropped columns.
        indexes: of its indexes.
        triggers: of its triggers.
        options: of what has more options of it.
        extra: others, by the names of their tables.
    """

    columns: Sequence[Row] = ()
    masks: Sequence[Row] = ()
    dropped: Sequence[Row] = ()
    indexes: Sequence[Row] = ()
    triggers: Sequence[Row] = ()
    options: Sequence[Row] = ()
    extra: Mapping[str, Sequence[Row]] = {}


# --- Tables and views --------------------------------------------------------------------------------------


def read_table(row: Row, parts: Parts, read_type: ReadType, shared: Shared) -> Table:
    """Read a table. Raises Unreadable."""
    return Table(**_relation(row, "table_name", _OF_TABLES, parts, read_type, shared))


def read_virtual_table(row: Row, parts: Parts, read_type: ReadType, shared: Shared) -> VirtualTable:
    """Read a virtual table. Raises Unreadable."""
    read = _relation(row, "table_name", _OF_TABLES, parts, read_type, shared)
    import hashlib  # not at the top: it loads OpenSSL

    # So since Cassandra 4.1; the table has none in its row.
    digest = hashlib.md5(
        f"{read['keyspace']}{read['name']}".encode("utf-8", "replace"), usedforsecurity=False
    )
    return VirtualTable(**{**read, "id": UUID(bytes=digest.digest(), version=3)})


def read_view(row: Row, parts: Parts, read_type: ReadType, shared: Shared) -> View:
    """Read a view. Raises Unreadable."""
    return View(
        **_relation(row, "view_name", _OF_VIEWS, parts, read_type, shared),
        base_table=text(row, "base_table_name"),
        where_clause=text(row, "where_clause"),
        includes_all_columns=flag(row, "include_all_columns"),
        base_table_id=identity(row, "base_table_id"),
    )


def _relation(
    row: Row, name_column: str, known: Container[str], parts: Parts, read_type: ReadType, shared: Shared
) -> dict[str, Any]:
    keyspace, name = text(row, "keyspace_name"), text(row, name_column)
    options = _options(row, known, shared)
    extra = {
        key: tuple(others(each, _OF_TABLES) for each in rows) for key, rows in parts.extra.items() if rows
    }
    if parts.options:
        _add_scyllas(options, others(parts.options[0], ("keyspace_name", "table_name")))
    flags = row.get("flags")
    if flags is not None and not isinstance(flags, (set, frozenset, list, tuple)):
        raise Unreadable(f"flags is {shown(flags)}")
    return {
        "keyspace": keyspace,
        "name": name,
        "columns": read_columns(parts.columns, parts.masks, read_type, shared),
        "id": identity(row, "id"),
        "options": shared.map(FrozenMap(options)),
        "flags": COMPOUND if flags is None or flags == COMPOUND else frozenset(map(str, flags)),
        "indexes": _named(parts.indexes, lambda each: _index(each, keyspace, name)),
        "triggers": _named(parts.triggers, _trigger),
        "dropped_columns": _named(parts.dropped, lambda each: read_dropped(each, read_type)),
        "extra": FrozenMap(extra) if extra else NOTHING,
    }


def _options(row: Row, known: Container[str], shared: Shared) -> dict[str, Any]:
    """Return all columns that are no part of what a table is by itself; null is a default of the server's."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in known:
            continue
        if value is None:
            found[name] = None
        elif name in _MAP_OPTIONS:
            found[name] = shared.map(text_map(row, name))
        elif name == "extensions":
            found[name] = shared.map(mapped(row, name, bytes))
        elif name in _CLASSES and type(value) not in _CLASSES[name]:
            raise Unreadable(f"{name} is {shown(value)}")
        else:
            found[name] = frozen(value)
    return found


def _add_scyllas(options: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add the options that only Scylla has, wherever it keeps them."""
    found, rest = decoded(options.pop("extensions", None) or NOTHING)
    if rest:
        options["extensions"] = rest
    options.update(found)
    options.update(more)


def _named(rows: Iterable[Row], read: Callable[[Row], Any]) -> FrozenMap[str, Any]:
    found: dict[str, Any] = {}
    for row in rows:
        each = read(row)
        put(found, each.name, each)
    return FrozenMap(found) if found else NOTHING


# --- Indexes, triggers, functions --------------------------------------------------------------------------


def _index(row: Row, keyspace: str, table: str) -> Index:
    return Index(
        keyspace,
        table,
        text(row, "index_name"),
        text(row, "kind"),
        text_map(row, "options"),
        others(row, _OF_INDEXES),
    )


def _trigger(row: Row) -> Trigger:
    options = text_map(row, "options")
    return Trigger(text(row, "trigger_name"), options.get("class", ""), options, others(row, _OF_TRIGGERS))


def read_function(row: Row) -> Function:
    """Read a function. Raises Unreadable."""
    names, types = texts(row, "argument_names"), texts(row, "argument_types")
    if len(names) != len(types):
        raise Unreadable(f"it has {len(names)} names and {len(types)} types of arguments")
    return Function(
        text(row, "keyspace_name"),
        text(row, "function_name"),
        tuple(Argument(name, cql_type) for name, cql_type in zip(names, types, strict=True)),
        text(row, "return_type"),
        text(row, "language"),
        text(row, "body"),
        flag(row, "called_on_null_input"),
        others(row, _OF_FUNCTIONS),
    )


def read_aggregate(row: Row) -> Aggregate:
    """Read an aggregate. Raises Unreadable."""
    return Aggregate(
        text(row, "keyspace_name"),
        text(row, "aggregate_name"),
        texts(row, "argument_types"),
        text(row, "state_func"),
        text(row, "state_type"),
        text_or_none(row, "final_func"),
        text_or_none(row, "initcond"),
        text(row, "return_type"),
        text_or_none(row, "reduce_func"),
        others(row, _OF_AGGREGATES),
    )
