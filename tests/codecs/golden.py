"""Pages whose bytes and rows are known: every type, at the edges of what it can be."""

from __future__ import annotations

import datetime as dt
import struct
from decimal import Decimal
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from triocql.codecs.temporal import Date, Duration, Time, Timestamp
from triocql.codecs.udt import user_value_class
from triocql.codecs.values import EMPTY

from .helpers import ADDRESS, columns

if TYPE_CHECKING:
    from triocql.protocol.types import ColumnSpec


class GoldenPage(NamedTuple):
    name: str
    columns: tuple[ColumnSpec, ...]
    body: bytes
    row_count: int
    rows: list[tuple[Any, ...]]


def golden(name: str, types: tuple[Any, ...], *rows: tuple[tuple[str | None, Any], ...]) -> GoldenPage:
    """Make a page of rows of pairs: a cell's bytes in hexadecimal (None for null), and its value."""
    body = b"".join(cell(raw) for row in rows for raw, _ in row)
    return GoldenPage(
        name, columns(*types), body, len(rows), [tuple(value for _, value in row) for row in rows]
    )


def cell(raw: str | None) -> bytes:
    if raw is None:
        return b"\xff\xff\xff\xff"
    data = bytes.fromhex(raw)
    return struct.pack(">i", len(data)) + data


def sized(*parts: str) -> str:
    return "".join(cell(part).hex() for part in parts)


UTC = dt.UTC
ADDRESS_CLASS = user_value_class("address", ("street", "number", "class"))
TIMED = "c232ab00941411ecb3c89f6bdeced846"

PAGES = [
    golden(
        "numbers",
        (
            "tinyint",
            "smallint",
            "int",
            "bigint",
            "counter",
            "varint",
            "decimal",
            "float",
            "double",
            "boolean",
        ),
        (
            ("7f", 127),
            ("8000", -32768),
            ("0000002a", 42),
            ("8000000000000000", -(2**63)),
            ("0000000000000001", 1),
            ("00ffffffffffffffff", 2**64 - 1),
            ("00000002ff6a", Decimal("-1.50")),
            ("3fc00000", 1.5),
            ("7ff0000000000000", float("inf")),
            ("01", True),
        ),
        (("", EMPTY), ("", EMPTY), ("", EMPTY), *((("", EMPTY),) * 7)),
        ((None, None),) * 10,
    ),
    golden(
        "texts",
        ("text", "ascii", "blob", "uuid", "timeuuid", "inet", "inet"),
        (
            ("68c3a96cc3a920f09f9880", "hélé 😀"),
            ("6869", "hi"),
            ("00ff", b"\x00\xff"),
            ("ff" * 16, UUID(int=2**128 - 1)),
            (TIMED, UUID(TIMED)),
            ("c0a80001", ip_address("192.168.0.1")),
            ("20010db8000000000000000000000001", ip_address("2001:db8::1")),
        ),
        (("", ""), ("", ""), ("", b""), (None, None), ("", EMPTY), (None, None), ("", EMPTY)),
    ),
    golden(
        "times",
        ("timestamp", "date", "time", "duration"),
        (
            ("0000018df4e2c3fa", dt.datetime(2024, 2, 29, 12, 41, 58, 522_000, tzinfo=UTC)),
            ("80004d46", dt.date(2024, 2, 29)),
            ("00002e3f702fd7e8", dt.time(14, 7, 30, 1)),
            ("020406", Duration(1, 2, 3)),
        ),
        (
            ("7fffffffffffffff", Timestamp(2**63 - 1)),
            ("00000000", Date(-(2**31))),
            ("0000000000000001", Time(1)),
            ("f0fffffffff0ffffffffffffffffffffffffff", Duration(-(2**31), -(2**31), -(2**63))),
        ),
        ((None, None),) * 4,
    ),
    golden(
        "collections",
        (
            "list<int>",
            "set<text>",
            "map<text, bigint>",
            "list<frozen<map<int, frozen<set<int>>>>>",
            "set<frozen<list<int>>>",
        ),
        (
            ("00000002" + sized("00000001", "ffffffff"), [1, -1]),
            ("00000001" + sized("61"), {"a"}),
            ("00000002" + sized("61", "0000000000000001", "62", "ffffffffffffffff"), {"a": 1, "b": -1}),
            (
                "00000001" + sized("00000001" + sized("00000001", "00000001" + sized("00000002"))),
                [{1: {2}}],
            ),
            ("00000001" + sized("00000001" + sized("00000007")), {(7,)}),
        ),
        (("00000000", []), ("00000000", set()), ("00000000", {}), (None, None), ("", EMPTY)),
    ),
    golden(
        "structures",
        (
            "tuple<int, text>",
            ADDRESS,
            "vector<float, 2>",
            "vector<text, 2>",
            "vector<smallint, 1>",
            "list<vector<int, 1>>",
        ),
        (
            (sized("00000001", "61"), (1, "a")),
            (sized("61", "00000001") + "ffffffff", ADDRESS_CLASS(("a", 1, None))),
            ("3f80000040000000", [1.0, 2.0]),
            ("0161" + "00", ["a", ""]),
            ("02ffff", [-1]),
            ("00000001" + sized("00000005"), [[5]]),
        ),
        (
            ("ffffffffffffffff", (None, None)),
            (sized("61"), ADDRESS_CLASS(("a", None, None))),
            (None, None),
            ("", EMPTY),
            (None, None),
            ("00000000", []),
        ),
    ),
]
