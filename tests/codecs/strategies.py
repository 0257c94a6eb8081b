"""Hypothesis strategies: types of CQL, and the values that triocql reads for a type."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from triocql.codecs.temporal import Date, Duration, Time, Timestamp
from triocql.codecs.udt import user_value_class
from triocql.codecs.values import FrozenMap
from triocql.protocol.types import (
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


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _time_uuid(number: int) -> UUID:
    return UUID(int=number & ~(0xF << 76) | 1 << 76)


def _durations() -> st.SearchStrategy[Duration]:
    parts = st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
    return st.tuples(parts, st.sampled_from((1, -1))).map(
        lambda pair: Duration(*(part * pair[1] for part in pair[0]))
    )


def _decimals() -> st.SearchStrategy[Decimal]:
    digits = st.lists(st.integers(0, 9), min_size=1, max_size=30).map(tuple)
    parts = st.tuples(st.integers(0, 1), digits, st.integers(-(2**20), 2**20))
    return parts.map(Decimal).filter(lambda value: bool(value) or not value.is_signed())


def _milliseconds(number: int) -> dt.datetime | Timestamp:
    try:
        return EPOCH + dt.timedelta(milliseconds=number)
    except OverflowError:
        return Timestamp(number)


def _days(number: int) -> dt.date | Date:
    try:
        return dt.date.fromordinal(EPOCH.toordinal() + number)
    except (ValueError, OverflowError):
        return Date(number)


def _nanoseconds(number: int) -> dt.time | Time:
    if number % 1000:
        return Time(number)
    return (EPOCH + dt.timedelta(microseconds=number // 1000)).time()


NATIVE: dict[str, st.SearchStrategy[Any]] = {
    "ascii": st.text(st.characters(max_codepoint=127), max_size=20),
    "bigint": integers(64),
    "blob": st.binary(max_size=20),
    "boolean": st.booleans(),
    "date": (st.integers(-800_000, 3_000_000) | integers(32)).map(_days),
    "decimal": _decimals(),
    "double": st.floats(allow_nan=False),
    "duration": _durations(),
    "float": st.floats(width=32, allow_nan=False),
    "inet": st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address),
    "int": integers(32),
    "smallint": integers(16),
    "text": st.text(max_size=20),
    "time": (
        st.integers(0, 86_399_999_999).map(lambda us: us * 1000) | st.integers(0, 86_399_999_999_999)
    ).map(_nanoseconds),
    "timestamp": (st.integers(-63 * 10**12, 254 * 10**12) | integers(64)).map(_milliseconds),
    "timeuuid": st.integers(0, 2**128 - 1).map(_time_uuid),
    "tinyint": integers(8),
    "uuid": st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number)),
    "varint": st.integers() | integers(64),
}

native_types = st.sampled_from([NativeType(name) for name in NATIVE])


def _wider(inner: st.SearchStrategy[CqlType]) -> st.SearchStrategy[CqlType]:
    fields = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        inner.map(ListType),
        inner.map(SetType),
        st.builds(MapType, inner, inner),
        fields.map(lambda types: TupleType(tuple(types))),
        fields.map(lambda types: UserType("ks", "u", tuple((f"f{i}", each) for i, each in enumerate(types)))),
        st.builds(VectorType, inner, st.integers(1, 3)),
    )


types: st.SearchStrategy[CqlType] = st.recursive(native_types, _wider, max_leaves=5)


def values(cql_type: CqlType, hashable: bool = False) -> st.SearchStrategy[Any]:
    """Return the strategy of the values that triocql reads for a type."""
    match cql_type:
        case NativeType(name):
            return NATIVE[name]
        case ListType(element):
            return st.lists(values(element, hashable), max_size=3).map(tuple if hashable else list)
        case SetType(element):
            members = st.frozensets(values(element, True), max_size=3)
            return members if hashable else members.map(set)
        case MapType(key, value):
            items = st.dictionaries(values(key, True), values(value, hashable), max_size=3)
            return items.map(FrozenMap) if hashable else items
        case TupleType(elements):
            return st.tuples(*(st.none() | values(element, hashable) for element in elements))
        case UserType(_, name, fields):
            made = user_value_class(name, tuple(field for field, _ in fields))
            parts = st.tuples(*(st.none() | values(field, hashable) for _, field in fields))
            return parts.map(lambda each: tuple.__new__(made, each))
        case VectorType(element, dimension):
            parts = st.lists(values(element, hashable), min_size=dimension, max_size=dimension)
            return parts.map(tuple if hashable else list)
    raise AssertionError(cql_type)


typed_values = types.flatmap(lambda cql_type: st.tuples(st.just(cql_type), values(cql_type)))


def _rows_of(kinds: list[CqlType]) -> st.SearchStrategy[list[list[Any]]]:
    row = st.tuples(*(st.none() | values(each) for each in kinds)).map(list)
    return st.lists(row, max_size=4)


tables = st.lists(types, min_size=1, max_size=3).flatmap(
    lambda each: st.tuples(st.just(each), _rows_of(each))
)
"""The types of some columns, and some rows."""
