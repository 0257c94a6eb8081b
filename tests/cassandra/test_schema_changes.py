"""Prepared statements whose tables change, or that the node forgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

import triocql
from triocql import Batch, Session
from triocql.errors import BindTypeError, BindValueError, InvalidQuery, PreparedIdMismatch

from .conftest import KEYSPACE, on_every_wire, on_v4_and_v5, patient

if TYPE_CHECKING:
    from triocql.config.options import ConnectKeywords
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
    with pytest.raises(PreparedIdMismatch, match="types of the parameters"):
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
    async with triocql.connect(cassandra.contact_points, **patient()) as other:
        await other.execute(f"DROP TABLE {KEYSPACE}.{t}")
        await other.execute(f"CREATE TABLE {KEYSPACE}.{t} (id int PRIMARY KEY, v text, w text)")
    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(session.execute, text, [1])
    assert (await session.execute(text, [1])).one() is None


async def make_types(session: Session, table: Table) -> tuple[str, str, str]:
    """Create a type, one around it, and a table with both; return the type and statements to write and read."""
    t = await table("id int PRIMARY KEY")
    await session.execute(f"CREATE TYPE {t}_phone (a text)")
    await session.execute(f"CREATE TYPE {t}_person (phones list<frozen<{t}_phone>>)")
    await session.execute(f"ALTER TABLE {t} ADD v {t}_phone")
    await session.execute(f"ALTER TABLE {t} ADD w map<text, frozen<{t}_person>>")
    return f"{t}_phone", f"INSERT INTO {t} (id, v, w) VALUES (?, ?, ?)", f"SELECT v, w FROM {t} WHERE id = ?"


def row(number: int, **fields: str) -> list[Any]:
    """Return the values of a row that has a phone of these fields in each column."""
    return [number, fields, {"x": {"phones": [fields]}}]


@on_v4_and_v5
@pytest.mark.parametrize("by", ["this session", "another", "another that prepares first"])
async def test_a_type_gets_a_field_and_another_name(
    session: Session, table: Table, cassandra: CassandraCluster, options: ConnectKeywords, by: str
) -> None:
    """Values that fit go on to be written by statements and bound statements of before, and the new field, too."""
    phone, insert, select = await make_types(session, table)
    prepared = await session.prepare(insert)
    bound = prepared.bind(row(1, a="bound"))
    await session.execute(insert, row(2, a="text"))
    assert (await session.execute(select, [2])).one() == (("text",), {"x": ([("text",)],)})

    async with triocql.connect(cassandra.contact_points, **patient(**options)) as other:
        await other.execute(f"USE {KEYSPACE}")
        changing = session if by == "this session" else other
        for number, change, field in ((10, "ADD b text", "b"), (20, "RENAME b TO c", "c")):
            await changing.execute(f"ALTER TYPE {phone} {change}")
            if by == "another that prepares first":
                await other.prepare(insert)
                await other.prepare(select)
            await session.execute(bound)
            await session.execute(Batch().add(bound).add(prepared, row(number, a="old")))
            await session.execute(insert, row(number + 1, **{"a": "new", field: "text"}))
            await session.execute(prepared, row(number + 2, **{"a": "new", field: "prepared"}))
            await session.execute(Batch().add(insert, row(number + 3, **{"a": "new", field: "batch"})))
            load = [row(number + 4, a="load"), row(number + 5, **{field: "load"})]
            await session.execute_concurrent_with_args(prepared, load)
            found = [(await session.execute(select, [number + n])).one() for n in range(6)]
            pairs: list[tuple[str | None, str | None]] = [
                ("old", None),
                ("new", "text"),
                ("new", "prepared"),
                ("new", "batch"),
            ]
            pairs += [("load", None), (None, "load")]
            assert found == [(pair, {"x": ([pair],)}) for pair in pairs]
            assert (await session.execute(select, [1])).one() == (
                ("bound", None),
                {"x": ([("bound", None)],)},
            )
            with pytest.raises(BindValueError, match="no field nothing"):
                await session.execute(insert, row(1, nothing="x"))


@on_v4_and_v5
async def test_a_table_is_made_anew_and_prepared_by_somebody_else_first(
    session: Session, table: Table, cassandra: CassandraCluster, options: ConnectKeywords
) -> None:
    """The node knows the statement again, so that nobody is told: it is found out when a value is refused."""
    t = await table("id int PRIMARY KEY, v bigint")
    insert = f"INSERT INTO {t} (id, v) VALUES (?, ?)"
    prepared = await session.prepare(insert)
    async with triocql.connect(cassandra.contact_points, **patient(**options)) as other:
        await other.execute(f"USE {KEYSPACE}")
        for kind, value in (("text", "x"), ("int", 7), ("bigint", 2**40)):
            await other.execute(f"DROP TABLE {t}")
            await other.execute(f"CREATE TABLE {t} (id int PRIMARY KEY, v {kind})")
            await other.prepare(insert)
            await session.execute(prepared, [1, value])
            assert (await session.execute(f"SELECT v FROM {t}")).scalar() == value
        # An int of 8 bytes is what the session still takes for right; the node's refusal has it ask anew.
        await other.execute(f"DROP TABLE {t}")
        await other.execute(f"CREATE TABLE {t} (id int PRIMARY KEY, v int)")
        await other.prepare(insert)
        with pytest.raises(InvalidQuery, match="Expected 4"):
            await session.execute(prepared, [1, 5])
        await session.prepare(insert)
        await session.execute(prepared, [1, 5])
