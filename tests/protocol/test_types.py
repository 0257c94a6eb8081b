from __future__ import annotations

import copy
import pickle

import pytest

from triocql.protocol.constants import UNSET, Consistency, Unset
from triocql.protocol.features import Features
from triocql.protocol.types import (
    NATIVE_TYPES,
    ColumnSpec,
    CqlType,
    CustomType,
    ListType,
    MapType,
    NativeType,
    SetType,
    TupleType,
    UserType,
    VectorType,
    quote_name,
)

INT, TEXT = NativeType("int"), NativeType("text")


@pytest.mark.parametrize(
    ("cql_type", "text"),
    [
        (INT, "int"),
        (ListType(INT), "list<int>"),
        (SetType(TEXT), "set<text>"),
        (MapType(TEXT, ListType(INT)), "map<text, list<int>>"),
        (TupleType((INT, TEXT)), "tuple<int, text>"),
        (UserType("ks", "address", ()), "address"),
        (UserType("ks", "Ad dress", ()), '"Ad dress"'),
        (VectorType(NativeType("float"), 3), "vector<float, 3>"),
        (CustomType("a.b.C(x,'y')"), "'a.b.C(x,''y'')'"),
    ],
)
def test_types_are_values(cql_type: CqlType, text: str) -> None:
    assert str(cql_type) == text
    assert copy.deepcopy(cql_type) == cql_type
    assert hash(pickle.loads(pickle.dumps(cql_type))) == hash(cql_type)


def test_types_differ_by_kind() -> None:
    assert len({ListType(INT), SetType(INT), TupleType((INT,)), ListType(INT)}) == 3
    assert ColumnSpec("k", "t", "c", INT) == ("k", "t", "c", INT)


def test_every_number_has_a_type() -> None:
    assert set(NATIVE_TYPES) == set(range(0x01, 0x16))


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("users", "users"),
        ("u_1", "u_1"),
        ("Users", '"Users"'),
        ("1u", '"1u"'),
        ('a"b', '"a""b"'),
        ("", '""'),
        ("é", '"é"'),
        ("_a", '"_a"'),
        ("order", '"order"'),
        ("true", '"true"'),
        ("text", '"text"'),
        ("orders", "orders"),
    ],
)
def test_names_are_quoted_where_they_have_to_be(name: str, quoted: str) -> None:
    assert quote_name(name) == quoted


def test_unset_is_one() -> None:
    assert Unset() is UNSET
    assert copy.deepcopy(UNSET) is UNSET
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET
    assert repr(UNSET) == "UNSET"


def test_serial_consistencies() -> None:
    assert [level.name for level in Consistency if level.is_serial] == ["SERIAL", "LOCAL_SERIAL"]


def test_features_before_supported() -> None:
    assert Features().compressions == ()
