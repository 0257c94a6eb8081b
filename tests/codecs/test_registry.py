from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from triocql.codecs.custom import Codec
from triocql.codecs.registry import Registry
from triocql.codecs.values import EMPTY
from triocql.errors import BindTypeError, BindValueError, DecodeError, OptionError
from triocql.protocol.constants import UNSET
from triocql.protocol.types import ColumnSpec, CustomType, ListType, NativeType, UserType, VectorType

from .helpers import ADDRESS, columns, cql, decode, encode, round_trip

MARSHAL = "org.apache.cassandra.db.marshal"


class Cents:
    """An amount of money as a number of cents."""

    def encode(self, value: Decimal) -> int:
        return int(value * 100)

    def decode(self, value: int) -> Decimal:
        return Decimal(value) / 100


class Json:
    def encode(self, value: Any) -> str:
        return json.dumps(value)

    def decode(self, value: str) -> Any:
        return json.loads(value)


class AnyAddress:
    def __init__(self, **fields: Any) -> None: ...


class Broken:
    def encode(self, value: Any) -> Any:
        raise RuntimeError("secret")

    def decode(self, value: Any) -> Any:
        raise RuntimeError("secret")


def test_a_codec_for_a_type(registry: Registry) -> None:
    registry.register("bigint", Cents())
    assert encode(registry, "bigint", Decimal("1.50")) == (150).to_bytes(8)
    assert decode(registry, "bigint", (150).to_bytes(8)) == Decimal("1.50")
    assert decode(registry, "int", b"\0\0\0\1") == 1


def test_a_codec_for_a_type_counts_inside_of_others(registry: Registry) -> None:
    registry.register("int", Cents())
    money = Decimal("1.5")
    for name, value in {
        "list<int>": [money],
        "set<int>": {money},
        "map<int, int>": {money: money},
        "tuple<int, text>": (money, "x"),
        "vector<int, 2>": [money, money],
        "list<frozen<map<text, int>>>": [{"x": money}],
    }.items():
        assert round_trip(registry, name, value) == value
    assert round_trip(registry, ADDRESS, {"number": money}).number == money
    assert encode(registry, "vector<int, 1>", [money]) == (150).to_bytes(4)


def test_a_codec_for_a_whole_collection(registry: Registry) -> None:
    class Joined:
        def encode(self, value: str) -> list[str]:
            return value.split()

        def decode(self, value: list[str]) -> str:
            return " ".join(value)

    registry.register("list<varchar>", Joined())
    assert round_trip(registry, "list<text>", "a b c") == "a b c"
    assert round_trip(registry, "set<frozen<list<text>>>", {"a b"}) == {"a b"}


def test_a_codec_for_a_parsed_type(registry: Registry) -> None:
    registry.register(ListType(CustomType(f"{MARSHAL}.LongType")), Json())
    registry.register(NativeType("bigint"), Cents())
    with pytest.raises(BindTypeError):
        encode(registry, "list<bigint>", [1])


def test_a_codec_for_a_column_comes_first(registry: Registry) -> None:
    registry.register("text", Cents())
    registry.register_column("ks", "t", "c1", Json())
    spec = columns("bigint", "text")
    body = registry.binder(spec).bind((1, {"a": [1]}))
    assert registry.plan(spec).page(body, 2, 1).rows() == [(1, {"a": [1]})]
    other = ColumnSpec("ks", "other", "c1", NativeType("blob"))
    assert registry.binder((other,)).encode(0, b"x") == b"x"


def named(name: str, cql_type: str, keyspace: str = "ks") -> tuple[ColumnSpec]:
    return (ColumnSpec(keyspace, "t", name, cql(cql_type)),)


SERVERS_OWN = [
    ("[limit]", "int"),
    ("[per_partition_limit]", "int"),
    ("[ttl]", "int"),
    ("[timestamp]", "bigint"),
    ("[json]", "text"),
    ("[applied]", "boolean"),
    ("partition key token", "bigint"),
    ("idx(l)", "int"),
    ("count", "bigint"),
    ("system.count(cost)", "bigint"),
    ("system.token(id)", "bigint"),
    ("system.tojson(cost)", "text"),
    ("system.to_json(cost)", "text"),
    ("writetime(cost)", "bigint"),
    ("maxwritetime(cost)", "bigint"),
    ("ttl(cost)", "int"),
]
EXAMPLES: dict[str, Any] = {"int": 7, "bigint": 7, "text": "7", "boolean": True}


@pytest.mark.parametrize(("name", "cql_type"), SERVERS_OWN)
def test_a_codec_for_a_type_leaves_alone_what_is_the_servers_own(
    registry: Registry, name: str, cql_type: str
) -> None:
    registry.register(cql_type, Broken())
    value = EXAMPLES[cql_type]
    raw = registry.binder(named(name, cql_type)).bind([value])
    assert registry.plan(named(name, cql_type)).page(raw, 2, 1).rows() == [(value,)]


def test_a_codec_for_a_type_leaves_the_servers_tables_alone(registry: Registry) -> None:
    registry.register("text", Broken())
    raw = registry.binder(named("request", "text", "system_traces")).bind(["x"])
    assert registry.plan(named("request", "text", "system_traces")).page(raw, 2, 1).rows() == [("x",)]
    registry.register_column("system_traces", "t", "request", Json())
    assert registry.binder(named("request", "text", "system_traces")).encode(0, "x") == b'"x"'


@pytest.mark.parametrize(
    ("name", "cql_type"),
    [
        ("cost", "bigint"),
        ("count", "int"),
        ("system.max(cost)", "bigint"),
        ("value(m)", "bigint"),
        ("counted", "bigint"),
        ("arg0(system.token)", "bigint"),
        ("ttl", "int"),
        ("in(cost)", "list<bigint>"),
        ("p.cost", "bigint"),
    ],
)
def test_a_codec_for_a_type_counts_for_whatever_else(registry: Registry, name: str, cql_type: str) -> None:
    registry.register("bigint", Broken())
    registry.register("int", Broken())
    with pytest.raises(BindValueError, match="RuntimeError"):
        registry.binder(named(name, cql_type)).bind([[1] if "list" in cql_type else 1])


MONEY = Decimal("1.5")


@pytest.mark.parametrize(
    ("name", "cql_type", "value", "written"),
    [
        ("cost", "bigint", MONEY, 150),
        ("in(cost)", "list<bigint>", [MONEY, MONEY], [150, 150]),
        ("(cost)", "tuple<bigint>", (MONEY,), (150,)),
        ("(id,cost)", "tuple<bigint, bigint>", (7, MONEY), (7, 150)),
        ("in(id,cost)", "list<frozen<tuple<bigint, bigint>>>", [(7, MONEY)], [(7, 150)]),
        ("in(cost)", "list<frozen<tuple<bigint>>>", [(MONEY,)], [(150,)]),
        ("(id,other)", "tuple<bigint, bigint>", (7, 8), (7, 8)),
        ("price", "bigint", 7, 7),
        ("value(cost)", "bigint", 7, 7),
    ],
)
def test_a_codec_for_a_column_counts_wherever_the_server_names_it(
    registry: Registry, name: str, cql_type: str, value: Any, written: Any
) -> None:
    plain = Registry(impl=registry._impl)
    registry.register_column("ks", "t", "cost", Cents())
    columns = named(name, cql_type)
    assert registry.binder(columns).encode(0, value) == plain.binder(columns).encode(0, written)


def test_registering_counts_from_then_on(registry: Registry) -> None:
    spec = columns("bigint")
    before = registry.plan(spec), registry.binder(spec)
    page = before[0].page(b"\0\0\0\x08" + (150).to_bytes(8), 0, 1)
    registry.register("bigint", Cents())
    after = registry.plan(spec), registry.binder(spec)
    assert before[0] is not after[0]
    assert before[1] is not after[1]
    assert page.rows() == [(150,)]
    assert after[0].page(b"\0\0\0\x08" + (150).to_bytes(8), 0, 1).rows() == [(Decimal("1.5"),)]


def test_null_unset_and_empty_do_not_go_through_it(registry: Registry) -> None:
    registry.register("int", Broken())
    assert decode(registry, "int", None) is None
    assert decode(registry, "int", b"") is EMPTY
    assert encode(registry, "int", EMPTY) == b""
    assert registry.binder(columns("int", "int")).bind((None, UNSET)).hex() == "0002fffffffffffffffe"


def test_a_codec_that_raises(registry: Registry) -> None:
    registry.register("int", Broken())
    with pytest.raises(BindValueError, match=r"Broken\.encode raised RuntimeError") as writing:
        encode(registry, "list<int>", [1])
    with pytest.raises(
        DecodeError, match=r"row 0, column 'c0' .*Broken.decode raised RuntimeError"
    ) as reading:
        decode(registry, "list<int>", bytes.fromhex("000000010000000400000001"))
    for caught in (writing.value, reading.value):
        assert isinstance(caught.__cause__, RuntimeError)
        assert "secret" not in str(caught)


def test_a_codec_that_gives_something_wrong(registry: Registry) -> None:
    registry.register("int", Json())
    with pytest.raises(BindTypeError, match="int takes an int, not str"):
        encode(registry, "int", 1)
    with pytest.raises(DecodeError, match="raised TypeError"):
        decode(registry, "int", b"\0\0\0\1")


def test_what_cannot_be_registered(registry: Registry) -> None:
    wrong: Any
    for wrong in (object(), Cents, None, len):
        with pytest.raises(OptionError, match="needs the methods encode and decode"):
            registry.register("int", wrong)
        with pytest.raises(OptionError, match="needs the methods encode and decode"):
            registry.register_column("ks", "t", "c", wrong)
    with pytest.raises(OptionError, match="is not a CQL type"):
        registry.register("lisst<int>", Cents())
    for wrong in (int, None, ["int"]):
        with pytest.raises(OptionError, match="a type of CQL is needed, as text or parsed, not"):
            registry.register(wrong, Cents())
    with pytest.raises(OptionError, match="table has to be a name, not NoneType"):
        registry.register_column("ks", None, "c", Cents())  # type: ignore[arg-type]
    assert isinstance(Cents(), Codec)


def test_plans_are_cached(registry: Registry) -> None:
    spec = columns("int", "text")
    equal = columns("int", "text")
    assert registry.plan(spec) is registry.plan(spec) is registry.plan(equal) is registry.plan(list(spec))
    assert registry.binder(spec) is registry.binder(spec) is registry.binder(equal)
    assert registry.plan(columns("int")) is not registry.plan(spec)


@pytest.mark.parametrize("kind", [tuple, list])
def test_the_cache_is_bounded(registry: Registry, kind: Any) -> None:
    registry._plans._by_value._limit = 1700
    for i in range(300):
        registry.plan(kind([ColumnSpec("ks", "t", f"c{i}", NativeType("int"))]))
    assert len(registry._plans._by_identity) == 100
    assert len(registry._plans._by_value) == 100


def test_registries_are_apart(impl: Any) -> None:
    first, second = Registry(impl=impl), Registry(impl=impl)
    first.register("int", Cents())
    assert decode(first, "int", b"\0\0\0\1") == Decimal("0.01")
    assert decode(second, "int", b"\0\0\0\1") == 1


def test_copies(registry: Registry) -> None:
    registry.register("int", Cents())
    registry.register_column("ks", "t", "c1", Json())
    registry.register_udt("ks", "address", dict)
    told: list[str] = []
    registry.subscribe(lambda: told.append("told"))
    other = registry.copy()
    assert type(other.plan(())) is type(registry.plan(()))
    assert decode(other, "int", b"\0\0\0\1") == Decimal("0.01")
    assert other.binder(columns("int", "text")).bind((1, [2]))[-3:] == b"[2]"
    assert isinstance(decode(other, ADDRESS, b""), dict)
    other.register("int", Json())
    other.register_column("ks", "t", "c1", Cents())
    other.register_udt("ks", "address", AnyAddress)
    assert told == []
    assert decode(registry, "int", b"\0\0\0\1") == Decimal("0.01")
    assert registry.binder(columns("int", "text")).bind((1, [2]))[-3:] == b"[2]"
    assert isinstance(decode(registry, ADDRESS, b""), dict)


def test_custom_types(registry: Registry) -> None:
    vector = CustomType(f"{MARSHAL}.VectorType({MARSHAL}.FloatType , 2)")
    spec = columns(vector, CustomType("com.example.Point"), ListType(CustomType(f"{MARSHAL}.Int32Type")))
    plan = registry.plan(spec)
    assert [column.type for column in plan.columns] == [
        VectorType(NativeType("float"), 2),
        CustomType("com.example.Point"),
        ListType(NativeType("int")),
    ]
    body = registry.binder(spec).bind(([1, 2], b"\1\2", [3]))
    assert plan.page(body, 2, 1).rows() == [([1.0, 2.0], b"\1\2", [3])]


def test_custom_types_that_are_no_class_names(registry: Registry) -> None:
    for name in ("", "(", "a b", "x(", f"{MARSHAL}.ListType({MARSHAL}.Int32Type,{MARSHAL}.Int32Type)"):
        assert round_trip(registry, CustomType(name), b"raw") == b"raw"


def test_custom_types_inside_of_others(registry: Registry) -> None:
    number = CustomType(f"{MARSHAL}.Int32Type")
    cql_type = UserType("ks", "u", (("a", number), ("b", VectorType(number, 1))))
    assert round_trip(registry, cql_type, (1, [2])) == (1, [2])
