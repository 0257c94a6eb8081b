"""Sets and maps within tuples, user-defined types and vectors, which the server does not sort."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from triocql.codecs.node import INT
from triocql.codecs.order import sort_key
from triocql.codecs.typeparser import parse_type
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

from .helpers import decode, encode
from .server_order import CAPTURED, ELEMENTS

if TYPE_CHECKING:
    from triocql.codecs.registry import Registry

PAIR = UserType("ks", "pair", (("a", NativeType("int")), ("b", NativeType("text"))))
SORTED = [line.split("\t") for line in CAPTURED.read_text().splitlines()]
NAMES = [element for element, _ in SORTED]


def element_type(text: str) -> CqlType:
    return parse_type(text, lambda keyspace, name: PAIR)


def counted(raw: bytes) -> bytes:
    """Return the set of these elements."""
    return INT.pack(len(pieces(raw))) + raw


def pieces(raw: bytes) -> list[bytes]:
    """Return what comes after its length each."""
    found = []
    while raw:
        size = INT.unpack_from(raw)[0]
        found.append(raw[4 : 4 + size])
        raw = raw[4 + size :]
    return found


@pytest.mark.parametrize(("element", "captured"), SORTED, ids=NAMES)
def test_the_order_is_the_servers(element: str, captured: str) -> None:
    keys = list(map(sort_key(element_type(element)), pieces(bytes.fromhex(captured))))
    assert len(keys) > 1
    assert all(left < right for left, right in pairwise(keys))


@pytest.mark.parametrize(("element", "captured"), SORTED, ids=NAMES)
def test_sets_within_a_tuple(registry: Registry, element: str, captured: str) -> None:
    """The server had the same values in the same order."""
    values = next(values for name, values in ELEMENTS if name == element)
    raw = encode(registry, TupleType((SetType(element_type(element)),)), (values,))
    assert raw[8:].hex() == captured


@pytest.mark.parametrize(("element", "captured"), SORTED, ids=NAMES)
def test_maps_within_a_tuple(registry: Registry, element: str, captured: str) -> None:
    read = decode(registry, SetType(element_type(element)), counted(bytes.fromhex(captured)))
    keys = [key for key in read if key == key]  # not NaN
    Random(3).shuffle(keys)
    cql_type = TupleType((MapType(element_type(element), NativeType("int")),))
    raw = encode(registry, cql_type, ({key: number for number, key in enumerate(keys)},))
    written = list(map(sort_key(element_type(element)), pieces(raw[8:])[::2]))
    assert len(written) == len(keys)
    assert all(left < right for left, right in pairwise(written))
    assert decode(registry, cql_type, raw) == ({key: number for number, key in enumerate(keys)},)


SET = "00000002" + "0000000400000001" + "0000000400000003"
MAP = "00000002" + "0000000400000001" + "0000000400000007" + "0000000400000003" + "0000000400000008"
INTS, NUMBERED = SetType(NativeType("int")), MapType(NativeType("int"), NativeType("int"))
WITHIN: list[tuple[Callable[[CqlType], CqlType], Callable[[Any], Any], str]] = [
    (lambda inner: TupleType((inner,)), lambda value: (value,), "{size:08x}{raw}"),
    (lambda inner: UserType("ks", "u", (("a", inner),)), lambda value: {"a": value}, "{size:08x}{raw}"),
    (lambda inner: VectorType(inner, 1), lambda value: [value], "{size:02x}{raw}"),
    (
        lambda inner: TupleType((ListType(inner),)),
        lambda value: ([value],),
        "{outer:08x}00000001{size:08x}{raw}",
    ),
    (
        lambda inner: TupleType((MapType(NativeType("int"), inner),)),
        lambda value: ({1: value},),
        "{item:08x}000000010000000400000001{size:08x}{raw}",
    ),
    (
        lambda inner: ListType(TupleType((inner,))),
        lambda value: [(value,)],
        "00000001{inner:08x}{size:08x}{raw}",
    ),
]


@pytest.mark.parametrize(("wrap", "fill", "layout"), WITHIN)
@pytest.mark.parametrize(
    ("cql_type", "values", "raw"),
    [
        (INTS, [[3, 1], (3, 1), {3, 1}, frozenset({3, 1}), [3, 1, 3], {3: 0, 1: 0}.keys()], SET),
        (NUMBERED, [{3: 8, 1: 7}, FrozenMap({3: 8, 1: 7})], MAP),
    ],
    ids=["set", "map"],
)
def test_wherever_the_server_does_not_sort(
    registry: Registry,
    cql_type: CqlType,
    values: list[Any],
    raw: str,
    wrap: Callable[[CqlType], CqlType],
    fill: Callable[[Any], Any],
    layout: str,
) -> None:
    size = len(raw) // 2
    expected = layout.format(size=size, raw=raw, outer=size + 8, item=size + 16, inner=size + 4)
    for value in values:
        assert encode(registry, wrap(cql_type), fill(value)).hex() == expected


def test_of_equal_keys_the_first_has_the_last_value(registry: Registry) -> None:
    """As in the server's own maps."""
    cql_type = TupleType((MapType(NativeType("uuid"), NativeType("int")),))
    name = "c232ab00-9414-11ec-b3c8-9f6bdeced846"
    raw = encode(registry, cql_type, ({name: 1, name.upper(): 2},))
    assert list(decode(registry, cql_type, raw)[0].values()) == [2]
    assert len(raw) == 4 + 4 + 20 + 8


def test_values_equal_to_the_server_but_not_to_python(registry: Registry) -> None:
    cql_type = TupleType((SetType(NativeType("decimal")),))
    raw = encode(registry, cql_type, ([Decimal("1.00"), Decimal(0), Decimal("1.0")],))
    assert list(map(str, sorted(decode(registry, cql_type, raw)[0]))) == ["0", "1.00"]


def test_the_order_given_stays_where_the_server_sorts(registry: Registry) -> None:
    """It need not be done twice."""
    assert encode(registry, "set<int>", [3, 1, 3]).hex() == "00000003" + "".join(
        f"00000004{number:08x}" for number in (3, 1, 3)
    )
