"""Scans of every kind of table that a real node has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import triocql
from tests.bulk.ends import key_of
from triocql import errors
from triocql.errors import InvalidQuery, OptionError
from triocql.metadata.partitioners import MAX_LONG, MIN_LONG
from triocql.testing.cassandra import CassandraCluster
from triocql.testing.fixtures import require_cassandra

from .conftest import KEYSPACE, create_keyspace, patient

if TYPE_CHECKING:
    from triocql import Session

    from .conftest import Table

pytestmark = [pytest.mark.cassandra, pytest.mark.anyio]

RICH = """
    "Tenant" int, day int, hour int, owner text static, "Note" text, tags set<text>, parts list<int>,
    prices map<text, int>, fixed frozen<set<text>>, PRIMARY KEY (("Tenant", day), hour)
"""
INSERT = """
    INSERT INTO {} ("Tenant", day, hour, owner, "Note", tags, parts, prices, fixed)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL 86400 AND TIMESTAMP 1000000
"""


async def rich(session: Session, table: Table) -> str:
    """Return a table of 60 rows in 12 partitions."""
    name = await table(RICH)
    insert = await session.prepare(INSERT.format(name))
    rows = [
        [tenant, day, hour, "o", "n", {"a", "b"}, [1, 2], {"k": 1}, {"c"}]
        for tenant in range(3)
        for day in range(4)
        for hour in range(5)
    ]
    await session.execute_concurrent_with_args(insert, rows)
    return name


async def scanned(session: Session, name: str, **options: Any) -> list[Any]:
    async with session.scan(name, **options) as scan:
        return [row async for row in scan.rows(tuple)]


async def test_all_of_a_table(session: Session, table: Table) -> None:
    name = await rich(session, table)
    found = await scanned(session, name)
    assert sorted(found) == sorted(await session.execute(f"SELECT * FROM {name}", row_type=tuple))
    assert await session.scan(name).count() == len(found) == 60


async def test_no_column_is_enough_to_count_rows(session: Session, table: Table) -> None:
    name = await rich(session, table)
    assert await scanned(session, name, columns=[]) == [()] * 60


async def test_times_of_writing_and_to_live(session: Session, table: Table) -> None:
    name = await rich(session, table)
    columns = ["owner", "Note", "tags", "parts", "prices", "fixed"]
    async with session.scan(name, columns=[], writetime=columns, ttl=["Note", "tags"]) as scan:
        async for batch in scan:
            assert [column.name for column in batch.columns] == [
                *(f"writetime({each})" for each in columns),
                "ttl(Note)",
                "ttl(tags)",
            ]
            for row in batch.rows(tuple):
                assert row[:6] == (1_000_000,) * 6
                assert 80_000 < row[6] <= 86_400
                assert all(80_000 < each <= 86_400 for each in row[7])


@pytest.mark.parametrize(
    ("where", "parameters", "rows"),
    [
        ("hour >= ? AND hour < ?", [1, 3], 24),
        ("(hour) > (?)", [2], 24),
        ("owner = ?", ["o"], 60),
        ('tags CONTAINS ? AND "Note" = ?', ["a", "n"], 60),
        ("fixed = {'c'}", [], 60),
        ('"Tenant" = ?', [1], 20),
        ("hour IN (?, ?) AND day = 2", [1, 3], 6),
    ],
)
async def test_conditions(
    session: Session, table: Table, where: str, parameters: list[Any], rows: int
) -> None:
    name = await rich(session, table)
    condition: dict[str, Any] = {"where": where, "parameters": parameters, "allow_filtering": True}
    assert len(await scanned(session, name, **condition)) == rows
    assert await session.scan(name, **condition).count() == rows
    assert len(await scanned(session, name, limit=5, **condition)) == 5


async def test_nodes_say_what_is_wrong_with_a_condition(session: Session, table: Table) -> None:
    name = await rich(session, table)
    with pytest.raises(InvalidQuery, match="ALLOW FILTERING"):
        await scanned(session, name, where="hour > 3")
    with pytest.raises(errors.SyntaxError):
        await scanned(session, name, where="hour > > 3")


async def test_an_index_needs_no_filtering(session: Session, table: Table) -> None:
    name = await table("id int PRIMARY KEY, v int")
    await session.execute(f"CREATE INDEX ON {name} (v)")
    await session.execute_concurrent_with_args(
        f"INSERT INTO {name} (id, v) VALUES (?, ?)", [(number, number % 3) for number in range(30)]
    )
    assert len(await scanned(session, name, where="v = ?", parameters=[1])) == 10


async def test_counters(session: Session, table: Table) -> None:
    name = await table("id text PRIMARY KEY, n counter")
    for number in range(20):
        await session.execute(f"UPDATE {name} SET n = n + 1 WHERE id = ?", [str(number % 7)])
    assert sum(n for _, n in await scanned(session, name)) == 20
    with pytest.raises(OptionError, match="'n' is a counter"):
        session.scan(name, writetime=["n"])


async def test_views(session: Session, table: Table) -> None:
    """One partition has the empty key, which only views can have: its token is the least number."""
    name = await table("id int PRIMARY KEY, v text")
    await session.execute(
        f"CREATE MATERIALIZED VIEW {name}_by_v AS SELECT * FROM {name} WHERE v IS NOT NULL AND id IS NOT NULL"
        " PRIMARY KEY (v, id)"
    )
    await session.execute_concurrent_with_args(
        f"INSERT INTO {name} (id, v) VALUES (?, ?)",
        [(number, f"v{number % 5}" if number % 5 else "") for number in range(30)],
    )
    plain = await session.execute(f"SELECT v, id FROM {name}_by_v", row_type=tuple)
    assert len(plain.rows) == 30
    options: dict[str, Any]
    for options in ({}, {"tasks": 7}, {"columns": ["v", "id"], "ordered": True}):
        assert sorted(await scanned(session, f"{name}_by_v", **options)) == sorted(plain)
    assert sorted(await scanned(session, f"{name}_by_v", columns=["id"])) == [(each,) for each in range(30)]
    assert await session.scan(f"{name}_by_v").count() == 30


@pytest.mark.parametrize(
    "name", ["system_views.settings", "system_virtual_schema.tables", "system_schema.columns", "system.local"]
)
async def test_tables_of_which_each_node_has_rows_of_its_own(session: Session, name: str) -> None:
    plain = await session.execute(f"SELECT * FROM {name}", row_type=tuple, page_size=5000)
    assert sorted(map(repr, await scanned(session, name))) == sorted(map(repr, plain))
    assert await session.scan(name).count() == len(plain.rows)
    assert len(await scanned(session, name, columns=[])) == len(plain.rows)


async def test_a_table_without_rows(session: Session, table: Table) -> None:
    name = await table("id int PRIMARY KEY, v int")
    assert await scanned(session, name) == []
    assert await session.scan(name).count() == 0
    assert (await session.scan(f"{KEYSPACE}.{name}").arrow()).num_rows == 0


async def test_rows_at_the_ends_of_the_ring(session: Session, table: Table) -> None:
    """Of keys with the least token and the greatest, which two hashes have."""
    name = await table("id blob PRIMARY KEY, v bigint")
    hashes = [MIN_LONG, MIN_LONG + 1, MIN_LONG + 2, -1, 0, 1, MAX_LONG - 1, MAX_LONG]
    rows = [(key_of(each), each) for each in hashes]
    await session.execute_concurrent_with_args(f"INSERT INTO {name} (id, v) VALUES (?, ?)", rows)
    tokens = await session.execute(f"SELECT token(id), v FROM {name}", row_type=tuple)
    assert {(token, each) for token, each in tokens} == {
        (MAX_LONG if each == MIN_LONG else each, each) for each in hashes
    }
    for options in ({}, {"tasks": 7}, {"columns": ["v"], "ordered": True}, {"page_size": 1}):
        found = await scanned(session, name, **options)
        assert sorted(row[-1] for row in found) == sorted(hashes)
    assert await session.scan(name).count() == len(hashes)


@pytest.mark.long
@pytest.mark.parametrize(
    ("partitioner", "tokens"),
    [
        ("RandomPartitioner", ",".join(str(2**127 // 4 * each) for each in range(4))),
        ("ByteOrderedPartitioner", "30,31,32,33"),
    ],
)
async def test_other_partitioners(partitioner: str, tokens: str) -> None:
    """Tokens of the one are other numbers; those of the other are none, so that one page is read after the other."""
    require_cassandra()
    yaml = {
        "partitioner": f"org.apache.cassandra.dht.{partitioner}",
        "num_tokens": 4,
        "initial_token": tokens,
    }
    with CassandraCluster(name="partitioner", yaml=yaml) as cluster:
        async with triocql.connect(cluster.contact_points, **patient()) as session:
            await session.execute(create_keyspace(KEYSPACE))
            await session.execute(f"CREATE TABLE {KEYSPACE}.t (id text, n int, v int, PRIMARY KEY (id, n))")
            rows = [(str(number % 50), number, -number) for number in range(1_000)]
            await session.execute_concurrent_with_args(
                f"INSERT INTO {KEYSPACE}.t (id, n, v) VALUES (?, ?, ?)", rows
            )
            for options in ({}, {"tasks": 20}, {"page_size": 7, "columns": ["id", "n", "v"]}):
                assert sorted(await scanned(session, f"{KEYSPACE}.t", **options)) == sorted(rows)
            assert len(await scanned(session, f"{KEYSPACE}.t", columns=["v"], page_size=7)) == 1_000
            assert await session.scan(f"{KEYSPACE}.t").count() == 1_000
