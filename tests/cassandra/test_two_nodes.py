"""Two real nodes as contact points, of which one goes away and comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

import triocql
from triocql import Session
from triocql.testing.cassandra import CassandraCluster
from triocql.testing.fixtures import require_cassandra

from .conftest import patient

# Three nodes show more of it in `make test`, in the folder `cluster`.
pytestmark = [pytest.mark.cassandra, pytest.mark.anyio, pytest.mark.long]

CREATE = "CREATE KEYSPACE IF NOT EXISTS pair WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}"


@pytest.fixture(scope="module")
def pair() -> Iterator[CassandraCluster]:
    require_cassandra()
    with CassandraCluster(nodes=2, name="pair") as cluster:
        yield cluster


@pytest.fixture
async def session(anyio_backend: str, pair: CassandraCluster) -> AsyncIterator[Session]:
    with anyio.fail_after(120):
        async with triocql.connect(pair.contact_points, **patient(reconnection_base=0.1)) as session:
            await session.execute(CREATE)
            await session.execute("CREATE TABLE IF NOT EXISTS pair.t (id int PRIMARY KEY, v text)")
            while session.stats().connections < 4:  # noqa: ASYNC110 - nothing tells of it
                await anyio.sleep(0.01)
            await agreed(session)
            yield session


async def agreed(session: Session) -> None:
    """Wait until both nodes have the same schema."""
    versions: set[Any] = set()
    while len(versions) != 1:
        results = await session.execute_concurrent(["SELECT schema_version FROM system.local"] * 200)
        versions = {result.scalar() for _, result in results}


async def coordinators(session: Session) -> set[str]:
    """Return the nodes that answer."""
    results = await session.execute_concurrent(["SELECT key FROM system.local"] * 200)
    return {str(result.coordinator) for _, result in results}


def names(cluster: CassandraCluster) -> list[str]:
    return [f"{node.address}:{node.port}" for node in cluster.nodes]


async def test_both_nodes_are_used(session: Session, pair: CassandraCluster) -> None:
    assert await coordinators(session) == set(names(pair))
    insert = await session.prepare("INSERT INTO pair.t (id, v) VALUES (?, ?)")  # one node prepares it
    results = await session.execute_concurrent_with_args(insert, [(n, "x") for n in range(200)])
    assert {str(result.coordinator) for _, result in results} == set(names(pair))


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_node_dies_under_load_and_comes_back(session: Session, pair: CassandraCluster) -> None:
    """Reads go on at the other node, each with its own answer, and nobody notices."""
    insert = await session.prepare("INSERT INTO pair.t (id, v) VALUES (?, ?)")
    select = await session.prepare("SELECT v FROM pair.t WHERE id = ?")
    everywhere = triocql.Consistency.ALL
    rows = [(insert.with_options(consistency=everywhere), (n, f"v{n}")) for n in range(100)]
    await session.execute_concurrent(rows)
    read = 0
    killed = anyio.Event()

    async def read_on() -> None:
        nonlocal read
        while read < 1000 or not killed.is_set():
            keys = [[n] for n in range(100)]
            results = await session.execute_concurrent_with_args(select, keys, concurrency=20)
            assert [result.scalar() for _, result in results] == [f"v{n}" for n in range(100)]
            read += len(results)

    async with anyio.create_task_group() as group:
        group.start_soon(read_on)
        await anyio.sleep(0.1)
        await anyio.to_thread.run_sync(pair.nodes[0].kill)
        killed.set()
    assert await coordinators(session) == {names(pair)[1]}
    assert (await session.execute(select, [7])).scalar() == "v7"

    await anyio.to_thread.run_sync(pair.nodes[0].start)
    while await coordinators(session) != set(names(pair)):  # noqa: ASYNC110 - nothing tells of it
        await anyio.sleep(0.05)
    await anyio.to_thread.run_sync(pair.wait_for_gossip)
