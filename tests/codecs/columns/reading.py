"""Batches as plain values, and rows as the same: what the tests of columns compare."""

from __future__ import annotations

import datetime as dt
from ipaddress import ip_address
from typing import Any

import pyarrow as pa

from triocql._impl import Impl
from triocql.codecs.columns import Choices, decoder_of
from triocql.codecs.registry import Registry
from triocql.codecs.temporal import Date, Duration, Time, Timestamp
from triocql.codecs.values import EMPTY
from triocql.protocol.types import (
    ColumnSpec,
    CqlType,
    ListType,
    MapType,
    NativeType,
    SetType,
    TupleType,
    UserType,
    VectorType,
)

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def batch_of(
    impl: Impl,
    columns: tuple[ColumnSpec, ...],
    body: bytes,
    row_count: int,
    *,
    offset: int = 0,
    choices: Choices = (),
) -> pa.RecordBatch:
    """Return the batch of a page, after Arrow's own check of all that is in it."""
    plan = Registry(impl=impl).plan(columns)
    batch = pa.record_batch(decoder_of(plan, choices, None).batch(plan.page(body, offset, row_count)))
    batch.validate(full=True)
    return batch


def one(impl: Impl, column: ColumnSpec, *cells: bytes | None, choices: Choices = ()) -> pa.Array:
    """Return the array of one column of such cells."""
    body = b"".join(sized(cell) for cell in cells)
    return batch_of(impl, (column,), body, len(cells), choices=choices).column(0)


def sized(cell: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if cell is None else len(cell).to_bytes(4) + cell


def columns_of(columns: tuple[ColumnSpec, ...], batch: pa.RecordBatch) -> list[list[Any]]:
    return [listed(column.type, batch.column(i)) for i, column in enumerate(columns)]


def listed(cql_type: CqlType, values: Any) -> list[Any]:
    """Return the values of an array; times as numbers."""
    match cql_type:
        case ListType(element):
            return _slices(values, lambda start, end: listed(element, values.values[start:end]))
        case SetType(element):
            return _slices(
                values, lambda start, end: sorted(listed(element, values.values[start:end]), key=repr)
            )
        case MapType(key, value):
            return _slices(
                values,
                lambda start, end: list(
                    zip(
                        listed(key, values.keys[start:end]),
                        listed(value, values.items[start:end]),
                        strict=True,
                    )
                ),
            )
        case VectorType(element, dimension):
            start = values.offset * dimension
            flat = listed(element, values.values[start : start + len(values) * dimension])
            each = [flat[i * dimension : (i + 1) * dimension] for i in range(len(values))]
            return [value if valid else None for value, valid in zip(each, _valid(values), strict=True)]
        case TupleType(elements):
            return _structs(values, elements)
        case UserType(fields=fields):
            return _structs(values, tuple(each for _, each in fields))
        case NativeType("timestamp" | "time"):
            return values.cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]
        case NativeType("inet"):
            return [None if text is None else ip_address(text) for text in values.to_pylist()]
        case NativeType("date"):
            return values.cast(pa.int32()).to_pylist()  # type: ignore[no-any-return]
    return values.to_pylist()  # type: ignore[no-any-return]


def _valid(values: Any) -> list[bool]:
    return values.is_valid().to_pylist()  # type: ignore[no-any-return]


def _slices(values: Any, read: Any) -> list[Any]:
    offsets = values.offsets.to_pylist()
    return [read(offsets[i], offsets[i + 1]) if valid else None for i, valid in enumerate(_valid(values))]


def _structs(values: Any, types: tuple[CqlType, ...]) -> list[Any]:
    fields = [listed(each, values.field(i)) for i, each in enumerate(types)]
    rows = zip(*fields, strict=True) if fields else ((),) * len(values)
    return [row if valid else None for row, valid in zip(rows, _valid(values), strict=True)]


def expected(cql_type: CqlType, value: Any) -> Any:
    """Return the value of a row as it has to be in columns."""
    if value is None or value is EMPTY:
        return None
    match cql_type:
        case ListType(element) | VectorType(element, _):
            return [expected(element, each) for each in value]
        case SetType(element):
            return sorted((expected(element, each) for each in value), key=repr)
        case MapType(key, item):
            return [(expected(key, k), expected(item, v)) for k, v in value.items()]
        case TupleType(elements):
            return tuple(expected(kind, each) for kind, each in zip(elements, value, strict=True))
        case UserType(fields=fields):
            return tuple(
                expected(kind, each) for (_, kind), each in zip(fields, tuple.__iter__(value), strict=True)
            )
        case NativeType(name):
            return _native(name, value)
    return value


def _native(name: str, value: Any) -> Any:
    match value:
        case Timestamp():
            return value.milliseconds
        case Date():
            return value.days
        case Time():
            return value.nanoseconds
        case Duration():
            return pa.MonthDayNano([value.months, value.days, value.nanoseconds])
        case dt.datetime():
            return (value - EPOCH) // dt.timedelta(milliseconds=1)
        case dt.date():
            return value.toordinal() - EPOCH.toordinal()
        case dt.time():
            seconds = (value.hour * 60 + value.minute) * 60 + value.second
            return (seconds * 1_000_000 + value.microsecond) * 1000
    return str(value) if name in ("decimal", "varint") else value
