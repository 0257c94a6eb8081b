"""Rows of the system tables, read as objects of a schema. They come from a server: they are checked first."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from uuid import UUID

from triocql.codecs.temporal import Timestamp
from triocql.codecs.values import FrozenMap
from triocql.metadata.schema.callables import Aggregate, Function
from triocql.metadata.schema.columns import NOTHING, Argument, Column, ColumnKind, DroppedColumn, Mask
from triocql.metadata.schema.relations import COMPOUND, Index, Table, Trigger, View, VirtualTable

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from triocql.protocol.types import CqlType

    Row = Mapping[str, Any]
    ReadType = Callable[[str], CqlType]

T = TypeVar("T")

_LAST: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Final = {kind.value: kind for kind in ColumnKind}
_RANKS: Final = {kind: rank for rank, kind in enumerate(ColumnKind)}
_ORDERS: Final = {"asc": False, "none": False, "desc": True}
_PLAIN: Final = frozenset((str, int, float, bool, bytes, UUID, type(None)))
_SHOWN: Final = 50

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
_OF_COLUMNS: Final = frozenset(
    (
        "keyspace_name",
        "table_name",
        "column_name",
        "column_name_bytes",
        "kind",
        "position",
        "type",
        "clustering_order",
    )
)
_OF_DROPPED: Final = frozenset(("keyspace_name", "table_name", "column_name", "dropped_time", "kind", "type"))
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


class Unreadable(ValueError):
    """A row, or a column of it, cannot be used; the text says why."""


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


# --- Values ------------------------------------------------------------------------------------------------


def shown(value: object) -> str:
    """Return what is shown of something that a server told."""
    try:
        text = repr(value)
    except Exception:  # whatever a row has
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def text(row: Row, column: str) -> str:
    """Return a text that has to be there."""
    value = row.get(column)
    if type(value) is not str:
        raise Unreadable(f"{column} is {shown(value)}")
    return value


def text_or_none(row: Row, column: str) -> str | None:
    """Return a text, None for null."""
    return None if row.get(column) is None else text(row, column)


def texts(row: Row, column: str) -> tuple[str, ...]:
    """Return a list of texts, which may be null if there are none."""
    return _list(row, column, str)


def _list(row: Row, column: str, kind: type[T]) -> tuple[T, ...]:
    value = row.get(column)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(type(each) is kind for each in value):
        raise Unreadable(f"{column} is {shown(value)}")
    return tuple(value)


def text_map(row: Row, column: str) -> FrozenMap[str, str]:
    """Return a map of texts, which may be null if there are none."""
    return _map(row, column, str)


def _map(row: Row, column: str, kind: type[T]) -> FrozenMap[str, T]:
    value = row.get(column)
    if value is None:
        return NOTHING
    if not isinstance(value, Mapping) or not all(
        type(key) is str and type(each) is kind for key, each in value.items()
    ):
        raise Unreadable(f"{column} is {shown(value)}")
    return FrozenMap(value) if value else NOTHING


def identity(row: Row, column: str) -> UUID | None:
    """Return an identity, None for null."""
    value = row.get(column)
    if value is not None and not isinstance(value, UUID):
        raise Unreadable(f"{column} is {shown(value)}")
    return value


def flag(row: Row, column: str) -> bool:
    """Return whether something is so; null is no."""
    value = row.get(column)
    if value is not None and type(value) is not bool:
        raise Unreadable(f"{column} is {shown(value)}")
    return value is True


def frozen(value: Any) -> Hashable:
    """Return a value that nobody can change."""
    if type(value) in _PLAIN:
        return value  # type: ignore[no-any-return]
    if isinstance(value, Mapping):
        return FrozenMap({frozen(key): frozen(each) for key, each in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(map(frozen, value))
    if isinstance(value, (set, frozenset)):
        return frozenset(map(frozen, value))
    try:
        hash(value)
    except Exception:  # whatever a row has
        return shown(value)
    return value  # type: ignore[no-any-return]


def others(row: Row, known: Container[str]) -> FrozenMap[str, Any]:
    """Return what a row has in columns that triocql does not know, without nulls."""
    found = {name: frozen(row[name]) for name in row if name not in known and row[name] is not None}
    return FrozenMap(found) if found else NOTHING


# --- Tables and views --------------------------------------------------------------------------------------


def read_table(row: Row, parts: Parts, read_type: ReadType) -> Table:
    """Read a table. Raises Unreadable."""
    return Table(**_relation(row, "table_name", _OF_TABLES, parts, read_type))


def read_virtual_table(row: Row, parts: Parts, read_type: ReadType) -> VirtualTable:
    """Read a virtual table. Raises Unreadable."""
    read = _relation(row, "table_name", _OF_TABLES, parts, read_type)
    import hashlib  # not at the top: it loads OpenSSL

    # So since Cassandra 4.1; the table has none in its row.
    digest = hashlib.md5(
        f"{read['keyspace']}{read['name']}".encode("utf-8", "replace"), usedforsecurity=False
    )
    return VirtualTable(**{**read, "id": UUID(bytes=digest.digest(), version=3)})


def read_view(row: Row, parts: Parts, read_type: ReadType) -> View:
    """Read a view. Raises Unreadable."""
    return View(
        **_relation(row, "view_name", _OF_VIEWS, parts, read_type),
        base_table=text(row, "base_table_name"),
        where_clause=text(row, "where_clause"),
        includes_all_columns=flag(row, "include_all_columns"),
        base_table_id=identity(row, "base_table_id"),
    )


def _relation(
    row: Row, name_column: str, known: Container[str], parts: Parts, read_type: ReadType
) -> dict[str, Any]:
    keyspace, name = text(row, "keyspace_name"), text(row, name_column)
    options = _options(row, known)
    extra = {
        key: tuple(others(each, _OF_TABLES) for each in rows) for key, rows in parts.extra.items() if rows
    }
    for each in parts.options:
        options.update(others(each, ("keyspace_name", name_column, "table_name")))
    flags = row.get("flags")
    if flags is not None and not isinstance(flags, (set, frozenset, list, tuple)):
        raise Unreadable(f"flags is {shown(flags)}")
    return {
        "keyspace": keyspace,
        "name": name,
        "columns": FrozenMap(_columns(parts.columns, parts.masks, read_type)),
        "id": identity(row, "id"),
        "options": FrozenMap(options),
        "flags": COMPOUND if flags is None else frozenset(map(str, flags)),
        "indexes": _named(parts.indexes, lambda each: _index(each, keyspace, name)),
        "triggers": _named(parts.triggers, _trigger),
        "dropped_columns": _named(parts.dropped, lambda each: _dropped(each, read_type)),
        "extra": FrozenMap(extra) if extra else NOTHING,
    }


def _options(row: Row, known: Container[str]) -> dict[str, Any]:
    """Return all columns that are no part of what a table is by itself; null is a default of the server's."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in known:
            continue
        if value is None:
            found[name] = None
        elif name in _MAP_OPTIONS:
            found[name] = text_map(row, name)
        elif name == "extensions":
            found[name] = _map(row, name, bytes)
        elif name in _CLASSES and type(value) not in _CLASSES[name]:
            raise Unreadable(f"{name} is {shown(value)}")
        else:
            found[name] = frozen(value)
    return found


def _named(rows: Iterable[Row], read: Callable[[Row], Any]) -> FrozenMap[str, Any]:
    found: dict[str, Any] = {}
    for row in rows:
        each = read(row)
        put(found, each.name, each)
    return FrozenMap(found) if found else NOTHING


# --- Columns -----------------------------------------------------------------------------------------------


def _columns(rows: Sequence[Row], masks: Sequence[Row], read_type: ReadType) -> dict[str, Column]:
    """Return the columns of a table, in the order of `CREATE TABLE`."""
    # A mask stays in its table when its column is dropped, or the whole table.
    masking = {text(row, "column_name"): _mask(row) for row in masks}
    found: dict[str, Column] = {}
    for row in rows:
        column = _column(row, masking, read_type)
        put(found, column.name, column)
    ordered = {column.name: column for column in sorted(found.values(), key=_place)}
    _check_key(ordered.values())
    return ordered


def _column(row: Row, masking: Mapping[str, Mask], read_type: ReadType) -> Column:
    name, cql_type, kind = row.get("column_name"), row.get("type"), _KINDS.get(text(row, "kind"))
    position, order = row.get("position"), row.get("clustering_order")
    if type(name) is not str or type(cql_type) is not str:
        raise Unreadable(f"the type of the column {shown(name)} is {shown(cql_type)}")
    if kind is None:
        raise Unreadable(f"the column {shown(name)} is of the kind {shown(row.get('kind'))}")
    if type(position) is not int or (
        order is not None and (type(order) is not str or order.lower() not in _ORDERS)
    ):
        raise Unreadable(
            f"the position of the column {shown(name)} is {shown(position)}, its order {shown(order)}"
        )
    is_key = kind is ColumnKind.PARTITION_KEY or kind is ColumnKind.CLUSTERING
    return Column(
        name,
        read_type(cql_type),
        cql_type,
        kind,
        position if is_key else -1,
        order is not None and _ORDERS[order.lower()],
        masking.get(name),
        NOTHING if len(row) <= len(_OF_COLUMNS) else others(row, _OF_COLUMNS),
    )


def _place(column: Column) -> tuple[int, bool, int, bool, bytes]:
    """Return where a column stands among those of its table, as Cassandra sorts them."""
    if column.position >= 0:
        return _RANKS[column.kind], False, column.position, True, b""
    name = column.name.encode("utf-8", "surrogatepass")
    # Names are compared as numbers at first, whose highest bit is taken for a sign.
    return _RANKS[column.kind], column.is_multi_cell, -1, name[:1].isascii(), name


def _check_key(columns: Iterable[Column]) -> None:
    """Raise Unreadable if columns of the key are missing."""
    for kind in (ColumnKind.PARTITION_KEY, ColumnKind.CLUSTERING):
        positions = [column.position for column in columns if column.kind is kind]
        if positions != list(range(len(positions))):
            raise Unreadable(f"columns of its key ({kind.value}) are missing")
        if not positions and kind is ColumnKind.PARTITION_KEY:
            raise Unreadable("it has no columns of a partition key")


def _mask(row: Row) -> Mask:
    types, values = texts(row, "function_argument_types"), texts(row, "function_argument_values")
    nulls = _list(row, "function_argument_nulls", bool)
    if not len(types) == len(values) == len(nulls):
        raise Unreadable(
            f"the arguments of the mask of {shown(row.get('column_name'))} do not fit each other"
        )
    arguments = (
        Argument("", cql_type, None if null else value)
        for cql_type, value, null in zip(types, values, nulls, strict=True)
    )
    return Mask(text(row, "function_keyspace"), text(row, "function_name"), tuple(arguments))


def _dropped(row: Row, read_type: ReadType) -> DroppedColumn:
    kind = _KINDS.get(text_or_none(row, "kind") or "regular")
    if kind is None:
        raise Unreadable(f"a dropped column is of the kind {shown(row.get('kind'))}")
    cql_type = text(row, "type")
    return DroppedColumn(
        text(row, "column_name"),
        read_type(cql_type),
        cql_type,
        kind,
        _microseconds(row.get("dropped_time")),
        others(row, _OF_DROPPED),
    )


def _microseconds(value: object) -> int:
    if isinstance(value, Timestamp):
        # Columns of tables of the server's own were dropped at the end of time, of which the milliseconds are told.
        return value.milliseconds * 1000 if value.milliseconds < _LAST // 1000 else _LAST
    if isinstance(value, datetime):
        aware = value if value.utcoffset() is not None else value.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(microseconds=1)
    raise Unreadable(f"dropped_time is {shown(value)}")


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


def put(found: dict[str, T], name: str, each: T) -> None:
    """Add something that was read; it may have been told several times, but not differently."""
    if found.setdefault(name, each) != each:
        raise Unreadable(f"there are two of {shown(name)}, which differ")


def alike(rows: Sequence[Row]) -> Row:
    """Return the only row there is, which may have been told several times."""
    if any(row != rows[0] for row in rows[1:]):
        raise Unreadable("there are two of it, which differ")
    return rows[0]


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
