"""A real node that hangs, dies and comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

import triocql
from triocql import Session
from triocql.errors import ConnectError, ConnectionLost, ConnectTimeout, NoNodeAvailable, RequestTimeout

from .conftest import KEYSPACE, ROOT, connected, create_keyspace, patient, settled

if TYPE_CHECKING:
    from triocql.testing.cassandra import CassandraCluster, Node

pytestmark = [pytest.mark.cassandra, pytest.mark.anyio]

HELD = 1.0
"""Seconds that requests wait for a node that hangs; within them they have been written, on a busy machine, too."""

SELECT = "SELECT key FROM system.local"
INSERT = f"INSERT INTO {KEYSPACE}.survivors (id, v) VALUES (?, ?)"


@pytest.fixture
def node(guarded: CassandraCluster) -> Iterator[Node]:
    """The node, which runs again when the test is over."""
    node = guarded.nodes[0]
    yield node
    if not node.running:
        node.start()


@pytest.fixture
async def session(anyio_backend: str, guarded: CassandraCluster, node: Node) -> AsyncIterator[Session]:
    """A session that dials soon after a loss, with two connections."""
    with anyio.fail_after(120):
        options = patient(auth=ROOT, reconnection_base=0.1, reconnection_maximum=0.5)
        async with triocql.connect(guarded.contact_points, **options) as session:
            await session.execute(create_keyspace(KEYSPACE))
            await session.execute(
                f"CREATE TABLE IF NOT EXISTS {KEYSPACE}.survivors (id int PRIMARY KEY, v text)"
            )
            await session.execute(INSERT, [0, "before"])
            await connected(session)
            yield session


async def test_a_node_that_hangs(session: Session, node: Node) -> None:
    """Requests end by their deadlines; their late answers go to nobody else, and free what was abandoned."""
    select = await session.prepare(f"SELECT v FROM {KEYSPACE}.survivors WHERE id = ?")
    node.pause()
    try:
        with pytest.raises(RequestTimeout) as caught:
            await session.execute(INSERT, [1, "late"], timeout=HELD)
        error = caught.value
        assert (error.phase, error.written, error.maybe_executed, error.timeout) == (
            "waiting",
            True,
            True,
            HELD,
        )
        with anyio.move_on_after(HELD) as scope:
            await session.execute(select, [0])
        assert scope.cancelled_caught
        with pytest.raises(RequestTimeout):
            await session.execute_concurrent_with_args(select, [[0]] * 50, timeout=HELD)
        with anyio.move_on_after(HELD):
            async with session.stream(f"SELECT v FROM {KEYSPACE}.survivors") as rows:
                await anext(rows)
        assert session.stats() == (2, 0, 0, 53)
    finally:
        node.resume()
    await settled(session)
    assert session.stats().connections == 2
    for n in range(50):
        await session.execute(INSERT, [n, f"v{n}"])
        assert (await session.execute(select, [n])).scalar() == f"v{n}"


async def test_too_many_orphans_replace_a_connection(session: Session, node: Node) -> None:
    node.pause()
    try:
        with pytest.raises(RequestTimeout):
            await session.execute_concurrent([SELECT] * 300, concurrency=300, timeout=HELD)
        assert session.stats().connections == 1  # nobody waits for the one with 300 orphans any more
    finally:
        node.resume()
    await connected(session)
    assert (await session.execute(SELECT)).scalar() == "local"
    assert session.stats() == (2, 0, 0, 0)


async def test_connecting_to_a_node_that_hangs(
    guarded: CassandraCluster, node: Node, session: Session
) -> None:
    node.pause()
    try:
        with pytest.raises(ConnectTimeout, match=node.address):
            async with triocql.connect(guarded.contact_points, auth=ROOT, connect_timeout=HELD):
                pass
    finally:
        node.resume()
    async with triocql.connect(["127.19.255.254", *guarded.contact_points], **patient(auth=ROOT)) as other:
        assert (await other.execute(SELECT)).scalar() == "local"


@pytest.mark.parametrize("anyio_backend", ["trio", pytest.param("asyncio", marks=pytest.mark.long)])
async def test_a_node_that_dies_and_comes_back(anyio_backend: str, session: Session, node: Node) -> None:
    """What was written is lost with its connection and says so; the session finds the node again by itself."""
    select = await session.prepare(f"SELECT v FROM {KEYSPACE}.survivors WHERE id = ?")
    outcomes: list[Exception] = []

    async def write() -> None:
        try:
            await session.execute(INSERT, [2, "in flight"])
        except ConnectionLost as error:
            outcomes.append(error)

    async def read() -> None:
        try:
            await session.execute(select, [0])
        except (ConnectionLost, NoNodeAvailable) as error:
            outcomes.append(error)

    node.pause()
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(write)
        group.start_soon(read)
        while session.stats().in_flight != 11:  # noqa: ASYNC110 - nothing tells of it
            await anyio.sleep(0.01)
        await anyio.to_thread.run_sync(node.kill)
    assert len(outcomes) == 11
    lost = [error for error in outcomes if isinstance(error, ConnectionLost)]
    assert len(lost) >= 10
    assert all(error.maybe_executed for error in lost)
    with pytest.raises(NoNodeAvailable, match=node.address) as caught:
        await session.execute(INSERT, [3, "nobody is there"])
    assert not caught.value.maybe_executed
    assert [str(attempt.node) for attempt in caught.value.attempts] == [f"{node.address}:9042"]
    assert isinstance(caught.value.attempts[0].error, ConnectError)

    await anyio.to_thread.run_sync(node.start)
    await connected(session)
    assert (await session.execute(select, [0])).scalar() == "before"
    await session.execute(INSERT, [4, "after"])
    assert (await session.execute(select, [4])).scalar() == "after"
