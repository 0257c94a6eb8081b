"""Values of every CQL type through a real node and back."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import pytest

from triocql import Session
from triocql.codecs.temporal import Date, Duration, Time
from triocql.codecs.timeuuid import max_time_uuid, min_time_uuid, time_of, time_uuid_from
from triocql.codecs.typeparser import parse_type
from triocql.codecs.values import EMPTY, FrozenMap
from triocql.errors import UsageError

from .conftest import KEYSPACE, on_every_wire, on_v4_and_v5

if TYPE_CHECKING:
    from .conftest import Table

pytestmark = [pytest.mark.cassandra, pytest.mark.anyio]

UUID_4 = UUID("0b8c1f6e-4c2b-4b9a-8f6e-2d1f3a5b7c9d")
UUID_1 = UUID("fe2b4360-28c6-11e2-81c1-0800200c9a66")
NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 123_000, tzinfo=dt.UTC)

SCALARS: dict[str, list[Any]] = {
    "ascii": ["", "plain"],
    "bigint": [0, 2**63 - 1, -(2**63)],
    "blob": [b"", b"\0\xff", bytes(100_000)],
    "boolean": [True, False],
    "date": [dt.date(1970, 1, 1), dt.date(1, 1, 1), dt.date(9999, 12, 31), Date(-(2**31)), Date(2**31 - 1)],
    "decimal": [Decimal("0"), Decimal("-1.50"), Decimal("1E+400"), Decimal("1E-400")],
    "double": [0.1, -math.inf, 5e-324],
    "float": [0.5, math.inf],
    "inet": [ip_address("127.0.0.1"), ip_address("::1"), ip_address("2001:db8::ff")],
    "int": [0, 2**31 - 1, -(2**31)],
    "smallint": [2**15 - 1, -(2**15)],
    "text": ["", "ß漢字\N{GRINNING FACE}\0", "x" * 100_000],
    "time": [dt.time(), dt.time(23, 59, 59, 999_999), Time(1), Time(86_399_999_999_999)],
    "timestamp": [NOON, dt.datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=dt.UTC)],
    "timeuuid": [UUID_1],
    "tinyint": [127, -128],
    "uuid": [UUID_4, UUID_1],
    "varint": [0, -1, 255, -(2**200), 2**200],
}
V4_SCALARS: dict[str, list[Any]] = {
    "duration": [Duration(), Duration(14, 3, 86_400_000_000_001), Duration(-1, -2, -3)],
}
NESTED: dict[str, list[Any]] = {
    "list<int>": [[1, 2, 2], [7]],
    "set<text>": [{"a", "b", ""}],
    "map<text, timestamp>": [{"a": NOON, "": NOON}],
    "frozen<list<int>>": [[], [1]],
    "frozen<set<uuid>>": [set(), {UUID_4, UUID_1}],
    "map<int, frozen<list<frozen<set<text>>>>>": [{1: [{"a", "b"}, set()], 2: []}],
    "set<frozen<map<text, int>>>": [{FrozenMap({"a": 1})}, {FrozenMap({}), FrozenMap({"b": 2, "c": 3})}],
    "map<frozen<list<int>>, frozen<set<int>>>": [{(1, 2): {3}}],
    "tuple<int, text, frozen<list<int>>>": [(1, "x", [1, 2]), (None, "x", None)],
    "list<frozen<tuple<inet, duration>>>": [[(ip_address("::1"), Duration(1, 2, 3))]],
}
VECTORS: dict[str, list[Any]] = {
    "vector<float, 3>": [[0.5, -1.5, 0.0]],
    "vector<int, 1>": [[7]],
    "vector<text, 2>": [["", "ß"]],
    "vector<varint, 2>": [[1, 2**100]],
    "vector<frozen<list<int>>, 2>": [[[1], [2, 3]]],
    "vector<vector<bigint, 2>, 2>": [[[1, 2], [3, 4]]],
}


async def round_trip(session: Session, table: Table, kinds: dict[str, list[Any]]) -> None:
    """Write all values and a row of nulls, read them back, and compare."""
    names = [f"c{n}" for n in range(len(kinds))]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, kinds, strict=True))
    t = await table(f"id int PRIMARY KEY, {columns}")
    insert = await session.prepare(f"INSERT INTO {t} (id, {', '.join(names)}) VALUES (?{', ?' * len(names)})")
    longest = max(map(len, kinds.values()))
    rows = [(-1, *[None] * len(names))]
    for n in range(longest):
        rows.append((n, *[values[min(n, len(values) - 1)] for values in kinds.values()]))
    for row in rows:
        await session.execute(insert, row)
    select = await session.prepare(f"SELECT id, {', '.join(names)} FROM {t} WHERE id = ?")
    assert [str(column.type) for column in select.result_columns[1:]] == [shown(kind) for kind in kinds]
    for row in rows:
        found = (await session.execute(select, [row[0]])).exactly_one()
        assert found == row
        assert [type(value) for value in found] == [type(value) for value in row]


def shown(kind: str) -> str:
    """Return a type as it is shown: what is frozen is told by no protocol."""
    return str(parse_type(kind))


@pytest.mark.short
@on_every_wire
async def test_scalars(session: Session, table: Table) -> None:
    await round_trip(session, table, SCALARS)


@pytest.mark.short
@on_v4_and_v5
async def test_durations_and_nested_types(session: Session, table: Table) -> None:
    await round_trip(session, table, V4_SCALARS | NESTED)


@pytest.mark.since("5.0")
@on_v4_and_v5
async def test_vectors(session: Session, table: Table) -> None:
    await round_trip(session, table, VECTORS)


@pytest.mark.since("5.0")
async def test_sets_and_maps_within_other_values(session: Session, table: Table) -> None:
    """A row is found by its own key, and a condition holds for the value that was just read."""
    await session.execute("CREATE TYPE IF NOT EXISTS grouped (names set<text>, ids map<uuid, int>)")
    t = await table(
        "k tuple<set<varint>, map<decimal, int>> PRIMARY KEY, v frozen<grouped>, w vector<frozen<set<double>>, 2>"
    )
    key = ({300, -5, 7, -(2**70)}, {Decimal("10"): 1, Decimal("9.5"): 2, Decimal("-3"): 3})
    names = {str(number) for number in range(50)}
    grouped = {"names": names, "ids": {UUID_4: 1, UUID_1: 2}}
    vector = [{1.5, -2.5, math.inf}, {0.0, -1.0}]
    await session.execute(f"INSERT INTO {t} (k, v, w) VALUES (?, ?, ?)", [key, grouped, vector])
    row: Any = (await session.execute(f"SELECT k, v, w FROM {t} WHERE k = ?", [key])).exactly_one()
    found: Any = tuple(row)
    assert found == (key, tuple(grouped.values()), vector)
    for k in (row.k, (frozenset(sorted(key[0])), dict(sorted(key[1].items()))), (list(key[0]) * 2, key[1])):
        update = f"UPDATE {t} SET v = ?, w = ? WHERE k = ? IF v = ? AND w = ?"
        result = await session.execute(update, [row.v, row.w, k, row.v, row.w])
        assert result.applied


async def test_values_that_the_node_stores_all_the_same(session: Session, table: Table) -> None:
    """It checks little more than the number of bytes."""
    t = await table("id int PRIMARY KEY, d decimal, v time, n text, u duration")
    insert = f"INSERT INTO {t} (id, d, v, n, u) VALUES (?, blobAsDecimal(?), blobAsTime(?), blobAsText(?), ?)"
    await session.execute(insert, [1, b"\0\0\0\2", b"\xff" * 8, b"\xc0\x80\xed\xa0\x80", Duration(1)])
    row = (await session.execute(f"SELECT d, v, n, u FROM {t}")).exactly_one()
    assert row == (Decimal("0.00"), Time(-1), "\0\ud800", Duration(1))
    await session.execute(f"UPDATE {t} SET v = ? WHERE id = 1", [Time(86_400_000_000_000)])
    assert (await session.execute(f"SELECT v FROM {t}")).scalar() == Time(86_400_000_000_000)


async def test_what_cannot_be_told_from_null(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, l list<int>, s set<int>, m map<int, int>, v text")
    await session.execute(f"INSERT INTO {t} (id, l, s, m, v) VALUES (1, ?, ?, ?, 'x')", [[], set(), {}])
    assert (await session.execute(f"SELECT l, s, m FROM {t}")).one() == (None, None, None)


async def test_empty_values(session: Session, table: Table) -> None:
    """No bytes are a value of most types: neither null nor a number."""
    t = await table("id int PRIMARY KEY, n int, u uuid, b boolean, d decimal")
    insert = await session.prepare(f"INSERT INTO {t} (id, n, u, b, d) VALUES (?, ?, ?, ?, ?)")
    await session.execute(insert, [1, EMPTY, EMPTY, EMPTY, EMPTY])
    assert (await session.execute(f"SELECT n, u, b, d FROM {t}")).one() == (EMPTY, EMPTY, EMPTY, EMPTY)


async def test_nan(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, d double, f float")
    await session.execute(f"INSERT INTO {t} (id, d, f) VALUES (1, ?, ?)", [math.nan, math.nan])
    row = (await session.execute(f"SELECT d, f FROM {t}")).exactly_one()
    assert all(math.isnan(value) for value in row)


async def test_other_values_that_are_taken(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, at timestamp, u uuid, i inet, d date, l list<int>")
    insert = await session.prepare(f"INSERT INTO {t} (id, at, u, i, d, l) VALUES (?, ?, ?, ?, ?, ?)")
    naive = NOON.replace(tzinfo=None)
    await session.execute(insert, [1, naive, str(UUID_4), "::1", NOON.date(), (1, 2)])
    elsewhere = NOON.astimezone(dt.timezone(dt.timedelta(hours=5)))
    await session.execute(insert, [2, elsewhere, UUID_4, ip_address("::1"), NOON.date(), range(1, 3)])
    rows = (await session.execute(f"SELECT at, u, i, d, l FROM {t}")).rows
    assert rows[0] == rows[1] == (NOON, UUID_4, ip_address("::1"), NOON.date(), [1, 2])


async def test_counters(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, n counter")
    await session.execute(f"UPDATE {t} SET n = n + ? WHERE id = 1", [2**40])
    await session.execute(f"UPDATE {t} SET n = n - ? WHERE id = 1", [1])
    assert (await session.execute(f"SELECT n FROM {t}")).scalar() == 2**40 - 1


@dataclass
class Street:
    name: str
    number: int | None


class Place(NamedTuple):
    street: Street
    tags: set[str]


@pytest.mark.short
@on_v4_and_v5
async def test_user_defined_types(session: Session, table: Table) -> None:
    await session.execute("CREATE TYPE IF NOT EXISTS street (name text, number int)")
    await session.execute("CREATE TYPE IF NOT EXISTS place (street frozen<street>, tags set<text>)")
    t = await table("id int PRIMARY KEY, p frozen<place>, l list<frozen<street>>, s street")
    insert = await session.prepare(f"INSERT INTO {t} (id, p, l, s) VALUES (?, ?, ?, ?)")
    select = await session.prepare(f"SELECT p, l, s FROM {t} WHERE id = ?")
    street = {"name": "Rue", "number": 7}
    await session.execute(insert, [1, {"street": street, "tags": {"a"}}, [street, ("Way", None)], street])
    place, streets, single = (await session.execute(select, [1])).exactly_one()
    assert (place.street.name, place["street"].number, place.tags) == ("Rue", 7, {"a"})
    assert (streets, single._asdict()) == ([("Rue", 7), ("Way", None)], street)
    await session.execute(insert, [2, place, streets, single])
    assert (await session.execute(select, [2])).exactly_one() == (place, streets, single)

    session.codecs.register_udt(KEYSPACE, "street", Street)
    session.codecs.register_udt(KEYSPACE, "place", Place)
    registered = await session.execute(f"SELECT p, l, s FROM {t} WHERE id = 1")
    expected = Street("Rue", 7)
    assert registered.exactly_one() == (Place(expected, {"a"}), [expected, Street("Way", None)], expected)
    await session.execute(insert, [3, Place(Street("Allee", 1), set()), [Street("Allee", 1)], Street("A", 2)])
    row = (await session.execute(f"SELECT p, l, s FROM {t} WHERE id = 3")).exactly_one()
    assert (row.l, row.s) == ([Street("Allee", 1)], Street("A", 2))


async def test_a_new_field_of_a_type(session: Session, table: Table) -> None:
    await session.execute("CREATE TYPE IF NOT EXISTS growing (a int)")
    t = await table("id int PRIMARY KEY, g growing")
    await session.execute(f"INSERT INTO {t} (id, g) VALUES (1, {{a: 1}})")
    select = await session.prepare(f"SELECT g FROM {t} WHERE id = 1")
    assert (await session.execute(select)).scalar().a == 1
    with_field = [field for field, _ in select.result_columns[0].type.fields]  # type: ignore[attr-defined]
    if "b" not in with_field:
        await session.execute("ALTER TYPE growing ADD b text")
    value = (await session.execute(f"SELECT g FROM {t} WHERE id = 1")).scalar()
    assert (value.a, value.b) == (1, None)
    assert (await session.execute(select)).scalar()[0] == 1


class Upper:
    def encode(self, value: Any) -> Any:
        return value.lower()

    def decode(self, value: Any) -> Any:
        return value.upper()


async def test_codecs_of_the_user(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, a text, b text")
    session.codecs.register_column(KEYSPACE, t, "a", Upper())
    await session.execute(f"INSERT INTO {t} (id, a, b) VALUES (1, ?, ?)", ["Ada", "Ada"])
    assert (await session.execute(f"SELECT a, b FROM {t}")).one() == ("ADA", "Ada")
    assert (await session.execute(f"SELECT b FROM {t} WHERE a = 'ada' ALLOW FILTERING")).one() == ("Ada",)


async def test_registering_counts_for_prepared_statements(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, a text")
    insert = await session.prepare(f"INSERT INTO {t} (id, a) VALUES (?, ?)")
    select = await session.prepare(f"SELECT a FROM {t} WHERE id = ?")
    await session.execute(insert, [1, "Ada"])
    assert (await session.execute(select, [1])).scalar() == "Ada"
    session.codecs.register_column(KEYSPACE, t, "a", Upper())
    assert (await session.execute(select, [1])).scalar() == "ADA"
    await session.execute(insert, [2, "Bob"])
    raw = f"SELECT a FROM {t} WHERE id = 2 AND a = 'bob' ALLOW FILTERING"
    assert (await session.execute(raw)).scalar() == "BOB"


async def test_time_uuids(session: Session, table: Table) -> None:
    t = await table("k int, id timeuuid, PRIMARY KEY (k, id)")
    times = [NOON + dt.timedelta(milliseconds=n) for n in range(5)]
    insert = await session.prepare(f"INSERT INTO {t} (k, id) VALUES (0, ?)")
    for at in times:
        await session.execute(insert, [time_uuid_from(at)])
    between = f"SELECT id, toTimestamp(id) FROM {t} WHERE k = 0 AND id >= ? AND id <= ?"
    rows = (await session.execute(between, [min_time_uuid(times[1]), max_time_uuid(times[3])])).rows
    assert [time_of(row[0]) for row in rows] == [row[1] for row in rows] == times[1:4]


class Marked:
    """Values are pairs with a mark, so that nothing else can be mistaken for one."""

    def encode(self, value: tuple[str, Any]) -> Any:
        mark, inner = value
        assert mark == "marked"
        return inner

    def decode(self, value: Any) -> tuple[str, Any]:
        return ("marked", value)


async def test_codecs_for_types_leave_the_server_alone(session: Session, table: Table) -> None:
    t = await table("id int, c int, cost bigint, PRIMARY KEY (id, c)")
    for name in ("int", "bigint", "text", "uuid", "timeuuid", "inet", "timestamp", "boolean"):
        session.codecs.register(name, Marked())
    one, two = ("marked", 1), ("marked", 2)
    insert = f"INSERT INTO {t} (id, c, cost) VALUES (?, ?, ?) USING TTL ? AND TIMESTAMP ?"
    for c in (one, two):
        await session.execute(insert, [one, c, two, 1000, 5])
    limited = f"SELECT c, writetime(cost), cost FROM {t} WHERE id = ? PER PARTITION LIMIT ? LIMIT ?"
    result = await session.execute(limited, [one, 1, 1], tracing=True)
    assert result.rows == [(one, 5, two)]
    assert (await session.execute(f"SELECT count(*), count(cost) FROM {t}")).one() == (2, 2)
    token = (await session.execute(f"SELECT token(id) FROM {t} LIMIT 1")).scalar()
    assert isinstance(token, int)
    assert len((await session.execute(f"SELECT c FROM {t} WHERE token(id) >= ?", [token])).rows) == 2
    many = await session.execute(f"SELECT c FROM {t} WHERE id IN ? AND (c) IN ?", [[one], [(one,), (two,)]])
    assert [row.c for row in many] == [one, two]
    assert (await session.execute(f"INSERT INTO {t} (id, c) VALUES (1, 1) IF NOT EXISTS")).applied is False
    trace = await result.trace()
    assert isinstance(trace.duration, int)
    assert trace.request == "Execute CQL3 prepared query"


async def test_a_codec_for_a_column_by_its_name(session: Session, table: Table) -> None:
    t = await table("id int, cost bigint, PRIMARY KEY (id, cost)")
    session.codecs.register_column(KEYSPACE, t, "cost", Marked())
    await session.execute(
        f"INSERT INTO {t} (id, cost) VALUES (:key, :cost)", {"key": 1, "cost": ("marked", 7)}
    )
    for where, value in (
        ("cost = ?", ("marked", 7)),
        ("cost IN ?", [("marked", 7)]),
        ("(cost) IN ?", [(("marked", 7),)]),
    ):
        result = await session.execute(f"SELECT cost, max(cost) FROM {t} WHERE id = 1 AND {where}", [value])
        assert result.one() == (("marked", 7), 7)
    with pytest.raises(UsageError, match="goes by the name 'c' here"):
        await session.execute(f"SELECT cost AS c FROM {t} WHERE id = ?", [1])
