from __future__ import annotations

from collections import ChainMap, OrderedDict, UserList, deque
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from triocql.codecs.bindv3 import BinderV3
from triocql.errors import BindTypeError, BindValueError
from triocql.protocol.constants import UNSET
from triocql.protocol.types import ColumnSpec, NativeType

from .helpers import columns, encode

if TYPE_CHECKING:
    from triocql.codecs.registry import Registry

TWO = (ColumnSpec("ks", "t", "id", NativeType("int")), ColumnSpec("ks", "t", "name", NativeType("text")))
BOUND = bytes.fromhex("0002" + "0000000400000001" + "0000000178")
SECRET = "the password"


class Same:
    """A codec whose values are those of the type."""

    def encode(self, value: Any) -> Any:
        return value

    def decode(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize(
    "values",
    [
        (1, "x"),
        [1, "x"],
        {"id": 1, "name": "x"},
        OrderedDict(name="x", id=1),
        ChainMap[str, Any]({"id": 1}, {"name": "x"}),
        deque([1, "x"]),
        UserList([1, "x"]),
        np.array([1, "x"], object),
    ],
)
def test_values_by_position_and_by_name(registry: Registry, values: Any) -> None:
    assert registry.binder(TWO).bind(values) == BOUND


def test_null_and_unset(registry: Registry) -> None:
    binder = registry.binder(TWO)
    assert binder.bind((None, UNSET)) == bytes.fromhex("0002fffffffffffffffe")
    assert binder.bind({"id": UNSET, "name": None}) == bytes.fromhex("0002fffffffeffffffff")
    assert binder.bind((1, "")) == bytes.fromhex("0002" + "0000000400000001" + "00000000")


@pytest.mark.parametrize("values", [(UNSET, "x"), [UNSET, UNSET], {"id": UNSET, "name": "x"}])
def test_the_partition_key_cannot_be_left_unset(registry: Registry, values: Any) -> None:
    plain = registry.binder(TWO)
    keyed = registry.binder(TWO, (0,))
    with pytest.raises(BindValueError, match=r"column 'id' \(int\) .* a partition key needs all its values"):
        keyed.bind(values)
    assert keyed.bind((1, UNSET)) == plain.bind((1, UNSET))
    assert keyed.bind((None, "x")) == plain.bind((None, "x"))  # servers differ about null
    assert keyed.columns is plain.columns
    assert plain.bind((UNSET, "x"))[2:6] == bytes.fromhex("fffffffe")


@pytest.mark.parametrize(
    ("kind", "value", "ordered"),
    [
        ("set<int>", [2, -1, 2, 1], [-1, 1, 2]),
        ("map<int, set<int>>", {2: [], -1: [3, 1]}, {-1: [1, 3], 2: []}),
        ("list<set<int>>", [[2, 1], []], [[1, 2], []]),
    ],
)
@pytest.mark.parametrize("codec", [False, True])
def test_sets_and_maps_of_the_partition_key_are_in_the_servers_order(
    registry: Registry, kind: str, value: Any, ordered: Any, codec: bool
) -> None:
    """It sorts them before it makes the token of the key. In other columns they are left to it."""
    if codec:
        registry = registry.copy()
        registry.register_column("ks", "t", "c1", Same())
    both = columns("int", kind)
    keyed, plain = registry.binder(both, (1,)), registry.binder(both)
    assert keyed.bind((1, value)) == keyed.bind((1, ordered)) == plain.bind((1, ordered))
    assert plain.bind((1, value)) != plain.bind((1, ordered))


def test_nothing_to_bind(registry: Registry) -> None:
    nothing: list[Any] = [None, (), [], {}]
    for values in nothing:
        assert registry.binder(()).bind(values) == b"\0\0"


def test_one_value(registry: Registry) -> None:
    binder = registry.binder(TWO)
    assert binder.encode(0, 1) == b"\0\0\0\x01"
    assert binder.encode(1, "x") == b"x"
    assert binder.encode(1, None) is None
    with pytest.raises(BindValueError, match="UNSET cannot stand"):
        binder.encode(0, UNSET)
    with pytest.raises(IndexError):
        binder.encode(2, 1)


def test_big_values(registry: Registry) -> None:
    blob = b"x" * 100_000
    assert registry.binder(columns("blob", "int", "blob")).bind((blob, 1, blob)) == b"".join(
        (b"\0\3\0\1\x86\xa0", blob, b"\0\0\0\4\0\0\0\1\0\1\x86\xa0", blob)
    )


@pytest.mark.parametrize(
    "values", ["ab", b"ab", bytearray(b"ab"), 5, 5.0, {1, "x"}, iter([1, "x"]), object()]
)
def test_what_values_cannot_be(registry: Registry, values: Any) -> None:
    with pytest.raises(BindTypeError, match="values have to be a sequence or a mapping by name"):
        registry.binder(TWO).bind(values)


def test_a_single_value_gets_advice(registry: Registry) -> None:
    wrong: Any = 5
    with pytest.raises(BindTypeError, match=r"not int; for a single value write \[value\]"):
        registry.binder(TWO).bind(wrong)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "0 values for 2 bind markers; missing: id, name"),
        ((), "0 values for 2 bind markers; missing: id, name"),
        ((1,), "1 values for 2 bind markers; missing: name"),
        ([1, "x", 2], "3 values for 2 bind markers"),
        ({"id": 1}, "no values for name"),
        ({}, "no values for id, name"),
        ({"id": 1, "name": "x", "nmae": "y"}, "no bind marker is named nmae; there are: id, name"),
    ],
)
def test_the_wrong_number_of_values(registry: Registry, values: Any, message: str) -> None:
    with pytest.raises(BindValueError, match=message):
        registry.binder(TWO).bind(values)


def test_one_name_twice(registry: Registry) -> None:
    """``WHERE a = :x AND b = :x`` has one name for two markers."""
    twice = (TWO[0], TWO[0])
    assert registry.binder(twice).bind({"id": 1}) == bytes.fromhex("0002" + "0000000400000001" * 2)


def test_errors_name_the_column_and_never_the_value(registry: Registry) -> None:
    with pytest.raises(BindTypeError) as caught:
        registry.binder(TWO).bind((SECRET, "x"))
    assert str(caught.value) == "column 'id' (int) of ks.t, given str: int takes an int, not str"
    for cql_type, value in {
        "uuid": SECRET,
        "inet": SECRET,
        "ascii": SECRET + "é",
        "text": SECRET + "\ud800",
        "list<int>": [SECRET],
        "map<text, int>": {SECRET: SECRET},
        "time": 123456789123456789,
        "int": 123456789123456789,
    }.items():
        with pytest.raises((BindTypeError, BindValueError)) as caught_other:
            registry.binder(columns(cql_type)).bind((value,))
        error: BaseException | None = caught_other.value
        while error is not None:
            assert SECRET not in str(error)
            assert "123456789" not in str(error)
            error = error.__cause__


def test_errors_name_the_innermost_type(registry: Registry) -> None:
    with pytest.raises(
        BindTypeError,
        match=r"\(map<text, list<int>>\) of ks.t, given dict: element 0: int takes an int, not str",
    ):
        registry.binder(columns("map<text, list<int>>")).bind(({"a": ["1"]},))


def test_too_many_bind_markers(registry: Registry) -> None:
    with pytest.raises(BindValueError, match="65535 bind markers, not 65536"):
        registry.binder(TWO[:1] * 65536)
    assert registry.binder(TWO[:1] * 65535).bind([None] * 65535)[:2] == b"\xff\xff"


class Shrinking(list[Any]):
    """A list that tells more than it has."""

    def __len__(self) -> int:
        return 2


def test_values_whose_length_lies(registry: Registry) -> None:
    with pytest.raises(BindValueError, match="0 values for 2"):
        registry.binder(TWO).bind(Shrinking())
    with pytest.raises((BindTypeError, BindValueError)):
        registry.binder(columns("tuple<int, int>")).bind((Shrinking(),))
    with pytest.raises((BindTypeError, BindValueError)):
        registry.binder(columns("vector<int, 2>")).bind((Shrinking(),))


def test_binding_in_the_middle_of_binding(registry: Registry) -> None:
    """A user's codec may use the binder itself."""

    class Nested:
        def encode(self, value: int) -> bytes:
            if not value:
                return b""
            return registry.binder(blobs).bind((value - 1,))

        def decode(self, value: bytes) -> bytes:
            return value

    blobs = columns("blob")
    registry.register_column("ks", "t", "c0", Nested())
    assert (
        registry.binder(blobs).bind((2,)).hex() == "0001" + "0000000c" + "0001" + "00000006" + "000100000000"
    )


@pytest.mark.parametrize("values", [np.array([1, 2]), np.array([1, 2], dtype="int8"), np.array([7, 8])[::1]])
def test_an_array_in_protocol_v3(registry: Registry, values: Any) -> None:
    binder = registry.binder(columns("int", "int"))
    assert BinderV3(binder).bind(values) == binder.bind(values)
    with pytest.raises(BindValueError, match="0 values for 2 bind markers"):
        BinderV3(binder).bind(values[:0])


REFUSED_WITHIN: list[tuple[str, Any, str]] = [
    ("address", {"street": "x", "number": "secret"}, "field 'number': int takes"),
    ("address", ("x", 2**40), "field 'number': int"),
    ("list<int>", [1, 2, "secret"], "element 2: int takes"),
    ("tuple<int, text>", (1, 2), "element 1: text takes"),
    ("list<address>", [(), {"number": "secret"}], "element 1: field 'number': int takes"),
]


@pytest.mark.parametrize(("cql_type", "value", "where"), REFUSED_WITHIN)
def test_a_refusal_says_which_part_of_a_value_it_is(
    registry: Registry, cql_type: str, value: Any, where: str
) -> None:
    with pytest.raises((BindTypeError, BindValueError), match=f"given (dict|list|tuple): {where}") as caught:
        encode(registry, cql_type, value)
    assert "secret" not in str(caught.value)
