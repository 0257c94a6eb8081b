"""Classes and values that are not what they look like: a clear verdict, the same of both implementations."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from uuid import UUID

import numpy as np
import pytest

from triocql.codecs.registry import Registry
from triocql.codecs.temporal import Date, Duration, Time, Timestamp
from triocql.codecs.udt import user_value_class
from triocql.engine.requests import Response
from triocql.errors import BindTypeError, BindValueError, DecodeError, OptionError
from triocql.protocol.types import ColumnSpec, NativeType, UserType

from .helpers import ADDRESS, IMPLS, columns, decode, encode, round_trip

if TYPE_CHECKING:
    from collections.abc import Callable


INTS = b"".join((4).to_bytes(4) + number.to_bytes(4) for number in range(5))


def patched(value: Any, name: str, inner: Any) -> Any:
    """Return a value with a private attribute that its class would not give it."""
    object.__setattr__(value, name, inner)
    return value


# --- Values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2**128, -1, 2**200, None, "1", 1.5])
def test_uuids_of_numbers_that_uuids_do_not_have(registry: Registry, number: Any) -> None:
    for cql_type in ("uuid", "timeuuid"):
        with pytest.raises(BindValueError):
            encode(registry, cql_type, patched(UUID(int=1 << 76), "int", number))


@pytest.mark.parametrize("number", [2**128, -1, 2**200, None, "1", 1.5])
def test_addresses_of_numbers_that_addresses_do_not_have(registry: Registry, number: Any) -> None:
    for address in (IPv4Address("10.0.0.1"), IPv6Address("::1")):
        with pytest.raises(BindValueError):
            encode(registry, "inet", patched(address, "_ip", number))


@pytest.mark.parametrize("answer", [None, b"", b"longer than it should be", bytearray(16), "text"])
def test_methods_of_subclasses_play_no_part(registry: Registry, answer: Any) -> None:
    class OddUUID(UUID):
        bytes = property(lambda self: answer)

    class OddAddress(IPv4Address):
        packed = property(lambda self: answer)

    class OddAddress6(IPv6Address):
        packed = property(lambda self: answer)

    class OddInt(int):
        def to_bytes(self, *args: Any, **options: Any) -> Any:
            return answer

        def bit_length(self) -> Any:
            return answer

    assert encode(registry, "uuid", OddUUID(int=7)) == (7).to_bytes(16)
    assert encode(registry, "inet", OddAddress("10.0.0.1")) == b"\x0a\0\0\1"
    assert encode(registry, "inet", OddAddress6("::1")) == (1).to_bytes(16)
    assert encode(registry, "varint", OddInt(300)) == b"\x01\x2c"
    assert encode(registry, "decimal", OddInt(300)) == b"\0\0\0\0\x01\x2c"
    assert encode(registry, "int", OddInt(300)) == b"\0\0\x01\x2c"


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint16, bool])
def test_durations_of_other_integers(registry: Registry, kind: Any) -> None:
    duration = Duration(kind(1), kind(0), kind(1))
    assert [type(part) for part in (duration.months, duration.days, duration.nanoseconds)] == [int] * 3
    assert round_trip(registry, "duration", duration) == Duration(1, 0, 1)
    assert round_trip(registry, "duration", SimpleNamespace(months=kind(1), days=0, nanoseconds=0))


@pytest.mark.parametrize("part", [2.0, 2.99, "2", None, Decimal(2), np.float64(2)])
def test_times_of_what_is_no_integer(registry: Registry, part: Any) -> None:
    with pytest.raises(TypeError, match="days has to be an int, not"):
        Duration(0, part, 0)
    for cls in (Date, Time, Timestamp):
        with pytest.raises(TypeError, match="has to be an int, not"):
            cls(part)
    with pytest.raises(BindTypeError, match=r"duration takes a triocql\.Duration"):
        encode(registry, "duration", SimpleNamespace(months=0, days=part, nanoseconds=0))
    with pytest.raises(BindValueError):
        encode(registry, "duration", patched(Duration(), "days", part))


@pytest.mark.parametrize("number", [2**64, -(2**70), 2**200])
def test_durations_of_numbers_that_durations_do_not_have(registry: Registry, number: int) -> None:
    with pytest.raises(BindValueError):
        encode(registry, "duration", patched(Duration(), "days", number))


def test_fields_of_one_name_keep_their_own_values(registry: Registry) -> None:
    twice = UserType("ks", "twice", (("f", NativeType("int")), ("f", NativeType("int"))))
    value = tuple.__new__(user_value_class("twice", ("f", "f")), (1, 2))
    assert tuple(round_trip(registry, twice, value)) == (1, 2)


# --- Classes -----------------------------------------------------------------------------------------------------


class Lookalike:
    """Has what a NamedTuple has, and is no tuple."""

    _fields = ("street", "number", "class")
    _field_defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, **fields: Any) -> None:
        self.fields = fields


class LookalikeWithoutConstructor:
    _fields = ("street", "number", "class")
    _field_defaults: ClassVar[dict[str, Any]] = {}


def test_a_class_that_looks_like_a_named_tuple(registry: Registry) -> None:
    registry.register_udt("ks", "address", Lookalike)
    raw = encode(registry, ADDRESS, {"street": "a", "number": 1})
    assert decode(registry, ADDRESS, raw).fields == {"street": "a", "number": 1, "class": None}


def test_a_class_that_looks_like_a_named_tuple_and_cannot_be_called(registry: Registry) -> None:
    with pytest.raises(OptionError):
        registry.register_udt("ks", "address", LookalikeWithoutConstructor)


class Place(NamedTuple):
    street: str
    number: int


class OddPlace(Place):
    def __iter__(self) -> Any:
        return iter((1, 2, 3, 4))


def test_a_named_tuple_that_gives_other_values(registry: Registry) -> None:
    place = UserType("ks", "place", (("street", NativeType("text")), ("number", NativeType("int"))))
    registry.register_udt("ks", "place", OddPlace)
    with pytest.raises((BindTypeError, BindValueError)):
        encode(registry, place, OddPlace("a", 1))


# --- Codecs that do what they should not ------------------------------------------------------------------------------


def page_of_ints(registry: Registry, codec: Any, rows: int = 5) -> Any:
    registry.register("int", codec)
    return registry.plan((ColumnSpec("ks", "t", "c", NativeType("int")),)).page(INTS, 0, rows)


def test_a_cursor_that_is_made_again_while_it_reads(registry: Registry) -> None:
    class Again:
        def encode(self, value: Any) -> Any:
            return value

        def decode(self, value: Any) -> Any:
            with suppress(TypeError):
                cursor.__init__(cursor_plan, b"", 0, 99)
            gc.collect()
            return value

    page = page_of_ints(registry, Again())
    cursor, cursor_plan = page.cursor(), page.plan
    assert [row[0] for row in cursor.take(5)] == [0, 1, 2, 3, 4]


def test_a_cursor_that_is_moved_while_it_reads(registry: Registry) -> None:
    class Moves:
        def encode(self, value: Any) -> Any:
            return value

        def decode(self, value: Any) -> Any:
            cursor.take(0)
            return value

    cursor = page_of_ints(registry, Moves()).cursor()
    assert cursor.take(5) == [(0,), (1,), (2,), (3,), (4,)]
    assert cursor.take(5) == []


@pytest.mark.parametrize("offset", [-1, -4, -(2**40), 41, 2**40])
def test_pages_that_start_outside_of_their_body(registry: Registry, offset: int) -> None:
    plan = registry.plan(columns("int"))
    with pytest.raises(DecodeError, match="cannot hold"):
        plan.page(INTS, offset, 1)


@pytest.mark.skipif("cython" not in IMPLS, reason="the pure twins have nothing that could be read beyond")
def test_plans_have_a_node_for_each_column() -> None:
    from triocql.codecs import _bind, _rows

    spec, node = columns("int", "text"), Registry().node(NativeType("int"))
    nothing: Any = None
    for cls in (_rows.RowPlan, _bind.Binder):
        with pytest.raises(ValueError, match="a node is needed for each column"):
            cls(spec, (node,))
        with pytest.raises(TypeError):
            cls(nothing, (node,))
        with pytest.raises(TypeError):
            cls.__new__(cls)
    with pytest.raises(TypeError):
        _rows.RowCursor.__new__(_rows.RowCursor)


def test_no_memory_is_no_fault_of_the_bytes(registry: Registry) -> None:
    class Exhausted:
        def encode(self, value: Any) -> Any:
            raise MemoryError

        decode = encode

    page = page_of_ints(registry, Exhausted())
    with pytest.raises(MemoryError):
        page.rows()
    with pytest.raises(MemoryError):
        registry.binder(columns("int")).bind([1])
    with pytest.raises(MemoryError):
        registry.binder(columns("list<int>")).bind([[1]])


@pytest.mark.parametrize("kept", [lambda page: page, lambda page: Response(page)], ids=["page", "response"])
def test_a_codec_may_keep_what_it_reads(registry: Registry, kept: Callable[[Any], Any]) -> None:
    class Keeps:
        kept: Any = None

        def encode(self, value: Any) -> Any:
            return value

        decode = encode

    codec = Keeps()
    page = page_of_ints(registry, codec)
    assert page.rows()
    codec.kept = kept(page)
    gone = weakref.ref(codec)
    registry._types.clear()
    registry._forget()
    del codec, page
    gc.collect()
    assert gone() is None
