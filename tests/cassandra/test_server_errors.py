"""The errors that a real node answers with."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

import triocql
from triocql import Batch, BatchType, Consistency, Session, errors
from triocql.errors import (
    AlreadyExists,
    ConfigurationError,
    FunctionFailure,
    InvalidQuery,
    ReadFailure,
    Unauthorized,
    Unavailable,
    WriteFailure,
)

from .conftest import FAILING, KEYSPACE, ROOT, create_keyspace, on_every_wire, on_v4_and_v5, patient

if TYPE_CHECKING:
    from triocql import PreparedStatement
    from triocql.testing.cassandra import CassandraCluster

    from .conftest import Table

pytestmark = [pytest.mark.cassandra, pytest.mark.anyio]


@pytest.mark.short
@on_every_wire
async def test_wrong_statements(session: Session, table: Table, cassandra: CassandraCluster) -> None:
    t = await table("id int PRIMARY KEY, v text")
    with pytest.raises(errors.SyntaxError, match="no viable alternative") as syntax:
        await session.execute("SELEKT 1")
    assert str(syntax.value.coordinator) == f"{cassandra.nodes[0].address}:9042"
    assert not syntax.value.maybe_executed
    with pytest.raises(InvalidQuery, match="Undefined column"):
        await session.execute(f"SELECT w FROM {t}")
    with pytest.raises(InvalidQuery, match="Undefined column"):
        await session.execute(f"SELECT w FROM {t} WHERE id = ?", [1])
    with pytest.raises(InvalidQuery, match="Undefined column"):
        await session.execute(Batch().add(f"INSERT INTO {t} (id, w) VALUES (?, ?)", [1, 2]))
    with pytest.raises(ConfigurationError):
        await session.execute("CREATE KEYSPACE k WITH replication = {'class': 'NoStrategy'}")


@pytest.mark.short
@on_every_wire
async def test_already_exists(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY")
    with pytest.raises(AlreadyExists) as caught:
        await session.execute(f"CREATE TABLE {t} (id int PRIMARY KEY)")
    assert (caught.value.keyspace, caught.value.table) == (KEYSPACE, t)
    with pytest.raises(AlreadyExists) as caught:
        await session.execute(create_keyspace(KEYSPACE).replace("IF NOT EXISTS ", ""))
    assert (caught.value.keyspace, caught.value.table) == (KEYSPACE, "")


@pytest.mark.short
@on_every_wire
async def test_unavailable(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY")
    with pytest.raises(Unavailable) as caught:
        await session.execute(f"INSERT INTO {t} (id) VALUES (?)", [1], consistency=Consistency.THREE)
    error = caught.value
    assert (error.consistency, error.required, error.alive) == (Consistency.THREE, 3, 1)
    assert not error.maybe_executed
    with pytest.raises(Unavailable):
        await session.execute(f"SELECT * FROM {t}", consistency=Consistency.TWO)


@pytest.mark.short
@on_v4_and_v5
async def test_a_function_fails(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, n int")
    await session.execute(
        "CREATE OR REPLACE FUNCTION fails (n int) RETURNS NULL ON NULL INPUT RETURNS int LANGUAGE java AS "
        '$$ throw new RuntimeException("it does"); $$'
    )
    await session.execute(f"INSERT INTO {t} (id, n) VALUES (1, 1)")
    with pytest.raises(FunctionFailure, match="it does") as caught:
        await session.execute(f"SELECT fails(n) FROM {t}")
    error = caught.value
    assert (error.keyspace, error.function, error.arg_types) == (KEYSPACE, "fails", ("int",))


def batch_of(statement: PreparedStatement, rows: list[tuple[int, int]]) -> Batch:
    """Return all of these as one batch: one write to a node, as they are of one partition."""
    batch = Batch(BatchType.UNLOGGED)
    for row in rows:
        batch.add(statement, row)
    return batch


@pytest.mark.parametrize("version", [4, 5])
async def test_a_read_fails(anyio_backend: str, guarded: CassandraCluster, version: int) -> None:
    """Tombstones: the node warns of some, and refuses to read over too many."""
    options = patient(auth=ROOT, protocol_version=version)
    async with triocql.connect(guarded.contact_points, **options) as session:
        await session.execute(create_keyspace(KEYSPACE))
        await session.execute(f"USE {KEYSPACE}")
        await session.execute("CREATE TABLE IF NOT EXISTS graves (k int, c int, PRIMARY KEY (k, c))")
        delete = await session.prepare("DELETE FROM graves WHERE k = ? AND c = ?")
        for key in (200, 2000):
            for first in range(0, key, 200):
                await session.execute(batch_of(delete, [(key, n) for n in range(first, first + 200)]))
        result = await session.execute("SELECT * FROM graves WHERE k = 200")
        assert "200 tombstone" in result.warnings[0]
        with pytest.raises(ReadFailure) as caught:
            await session.execute("SELECT * FROM graves WHERE k = 2000")
    error = caught.value
    assert (error.received, error.required, error.failures, error.data_present) == (0, 1, 1, False)
    if version == 5:
        assert list(error.reasons.values()) == [1]  # READ_TOO_MANY_TOMBSTONES


@pytest.mark.parametrize("version", [4, 5])
async def test_a_write_fails(anyio_backend: str, guarded: CassandraCluster, version: int) -> None:
    options = patient(auth=ROOT, protocol_version=version)
    async with triocql.connect(guarded.contact_points, **options) as session:
        await session.execute(create_keyspace(FAILING))
        await session.execute(f"CREATE TABLE IF NOT EXISTS {FAILING}.t (id int PRIMARY KEY)")
        with pytest.raises(WriteFailure) as caught:
            await session.execute(
                f"INSERT INTO {FAILING}.t (id) VALUES (?)", [1], consistency=Consistency.ONE
            )
    error = caught.value
    assert (error.consistency, error.received, error.required, error.failures) == (Consistency.ONE, 0, 1, 1)
    assert error.write_type == "SIMPLE"
    assert error.maybe_executed
    if version == 5:
        assert {str(address): reason for address, reason in error.reasons.items()} == {
            guarded.nodes[0].address: 0
        }
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.failures) == (str(error), 1)
    assert str(again.coordinator) == str(error.coordinator)


async def test_unauthorized(anyio_backend: str, guarded: CassandraCluster) -> None:
    points = guarded.contact_points
    async with triocql.connect(points, **patient(auth=ROOT)) as root:
        await root.execute("CREATE ROLE IF NOT EXISTS guest WITH PASSWORD = 'welcome' AND LOGIN = true")
    async with triocql.connect(points, **patient(auth=triocql.PlainTextAuth("guest", "welcome"))) as guest:
        assert (await guest.execute("SELECT key FROM system.local")).scalar() == "local"
        with pytest.raises(Unauthorized, match="guest"):
            await guest.execute("SELECT * FROM system_auth.roles")
        with pytest.raises(Unauthorized) as caught:
            await guest.execute(create_keyspace("forbidden"))
    assert not caught.value.maybe_executed
    assert isinstance(caught.value, errors.Error)
