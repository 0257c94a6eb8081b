"""Blocking sessions on a real node."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

import triocql
from tests.cassandra.conftest import KEYSPACE, create_keyspace, patient
from triocql import Batch, errors
from triocql.sync import Session
from triocql.testing.cassandra import CassandraCluster

pytestmark = pytest.mark.cassandra

_numbers = count()


@pytest.fixture(params=[5, 4])
def blocking(request: pytest.FixtureRequest, cassandra: CassandraCluster) -> Iterator[Session]:
    with triocql.sync.connect(cassandra.contact_points, **patient(protocol_version=request.param)) as session:
        session.execute(create_keyspace(KEYSPACE))
        session.execute(f"USE {KEYSPACE}")
        yield session


@pytest.fixture
def people(blocking: Session) -> str:
    """A table of a thousand people."""
    name = f"people{next(_numbers)}"
    blocking.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, name text)")
    insert = blocking.prepare(f"INSERT INTO {name} (id, name) VALUES (?, ?)")
    outcomes = blocking.execute_concurrent_with_args(insert, ((each, f"name {each}") for each in range(1000)))
    assert all(success for success, _ in outcomes)
    return name


def test_pages(blocking: Session, people: str) -> None:
    result = blocking.execute(f"SELECT id, name FROM {people}", page_size=64)
    assert result.has_more_pages
    assert len(result.rows) == 64
    expected = {(each, f"name {each}") for each in range(1000)}
    assert {(row.id, row.name) for row in result} == expected
    assert set(result.all()) == expected
    with blocking.stream(f"SELECT id, name FROM {people}", page_size=64, prefetch=3, row_type=tuple) as rows:
        assert set(rows) == expected


def test_threads(blocking: Session, people: str) -> None:
    select = blocking.prepare(f"SELECT name FROM {people} WHERE id = ?")
    with ThreadPoolExecutor(16) as pool:
        names = pool.map(lambda each: blocking.execute(select, [each]).scalar(), range(1000))
        assert list(names) == [f"name {each}" for each in range(1000)]
    futures = [blocking.execute_async(select, [each]) for each in range(1000)]
    assert [future.result(60).scalar() for future in futures] == [f"name {each}" for each in range(1000)]


def test_streams_of_statements(blocking: Session, people: str) -> None:
    select = f"SELECT name FROM {people} WHERE id = ?"
    with blocking.stream_concurrent(((select, [each]) for each in range(1000)), 50) as outcomes:
        assert [outcome.result_or_exc.scalar() for outcome in outcomes] == [f"name {n}" for n in range(1000)]
    with triocql.sync.open_request_nursery(blocking, 20) as nursery:
        handles = [nursery.start(select, [each]) for each in range(100)]
    assert [handle.result().scalar() for handle in handles] == [f"name {each}" for each in range(100)]


def test_batches_and_conditions(blocking: Session, people: str) -> None:
    batch = Batch()
    for each in (1000, 1001):
        batch.add(f"INSERT INTO {people} (id, name) VALUES (?, ?)", [each, "new"])
    blocking.execute(batch)
    result = blocking.execute(f"INSERT INTO {people} (id, name) VALUES (1000, 'x') IF NOT EXISTS")
    assert (result.applied, result[0].name) == (False, "new")


def test_errors_and_traces(blocking: Session, people: str) -> None:
    with pytest.raises(errors.InvalidQuery, match="nowhere"):
        blocking.execute("SELECT * FROM nowhere")
    with pytest.raises(errors.SyntaxError):
        blocking.execute_async("SELEC").result()
    trace = blocking.execute(f"SELECT name FROM {people} WHERE id = 7", tracing=True).trace(timeout=60.0)
    assert trace.request == "Execute CQL3 query"
    assert trace.events
