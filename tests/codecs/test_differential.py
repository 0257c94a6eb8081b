"""The same bytes and equal values as cassandra-driver's codec, for random types and random values.

Where the two differ on purpose, `theirs` says how: that driver reads naive datetimes, addresses as text, and dates,
times, durations, sets and maps as classes of its own.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from cassandra import cqltypes
from hypothesis import given
from hypothesis import strategies as st

from triocql.codecs.registry import Registry
from triocql.codecs.temporal import Date, Duration, Time, Timestamp
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

from .helpers import IMPLS, columns, decode, encode
from .strategies import NATIVE, types, values

PROTOCOL = 4
REGISTRIES = {impl: Registry(impl=impl) for impl in IMPLS}
CLASSES = {cls.typename: cls for cls in cqltypes._cqltypes.values() if getattr(cls, "typename", None)}


def their_type(cql_type: CqlType) -> Any:
    """Return cassandra-driver's class for a type."""
    match cql_type:
        case NativeType(name):
            return CLASSES[name]
        case ListType(element):
            return cqltypes.ListType.apply_parameters([their_type(element)])
        case SetType(element):
            return cqltypes.SetType.apply_parameters([their_type(element)])
        case MapType(key, value):
            return cqltypes.MapType.apply_parameters([their_type(key), their_type(value)])
        case TupleType(elements):
            return cqltypes.TupleType.apply_parameters([their_type(element) for element in elements])
        case UserType(keyspace, name, fields):
            return cqltypes.UserType.make_udt_class(
                keyspace, name, [field for field, _ in fields], [their_type(each) for _, each in fields]
            )
        case VectorType(element, dimension):
            return cqltypes.VectorType.apply_parameters([their_type(element), dimension], None)
    raise AssertionError(cql_type)


def for_them(value: Any) -> Any:
    """Return a value as cassandra-driver takes it."""
    match value:
        case Date(days):
            return days + 2**31
        case Time(nanoseconds):
            return nanoseconds
        case Timestamp(milliseconds):
            return milliseconds
        case FrozenMap():
            return FrozenMap({for_them(key): for_them(each) for key, each in value.items()})
        case dict():
            return {for_them(key): for_them(each) for key, each in value.items()}
        case list():
            return [for_them(each) for each in value]
        case tuple() | set() | frozenset():
            return tuple(for_them(each) for each in value)
    return value


def ours(cql_type: CqlType, value: Any) -> Any:
    """Return what cassandra-driver has read as triocql would have read it."""
    if value is None:
        return None
    match cql_type:
        case NativeType("timestamp"):
            return value.replace(tzinfo=dt.UTC)
        case NativeType("date"):
            return (
                value.date()
                if 1 <= value.days_from_epoch + 719163 <= 3652059
                else Date(value.days_from_epoch)
            )
        case NativeType("time"):
            return value.time() if value.nanosecond_time % 1000 == 0 else Time(value.nanosecond_time)
        case NativeType("duration"):
            return Duration(value.months, value.days, value.nanoseconds)
        case NativeType("inet"):
            return decode(REGISTRIES["python"], "inet", encode(REGISTRIES["python"], "inet", value))
        case ListType(element) | VectorType(element):
            return [ours(element, each) for each in value]
        case SetType(element):
            return {ours(element, each) for each in value}
        case MapType(key, inner):
            return {ours(key, each): ours(inner, item) for each, item in value.items()}
        case TupleType(elements):
            return tuple(ours(element, each) for element, each in zip(elements, value, strict=True))
        case UserType(fields=fields):
            return tuple(ours(field, each) for (_, field), each in zip(fields, value, strict=True))
    return value


def has_nothing_odd(cql_type: CqlType) -> bool:
    """Return whether a type is none that cassandra-driver cannot read back, or reads with rounding."""
    match cql_type:
        case NativeType(name):
            return name not in ("timestamp",)
        case SetType(element):
            return isinstance(element, NativeType) and has_nothing_odd(element)
        case ListType(element) | VectorType(element):
            return has_nothing_odd(element)
        case MapType(key, value):
            return isinstance(key, NativeType) and has_nothing_odd(key) and has_nothing_odd(value)
        case TupleType(elements):
            return all(map(has_nothing_odd, elements))
        case UserType(fields=fields):
            return all(has_nothing_odd(field) for _, field in fields)
    raise AssertionError(cql_type)


def has_an_order(cql_type: CqlType, *, within: bool = False) -> bool:
    """Whether sets or maps within other values are written in the server's order, which theirs knows nothing of."""
    match cql_type:
        case SetType(element):
            return within or has_an_order(element)
        case MapType(key, value):
            return within or has_an_order(key) or has_an_order(value)
        case ListType(element):
            return has_an_order(element, within=within)
        case VectorType(element):
            return has_an_order(element, within=True)
        case TupleType(elements):
            return any(has_an_order(element, within=True) for element in elements)
        case UserType(fields=fields):
            return any(has_an_order(field, within=True) for _, field in fields)
    return False


def check(cql_type: CqlType, value: Any) -> None:
    theirs = their_type(cql_type)
    raw = theirs.to_binary(for_them(value), PROTOCOL)
    for registry in REGISTRIES.values():
        written = encode(registry, cql_type, value)
        assert written == raw or has_an_order(cql_type)
        assert decode(registry, cql_type, written) == value
        read = decode(registry, cql_type, raw)
        assert read == value
        if has_nothing_odd(cql_type):
            assert ours(cql_type, theirs.from_binary(raw, PROTOCOL)) == read


@pytest.mark.parametrize("name", NATIVE)
def test_native_types(name: str) -> None:
    @given(NATIVE[name])
    def compare(value: Any) -> None:
        check(NativeType(name), value)

    compare()


@given(types.flatmap(lambda cql_type: st.tuples(st.just(cql_type), values(cql_type))))
def test_nested_types(pair: tuple[CqlType, Any]) -> None:
    check(*pair)


@given(st.integers(-(10**10), 10**10))
def test_timestamps_that_theirs_reads_exactly(seconds: int) -> None:
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)
    raw = cqltypes.DateType.to_binary(moment, PROTOCOL)
    theirs = cqltypes.DateType.from_binary(raw, PROTOCOL).replace(tzinfo=dt.UTC)
    for registry in REGISTRIES.values():
        assert encode(registry, "timestamp", moment) == raw
        assert decode(registry, "timestamp", raw) == theirs


def test_every_native_type_is_compared() -> None:
    assert set(NATIVE) <= set(CLASSES)
    assert {column.type for column in columns(*NATIVE)} == {NativeType(name) for name in NATIVE}
