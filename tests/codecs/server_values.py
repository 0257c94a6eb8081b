"""Values that a real node has written itself, from CQL literals, beside what triocql has to read and write for them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

from triocql.codecs.temporal import Date, Duration, Time, Timestamp

CAPTURED = Path(__file__).with_name("captured") / "cassandra-5.0-values.bin"
"""The body of a RESULT of kind rows (protocol v4), written by `capture.py`."""

UTC = dt.UTC
ID = "c232ab00-9414-11ec-b3c8-9f6bdeced846"

VALUES: list[tuple[str, str, Any]] = [
    ("ascii", "'abc'", "abc"),
    ("bigint", "-9223372036854775808", -(2**63)),
    ("blob", "0x00ff", b"\x00\xff"),
    ("boolean", "true", True),
    ("date", "'2024-02-29'", dt.date(2024, 2, 29)),
    ("date", "'-5877641-06-23'", Date(-(2**31))),
    ("date", "2147483648", dt.date(1970, 1, 1)),
    ("decimal", "-12.340", Decimal("-12.340")),
    ("decimal", "1E+30", Decimal("1E+30")),
    ("double", "-0.1", -0.1),
    ("duration", "1y2mo3d4h5ns", Duration(14, 3, 4 * 3600 * 10**9 + 5)),
    ("duration", "-89h4m48s", Duration(0, 0, -(89 * 3600 + 4 * 60 + 48) * 10**9)),
    ("float", "1.5", 1.5),
    ("inet", "'127.0.0.1'", ip_address("127.0.0.1")),
    ("inet", "'2001:db8::1'", ip_address("2001:db8::1")),
    ("int", "42", 42),
    ("smallint", "-2", -2),
    ("text", "'hé 😀'", "hé 😀"),
    ("text", "''", ""),
    ("time", "'23:59:59.999999999'", Time(86_399_999_999_999)),
    ("time", "'12:30:15.25'", dt.time(12, 30, 15, 250_000)),
    (
        "timestamp",
        "'2024-02-29 12:30:15.250+0000'",
        dt.datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC),
    ),
    ("timestamp", "-1", dt.datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
    ("timestamp", "9223372036854775807", Timestamp(2**63 - 1)),
    ("timeuuid", ID, UUID(ID)),
    ("tinyint", "-128", -128),
    ("uuid", ID, UUID(ID)),
    ("varint", "-32769", -32769),
    ("varint", "170141183460469231731687303715884105728", 2**127),
    ("list<int>", "[1, 2]", [1, 2]),
    ("set<text>", "{'a'}", {"a"}),
    ("map<text, bigint>", "{'a': 1, 'b': -1}", {"a": 1, "b": -1}),
    ("frozen<list<int>>", "[]", []),
    ("frozen<map<frozen<list<int>>, frozen<set<uuid>>>>", f"{{[1]: {{{ID}}}}}", {(1,): {UUID(ID)}}),
    ("tuple<int, text, date>", "(1, null, '2024-02-29')", (1, None, dt.date(2024, 2, 29))),
    ("frozen<address>", "{street: 'a', number: 7}", ("a", 7, None)),
    ("list<frozen<address>>", "[{street: 'a'}]", [("a", None, None)]),
    ("vector<boolean, 2>", "[true, false]", [True, False]),
    ("vector<int, 2>", "[1, -1]", [1, -1]),
    ("vector<bigint, 2>", "[1, -1]", [1, -1]),
    ("vector<float, 3>", "[1, 1.5, -2]", [1.0, 1.5, -2.0]),
    ("vector<double, 1>", "[0.1]", [0.1]),
    ("vector<timestamp, 1>", "[0]", [dt.datetime(1970, 1, 1, tzinfo=UTC)]),
    ("vector<uuid, 1>", f"[{ID}]", [UUID(ID)]),
    ("vector<timeuuid, 1>", f"[{ID}]", [UUID(ID)]),
    ("vector<tinyint, 2>", "[1, -1]", [1, -1]),
    ("vector<smallint, 2>", "[1, -1]", [1, -1]),
    ("vector<date, 1>", "['1970-01-02']", [dt.date(1970, 1, 2)]),
    ("vector<time, 1>", "['00:00:01']", [dt.time(0, 0, 1)]),
    ("vector<ascii, 1>", "['x']", ["x"]),
    ("vector<text, 3>", f"['a', '', '{'x' * 200}']", ["a", "", "x" * 200]),
    ("vector<blob, 1>", "[0x01]", [b"\x01"]),
    ("vector<varint, 2>", "[1, 256]", [1, 256]),
    ("vector<decimal, 1>", "[1.5]", [Decimal("1.5")]),
    ("vector<inet, 2>", "['127.0.0.1', '::1']", [ip_address("127.0.0.1"), ip_address("::1")]),
    ("vector<duration, 1>", "[1d]", [Duration(days=1)]),
    ("vector<vector<float, 2>, 2>", "[[1, 2], [3, 4]]", [[1.0, 2.0], [3.0, 4.0]]),
    ("vector<vector<text, 1>, 2>", "[['a'], ['bc']]", [["a"], ["bc"]]),
    ("vector<vector<smallint, 2>, 1>", "[[1, 2]]", [[1, 2]]),
    ("vector<frozen<list<int>>, 1>", "[[1]]", [[1]]),
    ("vector<frozen<tuple<int, text>>, 1>", "[(1, 'a')]", [(1, "a")]),
    ("vector<frozen<address>, 1>", "[{street: 'a'}]", [("a", None, None)]),
    ("frozen<map<int, vector<float, 1>>>", "{1: [2]}", {1: [2.0]}),
    ("set<vector<int, 1>>", "{[1]}", {(1,)}),
]
