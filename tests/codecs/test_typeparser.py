from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triocql.codecs.typeparser import parse_class_name, parse_type
from triocql.errors import OptionError
from triocql.protocol.types import (
    CqlType,
    CustomType,
    ListType,
    MapType,
    NativeType,
    SetType,
    TupleType,
    UserType,
    VectorType,
)

from .strategies import types

TEXT, INT, FLOAT = NativeType("text"), NativeType("int"), NativeType("float")
M = "org.apache.cassandra.db.marshal."


def resolve(keyspace: str, name: str) -> UserType:
    return UserType(keyspace or "ks", name, ())


CQL: list[tuple[str, CqlType]] = [
    ("int", INT),
    ("INT", INT),
    (" varchar ", TEXT),
    ("counter", NativeType("counter")),
    ("list<int>", ListType(INT)),
    ("frozen<list<int>>", ListType(INT)),
    ("SET < text >", SetType(TEXT)),
    ("map<text, frozen<list<int>>>", MapType(TEXT, ListType(INT))),
    ("tuple<int>", TupleType((INT,))),
    ("tuple<int,text,frozen<tuple<int>>>", TupleType((INT, TEXT, TupleType((INT,))))),
    ("vector<float, 3>", VectorType(FLOAT, 3)),
    ("vector<vector<float,2>,3>", VectorType(VectorType(FLOAT, 2), 3)),
    ("address", UserType("ks", "address", ())),
    ("Address", UserType("ks", "address", ())),
    ('"Address"', UserType("ks", "Address", ())),
    ('"a ""b"" <c>"', UserType("ks", 'a "b" <c>', ())),
    ('shop."Address"', UserType("shop", "Address", ())),
    ("list<frozen<shop.address>>", ListType(UserType("shop", "address", ()))),
    ("'com.example.Point'", CustomType("com.example.Point")),
    (f"list<'{M}Int32Type'>", ListType(INT)),
    ("list<list>", ListType(UserType("ks", "list", ()))),
]


@pytest.mark.parametrize(("text", "expected"), CQL)
def test_cql(text: str, expected: CqlType) -> None:
    assert parse_type(text, resolve) == expected


@given(types)
def test_what_types_say_of_themselves(cql_type: CqlType) -> None:
    found: dict[str, UserType] = {}

    def collect(each: object) -> None:
        match each:
            case UserType(name=name):
                found[name] = each
            case ListType(inner) | SetType(inner) | VectorType(inner):
                collect(inner)
            case MapType(key, value):
                collect(key)
                collect(value)
            case TupleType(elements):
                for element in elements:
                    collect(element)

    collect(cql_type)
    if len(found) < 2:
        assert str(parse_type(str(cql_type), lambda _, name: found[name])) == str(cql_type)


CLASSES: list[tuple[str, CqlType]] = [
    (f"{M}Int32Type", INT),
    ("Int32Type", INT),
    (f"{M}UTF8Type", TEXT),
    (f"{M}DateType", NativeType("timestamp")),
    (f"{M}SimpleDateType", NativeType("date")),
    (f"{M}LexicalUUIDType", NativeType("uuid")),
    (f"{M}ReversedType({M}TimestampType)", NativeType("timestamp")),
    (f"{M}FrozenType({M}ListType({M}Int32Type))", ListType(INT)),
    (f"{M}MapType({M}UTF8Type,{M}SetType({M}Int32Type))", MapType(TEXT, SetType(INT))),
    (f"{M}TupleType({M}Int32Type,{M}UTF8Type)", TupleType((INT, TEXT))),
    (f"{M}VectorType({M}FloatType , 3)", VectorType(FLOAT, 3)),
    (f"{M}VectorType({M}VectorType({M}FloatType,2), 3)", VectorType(VectorType(FLOAT, 2), 3)),
    (
        f"{M}UserType(shop,61646472,7374726565743a:{M}UTF8Type,6e:{M}Int32Type)".replace("3a:", ":"),
        UserType("shop", "addr", (("street", TEXT), ("n", INT))),
    ),
    (f"{M}UserType(shop,c3a9)", UserType("shop", "é", ())),
    (
        f"{M}CompositeType({M}UTF8Type,{M}Int32Type)",
        CustomType(f"{M}CompositeType({M}UTF8Type,{M}Int32Type)"),
    ),
    (f"{M}DynamicCompositeType(s=>{M}UTF8Type)", CustomType(f"{M}DynamicCompositeType(s=>{M}UTF8Type)")),
    (f"{M}PartitionerDefinedOrder", CustomType(f"{M}PartitionerDefinedOrder")),
    ("com.example.Point", CustomType("com.example.Point")),
    ("com.example.Point(a(b),c)", CustomType("com.example.Point(a(b),c)")),
    (f"{M}EmptyType", CustomType(f"{M}EmptyType")),
]


@pytest.mark.parametrize(("text", "expected"), CLASSES)
def test_class_names(text: str, expected: CqlType) -> None:
    assert parse_class_name(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends too early"),
        ("list", "no native type"),
        ("list<", "ends too early"),
        ("list<int", "ends too early"),
        ("list<int>>", "'>' after its end"),
        ("list<int,int>", "there is no 'list' of 2 types"),
        ("map<int>", "there is no 'map' of 1 types"),
        ("lisst<int>", "there is no 'lisst' of 1 types"),
        ("vector<int>", "',' expected instead of '>'"),
        ("vector<int, 0>", "dimension cannot be '0'"),
        ("vector<int, x>", "dimension cannot be 'x'"),
        ("vector<int, 99999999999>", "dimension cannot be"),
        ("int int", "'int' after its end"),
        ("list<int;>", "cannot read ';"),
        ("frozen<" * 100 + "int" + ">" * 100, "nested more than 64 deep"),
        ("list<" * 100_000, "nested more than 64 deep"),
    ],
)
def test_what_is_no_type(text: str, message: str) -> None:
    with pytest.raises(OptionError, match="is not a CQL type") as caught:
        parse_type(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(",
        f"{M}ListType(",
        f"{M}ListType()",
        f"{M}ListType({M}Int32Type,{M}Int32Type)",
        f"{M}VectorType({M}Int32Type)",
        f"{M}VectorType({M}Int32Type,-1)",
        f"{M}UserType(ks,xyz)",
        f"{M}UserType(ks,ff)",
        f"{M}UserType(ks,61,62)",
        "a b",
        "x((",
        f"{M}ListType(" * 100_000,
    ],
)
def test_what_is_no_class_name(text: str) -> None:
    with pytest.raises(OptionError, match="is not a CQL type"):
        parse_class_name(text)


@given(st.text("lisetmapfrozntuplevcd<>,.'\"() 0123456789:=>", max_size=60))
def test_any_text_is_a_type_or_an_error(text: str) -> None:
    with suppress(OptionError):
        assert isinstance(parse_type(text, resolve), CqlType)
    with suppress(OptionError):
        assert isinstance(parse_class_name(text), CqlType)
