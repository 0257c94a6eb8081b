"""Lists, sets, maps, tuples and vectors."""

from __future__ import annotations

import array
from collections import ChainMap, OrderedDict, UserDict, UserList, deque
from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
import pytest

from triocql.codecs.values import EMPTY, FrozenMap
from triocql.errors import BindTypeError, BindValueError, DecodeError
from triocql.protocol.constants import UNSET

from .helpers import cql, decode, encode, round_trip

if TYPE_CHECKING:
    from triocql.codecs.registry import Registry

ONE = "0000000400000001"
TWO = "0000000400000002"
NULL = "ffffffff"


class Pair(NamedTuple):
    number: int
    text: str


class Numbers(Sequence[int]):
    """A sequence of the user's own."""

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        return (1, 2)[index]

    def __len__(self) -> int:
        return 2


BYTES: list[tuple[str, Any, str]] = [
    ("list<int>", [], "00000000"),
    ("list<int>", [1, 2], "00000002" + ONE + TWO),
    ("set<int>", {1}, "00000001" + ONE),
    ("map<int, int>", {1: 2}, "00000001" + ONE + TWO),
    ("tuple<int, int>", (1, None), ONE + NULL),
    ("list<frozen<list<int>>>", [[1], []], "00000002" + "0000000c00000001" + ONE + "0000000400000000"),
    ("vector<int, 2>", [1, 2], "0000000100000002"),
    ("vector<float, 1>", [1.5], "3fc00000"),
    ("vector<smallint, 2>", [1, 2], "0200010200" + "02"),
    ("vector<tinyint, 2>", [1, 2], "01010102"),
    ("vector<text, 2>", ["a", ""], "016100"),
    ("vector<vector<int, 1>, 2>", [[1], [2]], "0000000100000002"),
    ("vector<vector<text, 1>, 2>", [["a"], ["bc"]], "02016103026263"),
    ("vector<list<int>, 1>", [[1]], "0c00000001" + ONE),
    ("vector<text, 1>", ["x" * 200], "80c8" + "78" * 200),
]


@pytest.mark.parametrize(("name", "value", "expected"), BYTES)
def test_bytes(registry: Registry, name: str, value: Any, expected: str) -> None:
    assert encode(registry, name, value).hex() == expected
    read = decode(registry, name, bytes.fromhex(expected))
    assert (type(read), read) == (type(value), value)


ACCEPTED: list[tuple[str, Any, Any]] = [
    ("list<int>", (1, 2), [1, 2]),
    ("list<int>", deque([1, 2]), [1, 2]),
    ("list<int>", UserList([1, 2]), [1, 2]),
    ("list<int>", Numbers(), [1, 2]),
    ("list<int>", range(1, 3), [1, 2]),
    ("list<int>", {1}, [1]),
    ("list<int>", {1: "x"}.keys(), [1]),
    ("list<int>", array.array("i", [1, 2]), [1, 2]),
    ("list<int>", np.array([1, 2]), [1, 2]),
    ("list<double>", np.array([1.5, 2], "f4"), [1.5, 2.0]),
    ("list<text>", np.array(["a", "é"]), ["a", "é"]),
    ("list<boolean>", np.array([True, False]), [True, False]),
    ("list<frozen<list<int>>>", np.array([[1], [2]]), [[1], [2]]),
    ("set<int>", [2, 1, 2], {1, 2}),
    ("set<int>", frozenset({1}), {1}),
    ("set<int>", np.array([1]), {1}),
    ("map<text, int>", OrderedDict(a=1), {"a": 1}),
    ("map<text, int>", MappingProxyType({"a": 1}), {"a": 1}),
    ("map<text, int>", UserDict({"a": 1}), {"a": 1}),
    ("map<text, int>", ChainMap({"a": 1}, {"b": 2}), {"a": 1, "b": 2}),
    ("tuple<int, text>", Pair(1, "x"), (1, "x")),
    ("tuple<int, text>", [1, None], (1, None)),
    ("vector<float, 2>", (1, 2), [1.0, 2.0]),
    ("vector<float, 2>", np.array([1, 2], "f4"), [1.0, 2.0]),
    ("vector<float, 2>", np.array([1, 2], ">f4"), [1.0, 2.0]),
    ("vector<float, 2>", np.array([1, 2], "f2"), [1.0, 2.0]),
    ("vector<float, 2>", np.array([1.5, 2], "f8"), [1.5, 2.0]),
    ("vector<float, 2>", np.array([1, 2, 3, 4], "f4")[::2], [1.0, 3.0]),
    ("vector<float, 2>", array.array("f", [1, 2]), [1.0, 2.0]),
    ("vector<double, 2>", np.array([1.5, 2]), [1.5, 2.0]),
    ("vector<int, 2>", np.array([1, 2]), [1, 2]),
]


@pytest.mark.parametrize(("name", "value", "expected"), ACCEPTED)
def test_what_users_pass(registry: Registry, name: str, value: Any, expected: Any) -> None:
    read = round_trip(registry, name, value)
    assert (type(read), read) == (type(expected), expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("list<text>", "abc"),
        ("list<int>", b"abc"),
        ("list<int>", 1),
        ("list<int>", iter([1])),
        ("list<int>", {1: 2}),
        ("list<int>", ["1"]),
        ("set<text>", "abc"),
        ("map<int, int>", [(1, 2)]),
        ("map<int, int>", {1}),
        ("map<int, int>", {"a": 1}),
        ("tuple<text, text>", "ab"),
        ("tuple<int>", {1}),
        ("tuple<int, int>", (1, "2")),
        ("vector<int, 1>", {1}),
        ("vector<text, 1>", "a"),
        ("vector<int, 1>", ["1"]),
    ],
)
def test_wrong_types(registry: Registry, name: str, value: Any) -> None:
    with pytest.raises(BindTypeError, match="'c0'"):
        encode(registry, name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("list<int>", [None]),
        ("list<int>", [UNSET]),
        ("list<int>", [2**31]),
        ("set<int>", {None}),
        ("map<int, int>", {None: 1}),
        ("map<int, int>", {1: None}),
        ("map<int, int>", {1: UNSET}),
        ("tuple<int, int>", (1,)),
        ("tuple<int, int>", (1, 2, 3)),
        ("tuple<int, int>", (1, UNSET)),
        ("vector<int, 2>", [1]),
        ("vector<int, 2>", [1, None]),
        ("vector<int, 2>", [1, EMPTY]),
        ("vector<int, 2>", np.array([1, 2, 3])),
        ("vector<text, 1>", [None]),
        ("vector<float, 1>", np.array([1e39])),
    ],
)
def test_out_of_range(registry: Registry, name: str, value: Any) -> None:
    with pytest.raises(BindValueError, match="'c0'"):
        encode(registry, name, value)


INVALID: list[tuple[str, str]] = [
    ("list<int>", "0000"),
    ("list<int>", NULL),
    ("list<int>", "00000001"),
    ("list<int>", "00000002" + ONE),
    ("list<int>", "00000001" + ONE + "00"),
    ("list<int>", "00000000" + "00"),
    ("list<int>", "7fffffff" + ONE),
    ("list<int>", "00000001" + "0000000800000001"),
    ("list<int>", "00000001" + "0000000300000001"),
    ("list<text>", "00000001" + "00000001ff"),
    ("set<int>", "00000001"),
    ("map<int, int>", "00000001" + ONE),
    ("map<int, int>", "00000001" + ONE + TWO + "00"),
    ("map<int, int>", "80000000"),
    ("tuple<int, int>", ONE + "00"),
    ("tuple<int, int>", ONE + TWO + ONE),
    ("tuple<int, int>", "0000000800000001"),
    ("vector<int, 2>", "00000001"),
    ("vector<int, 2>", "000000010000000200"),
    ("vector<text, 2>", "01"),
    ("vector<text, 2>", "0161"),
    ("vector<text, 2>", "01610262"),
    ("vector<text, 2>", "016100" + "00"),
    ("vector<text, 2>", "ffffffffffffffffff00"),
]


@pytest.mark.parametrize(("name", "raw"), INVALID)
def test_invalid_bytes(registry: Registry, name: str, raw: str) -> None:
    with pytest.raises(DecodeError, match="row 0, column 'c0'"):
        decode(registry, name, bytes.fromhex(raw))


def test_counts_are_checked_before_anything_is_allocated(registry: Registry) -> None:
    """A vector's dimension comes from its type, all other counts from its bytes."""
    for name in ("list<int>", "set<int>", "map<int, int>"):
        with pytest.raises(DecodeError, match="more elements"):
            decode(registry, name, b"\x7f\xff\xff\xff" + b"\0" * 64)
    for name in (
        "vector<int, 999999999>",
        "vector<text, 999999999>",
        "vector<vector<int, 999999999>, 999999999>",
    ):
        with pytest.raises(DecodeError):
            decode(registry, name, b"\0" * 64)


def test_elements_that_are_missing_are_null(registry: Registry) -> None:
    assert decode(registry, "tuple<int, int, int>", bytes.fromhex(ONE)) == (1, None, None)
    assert decode(registry, "tuple<int, int>", b"") == (None, None)


def test_null_elements_are_read(registry: Registry) -> None:
    assert decode(registry, "list<int>", bytes.fromhex("00000002" + NULL + ONE)) == [None, 1]
    assert decode(registry, "map<int, int>", bytes.fromhex("00000001" + ONE + NULL)) == {1: None}


def test_empty_elements_are_read_and_written(registry: Registry) -> None:
    assert round_trip(registry, "list<int>", [EMPTY, 1]) == [EMPTY, 1]
    assert round_trip(registry, "vector<varint, 2>", [EMPTY, 1]) == [EMPTY, 1]


HASHABLE: list[tuple[str, Any]] = [
    ("set<frozen<list<int>>>", {(1, 2)}),
    ("set<frozen<set<int>>>", {frozenset({1, 2})}),
    ("set<frozen<map<text, int>>>", {FrozenMap({"a": 1})}),
    ("set<frozen<tuple<int, frozen<list<int>>>>>", {(1, (2,))}),
    ("set<frozen<map<int, frozen<list<int>>>>>", {FrozenMap({1: (2,)})}),
    ("set<frozen<vector<int, 1>>>", {(1,)}),
    ("set<frozen<vector<text, 1>>>", {("a",)}),
    ("map<frozen<list<int>>, frozen<list<int>>>", {(1,): [2]}),
    ("map<frozen<map<int, int>>, int>", {FrozenMap({1: 2}): 3}),
    ("map<int, frozen<set<int>>>", {1: {2}}),
]


@pytest.mark.parametrize(("name", "value"), HASHABLE)
def test_members_of_sets_and_keys_of_maps_are_hashable(registry: Registry, name: str, value: Any) -> None:
    read = round_trip(registry, name, value)
    assert read == value
    assert [type(each) for each in read] == [type(each) for each in value]


def test_a_frozen_map_is_a_mapping() -> None:
    first, second = FrozenMap({"a": 1, "b": 2}), FrozenMap({"b": 2, "a": 1})
    assert first == second == {"a": 1, "b": 2}
    assert hash(first) == hash(second)
    assert (first["a"], len(first), list(first), "c" in first) == (1, 2, ["a", "b"], False)
    assert repr(first) == "FrozenMap({'a': 1, 'b': 2})"


def test_long_lists(registry: Registry) -> None:
    for count in (0, 1, 255, 256, 257, 5000):
        numbers = list(range(count))
        assert round_trip(registry, "list<bigint>", numbers) == numbers


def test_deeply_nested(registry: Registry) -> None:
    name, value = "int", 1
    nested: Any = value
    for _ in range(30):
        name = f"frozen<list<{name}>>"
        nested = [nested]
    assert round_trip(registry, cql(name), nested) == nested
