"""The rows of columns, read as those of a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from triocql.codecs.temporal import Timestamp
from triocql.codecs.values import FrozenMap
from triocql.metadata.schema.cells import Unreadable, listed, others, put, shown, text, text_or_none, texts
from triocql.metadata.schema.columns import NOTHING, Argument, Column, ColumnKind, DroppedColumn, Mask
from triocql.metadata.schema.literals import literal
from triocql.protocol.types import CustomType, NativeType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from triocql.metadata.schema.shared import Shared
    from triocql.protocol.types import CqlType

    Row = Mapping[str, Any]
    ReadType = Callable[[str], CqlType]

_LAST: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Final = {kind.value: kind for kind in ColumnKind}
_RANKS: Final = {kind: rank for rank, kind in enumerate(ColumnKind)}
_ORDERS: Final = {"asc": False, "none": False, "desc": True}
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


def read_columns(
    rows: Sequence[Row], masks: Sequence[Row], read_type: ReadType, shared: Shared
) -> FrozenMap[str, Column]:
    """Return the columns of a table, in the order of `CREATE TABLE`: those of another table, if all are equal."""
    # A mask stays in its table when its column is dropped, or the whole table.
    masking = {text(row, "column_name"): _mask(row, read_type) for row in masks}
    columns = [_column(row, masking, read_type, shared.columns) for row in rows]
    key = tuple(map(id, columns))
    had = shared.all_columns.get(key)
    if had is None:
        had = shared.all_columns[key] = _ordered(columns)
    return had


def _ordered(columns: Iterable[Column]) -> FrozenMap[str, Column]:
    found: dict[str, Column] = {}
    for column in columns:
        put(found, column.name, column)
    ordered = {column.name: column for column in sorted(found.values(), key=_place)}
    _check_key(ordered.values())
    return FrozenMap(ordered)


def _column(
    row: Row,
    masking: Mapping[str, Mask],
    read_type: ReadType,
    before: dict[tuple[object, ...], Column],
) -> Column:
    """Return a column: that of another table, if it is equal."""
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
    key = name, cql_type, kind, position, order
    read = read_type(cql_type)
    is_plain = name not in masking and len(row) <= len(_OF_COLUMNS)
    had = before.get(key) if is_plain else None
    if had is not None and had.type is read:
        return had
    is_key = kind is ColumnKind.PARTITION_KEY or kind is ColumnKind.CLUSTERING
    column = Column(
        name,
        read,
        cql_type,
        kind,
        position if is_key else -1,
        order is not None and _ORDERS[order.lower()],
        masking.get(name),
        NOTHING if len(row) <= len(_OF_COLUMNS) else others(row, _OF_COLUMNS),
    )
    if is_plain:
        before[key] = column
    return column


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


def _mask(row: Row, read_type: ReadType) -> Mask:
    types, values = texts(row, "function_argument_types"), texts(row, "function_argument_values")
    nulls = listed(row, "function_argument_nulls", bool)
    if not len(types) == len(values) == len(nulls):
        raise Unreadable(
            f"the arguments of the mask of {shown(row.get('column_name'))} do not fit each other"
        )
    arguments = (
        Argument("", cql_type, None if null else _argument(read_type(cql_type), value))
        for cql_type, value, null in zip(types, values, nulls, strict=True)
    )
    return Mask(text(row, "function_keyspace"), text(row, "function_name"), tuple(arguments))


def _argument(cql_type: CqlType, value: str) -> str:
    """Return an argument of a mask: as text, or as CQL if it has others within."""
    if isinstance(cql_type, (NativeType, CustomType)):
        return value
    try:
        return literal(cql_type, value)
    except Exception as error:  # whatever a row has
        raise Unreadable(
            f"an argument of a mask is {shown(value)}, no {shown(str(cql_type))}: {error}"
        ) from error


def read_dropped(row: Row, read_type: ReadType) -> DroppedColumn:
    """Return a column that was dropped. Raises Unreadable."""
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
