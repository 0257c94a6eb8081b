"""Prepared statements whose tables change, or that the node forgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

import triocql
from triocql import Batch, Session
from triocql.errors import BindTypeError, InvalidQuery, PreparedIdMismatch

from .conftest import KEYSPACE, on_every_wire, on_v4_and_v5

if TYPE_CHECKING:
    from triocql.testing.cassandra import CassandraCluster

    from .conftest import Table

pytestmark = [pytest.mark.cassandra, pytest.mark.anyio]


@on_every_wire
async def test_a_column_comes_and_goes_under_select_star(session: Session, table: Table) -> None:
    """Right values or an error, and never those of another column."""
    t = await table("id int PRIMARY KEY, m int, z text")
    await session.execute(f"INSERT INTO {t} (id, m, z) VALUES (1, 26, 'z')")
    select = await session.prepare(f"SELECT * FROM {t} WHERE id = ?")
    bound = select.bind(1)
    assert (await session.execute(select, [1])).one() == (1, 26, "z")
    await session.execute(f"ALTER TABLE {t} ADD a text")  # in front of the others but the key
    await session.execute(f"INSERT INTO {t} (id, a, m, z) VALUES (1, 'a', 26, 'z')")
    for statement, values in ((select, [1]), (bound, None), (select, [1])):
        row = (await session.execute(statement, values)).exactly_one()
        assert row._asdict() in ({"id": 1, "a": "a", "m": 26, "z": "z"}, {"id": 1, "m": 26, "z": "z"})
    await session.execute(f"ALTER TABLE {t} DROP m")
    for statement, values in ((select, [1]), (bound, None), (select, [1])):
        row = (await session.execute(statement, values)).exactly_one()
        assert row._asdict() == {"id": 1, "a": "a", "z": "z"}
    names = [column.name for column in select.result_columns]
    assert names == ["id", "a", "z"]


@on_v4_and_v5
async def test_a_column_comes_between_two_pages(session: Session, table: Table) -> None:
    t = await table("k int, c int, z text, PRIMARY KEY (k, c)")
    insert = await session.prepare(f"INSERT INTO {t} (k, c, z) VALUES (0, ?, ?)")
    await session.execute_concurrent_with_args(insert, [(n, f"z{n}") for n in range(10)])
    select = await session.prepare(f"SELECT * FROM {t} WHERE k = ?")
    result = await session.execute(select, [0], page_size=5)
    await session.execute(f"ALTER TABLE {t} ADD a text")
    rows = await result.all()
    assert [(row.c, row.z) for row in rows] == [(n, f"z{n}") for n in range(10)]


@on_every_wire
async def test_a_table_is_made_anew(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")
    select = await session.prepare(f"SELECT id, v FROM {t} WHERE id = ?")
    await session.execute(insert, [1, "x"])
    await session.execute(f"DROP TABLE {t}")
    with pytest.raises(InvalidQuery, match="does not exist"):
        await session.execute(select, [1])
    await session.execute(f"CREATE TABLE {t} (id int PRIMARY KEY, v text)")
    assert (await session.execute(select, [1])).one() is None
    await session.execute(insert, [1, "again"])
    assert (await session.execute(select, [1])).one() == (1, "again")


@on_v4_and_v5
async def test_a_table_is_made_anew_with_other_types(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")
    select = await session.prepare(f"SELECT id, v FROM {t} WHERE id = ?")
    await session.execute(insert, [1, "x"])
    await session.execute(f"DROP TABLE {t}")
    await session.execute(f"CREATE TABLE {t} (id int PRIMARY KEY, v bigint)")
    with pytest.raises(PreparedIdMismatch, match="other types"):
        await session.execute(insert, [1, "12345678"])
    with pytest.raises(BindTypeError, match="bigint"):
        await session.execute(insert, [1, "12345678"])
    await session.execute(insert, [1, 12])
    assert (await session.execute(select, [1])).one() == (1, 12)


@on_v4_and_v5
async def test_many_requests_meet_a_forgotten_statement(session: Session, table: Table) -> None:
    """Each of the requests in flight is executed once the statement is prepared again, also those in batches."""
    t = await table("id int PRIMARY KEY, v text")
    inserts = [
        await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?) USING TTL {n}") for n in (600, 700)
    ]
    await session.execute(f"DROP TABLE {t}")
    await session.execute(f"CREATE TABLE {t} (id int PRIMARY KEY, v text)")
    batches = (
        Batch()
        .add(inserts[0], [n, "x"])
        .add(inserts[1], [1000 + n, "x"])
        .add(f"DELETE FROM {t} WHERE id = -1")
        for n in range(50)
    )
    single = ((inserts[n % 2], [2000 + n, "x"]) for n in range(200))
    async with anyio.create_task_group() as group:
        group.start_soon(session.execute_concurrent, batches)
        group.start_soon(session.execute_concurrent, single)
    assert (await session.execute(f"SELECT count(*) FROM {t}")).scalar() == 300


async def test_the_node_forgets_everything(
    session: Session, table: Table, cassandra: CassandraCluster
) -> None:
    """Another keyspace's disappearance makes a node forget its statements; a text prepared by itself is as safe."""
    t = await table("id int PRIMARY KEY, v text")
    text = f"SELECT v FROM {KEYSPACE}.{t} WHERE id = ?"
    assert (await session.execute(text, [1])).one() is None
    async with triocql.connect(cassandra.contact_points) as other:
        await other.execute(f"DROP TABLE {KEYSPACE}.{t}")
        await other.execute(f"CREATE TABLE {KEYSPACE}.{t} (id int PRIMARY KEY, v text, w text)")
    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(session.execute, text, [1])
    assert (await session.execute(text, [1])).one() is None
