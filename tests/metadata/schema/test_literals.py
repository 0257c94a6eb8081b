"""Arguments of masks: what system tables of a node of Cassandra 5.0 had of them, and what its DESCRIBE said."""

from __future__ import annotations

import pytest

from tests.metadata.schema.test_rows import Row, built, column, shop
from triocql.metadata.building import finish
from triocql.metadata.schema import Fault, Mask, build_keyspaces

SAID = [
    ("list<int>", "0000000200000004000000010000000400000002", "[1, 2]"),
    ("list<int>", "00000000", "[]"),
    ("set<text>", "0000000200000001610000000162", "{'a', 'b'}"),
    ("set<int>", "00000003000000040000000100000004000000020000000400000003", "{1, 2, 3}"),
    ("map<text, int>", "000000020000000161000000040000000200000001620000000400000001", "{'a': 2, 'b': 1}"),
    ("map<int, frozen<list<text>>>", "00000001000000040000000100000009000000010000000178", "{1: ['x']}"),
    ("frozen<list<int>>", "000000010000000400000001", "[1]"),
    (
        "frozen<map<text, frozen<set<int>>>>",
        "000000010000000161000000140000000200000004000000010000000400000002",
        "{'a': {1, 2}}",
    ),
    ("frozen<tuple<int, text, text>>", "1:a\\:b\\@c:@", "(1, 'a:b@c', null)"),
    ("frozen<tuple<int, text, text>>", "@::x", "(null, '', 'x')"),
    ("frozen<u>", "1:@", '{a: 1, "B c": null}'),
    ("vector<float, 3>", "3dcccccd322bcc7740400000", "[0.1, 1.0E-8, 3.0]"),
    ("vector<int, 2>", "0000000100000002", "[1, 2]"),
    ("vector<text, 2>", "01610162", "['a', 'b']"),
    (
        "list<double>",
        "00000004000000083ff0000000000000000000084202a05f20000000000000083f50624dd2f1a9fc000000083e112e0be826d695",
        "[1.0, 1.0E10, 0.001, 1.0E-9]",
    ),
    ("list<float>", "00000003000000043f8ccccd00000004501502f9000000043a83126f", "[1.1, 1.0E10, 0.001]"),
    ("list<boolean>", "0000000200000001010000000100", "[true, false]"),
    ("list<blob>", "000000020000000200ff00000000", "[0x00ff, 0x]"),
    (
        "list<uuid>",
        "000000010000001000000000000000000000000000000001",
        "[00000000-0000-0000-0000-000000000001]",
    ),
    (
        "list<timestamp>",
        "00000002000000080000016f6435cf2e000000080000000000000000",
        "['2020-01-02T03:04:05.678Z', '1970-01-01T00:00:00.000Z']",
    ),
    ("list<date>", "000000010000000480004757", "['2020-01-02']"),
    ("list<time>", "000000010000000800001ae5c31f8915", "['08:12:54.123456789']"),
    ("list<time>", "000000010000000800001ae5bbc3bc00", "['08:12:54.000000000']"),
    (
        "list<inet>",
        "00000002000000040a0000010000001000000000000000000000000000000001",
        "['10.0.0.1', '0:0:0:0:0:0:0:1']",
    ),
    (
        "list<decimal>",
        "000000030000000600000002009600000005000000140100000005ffffffec01",
        "[1.50, 1E-20, 1E+20]",
    ),
    ("list<varint>", "000000010000000d018ee90ff6c373e0ee4e3f0ad2", "[123456789012345678901234567890]"),
    (
        "list<duration>",
        "00000003000000091c06fc1ac004a5c61200000003000500000000080000f829e8d60800",
        "[1y2mo3d4h5m6s7ms8us9ns, -3d, 1m30s]",
    ),
    ("list<bigint>", "00000001000000080000000000000001", "[1]"),
    ("list<smallint>", "00000001000000020001", "[1]"),
    ("list<tinyint>", "000000010000000101", "[1]"),
    ("list<ascii>", "000000010000000161", "['a']"),
    (
        "list<timeuuid>",
        "000000010000001050554d6e29bb11e5b345feff819cdc9f",
        "[50554d6e-29bb-11e5-b345-feff819cdc9f]",
    ),
    ("timestamp", "2020-01-02T03:04:05.678Z", "'2020-01-02T03:04:05.678Z'"),
    ("date", "2020-01-02", "'2020-01-02'"),
    ("time", "08:12:54.123456789", "'08:12:54.123456789'"),
    ("inet", "0:0:0:0:0:0:0:1", "'0:0:0:0:0:0:0:1'"),
    ("duration", "1y2mo3d4h5m6s7ms8us9ns", "1y2mo3d4h5m6s7ms8us9ns"),
    ("decimal", "1.50", "1.50"),
    ("decimal", "1E-20", "1E-20"),
    ("decimal", "1E+20", "1E+20"),
    ("float", "1.1", "1.1"),
    ("float", "1.0E10", "1.0E10"),
    ("double", "1.0E10", "1.0E10"),
    ("double", "NaN", "NaN"),
    ("varint", "12345678901234567890", "12345678901234567890"),
    ("frozen<tuple<int, frozen<tuple<int, text>>>>", "1:2\\:x\\\\:y", "(1, (2, 'x:y'))"),
    (
        "frozen<tuple<frozen<list<int>>, double>>",
        "0000000200000004000000010000000400000002:1.5",
        "([1, 2], 1.5)",
    ),
]


def masked(cql_type: str, argument: str) -> dict[str, list[Row]]:
    """The rows of a table with a mask of one argument."""
    rows = shop()
    rows["system_schema.types"].append(
        {
            "keyspace_name": "shop",
            "type_name": "u",
            "field_names": ["a", "B c"],
            "field_types": ["int", "text"],
        }
    )
    rows["system_schema.columns"].append(column("plain", "v", "regular", -1, cql_type))
    rows["system_schema.column_masks"] = [
        {
            "keyspace_name": "shop",
            "table_name": "plain",
            "column_name": "v",
            "function_keyspace": "system",
            "function_name": "mask_replace",
            "function_argument_types": [cql_type],
            "function_argument_values": [argument],
            "function_argument_nulls": [False],
        }
    ]
    return rows


@pytest.mark.parametrize(("cql_type", "argument", "said"), SAID)
def test_arguments_are_what_a_real_node_said(cql_type: str, argument: str, said: str) -> None:
    mask = built(masked(cql_type, argument)).tables["plain"].columns["v"].mask
    assert isinstance(mask, Mask)
    assert mask.as_cql() == f"system.mask_replace({said})"


@pytest.mark.parametrize(
    ("cql_type", "argument", "said"),
    [
        (
            "list<frozen<u>>",
            "000000010000000e00000004000000010000000261 62".replace(" ", ""),
            "[{a: 1, \"B c\": 'ab'}]",
        ),
        ("set<frozen<tuple<int, text>>>", "00000001000000080000000400000002", "{(2, null)}"),
        ("frozen<u>", "@", '{a: null, "B c": null}'),
        ("list<timestamp>", "00000001000000087fffffffffffffff", "[9223372036854775807]"),
        ("list<date>", "0000000100000004ffffffff", "[4294967295]"),
        ("list<duration>", "0000000100000003000000", "[0s]"),
    ],
)
def test_arguments_that_no_node_was_asked_about(cql_type: str, argument: str, said: str) -> None:
    mask = built(masked(cql_type, argument)).tables["plain"].columns["v"].mask
    assert mask is not None
    assert mask.as_cql() == f"system.mask_replace({said})"


@pytest.mark.parametrize(
    ("cql_type", "argument"),
    [
        ("list<int>", "no digits"),
        ("list<int>", "7fffffff"),
        ("list<int>", "0000000100000008000000"),
        ("list<uuid>", "000000010000000100"),
        ("map<int, int>", "0000000100000004"),
        ("vector<float, 1000000>", "00"),
        ("vector<text, 2>", "ffff"),
        ("tuple<int>", "1:2:3"),
        ("list<text>", "0000000100000001ff"),
    ],
)
def test_arguments_that_are_none_leave_the_old_table(cql_type: str, argument: str) -> None:
    old = built(shop())
    faults: list[Fault] = []
    new = finish(build_keyspaces(masked(cql_type, argument), {"shop": old}, faults))["shop"]
    assert new.tables["plain"] is old.tables["plain"]
    assert "an argument of a mask is" in faults[0].what
