"""Many requests at once to a real node, and cancellation in their midst."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
import trio

import triocql
from triocql import Batch, Session
from triocql.errors import InvalidQuery, RequestTimeout

from .conftest import WIRES, connected, name_of, patient, settled

if TYPE_CHECKING:
    from triocql import PreparedStatement
    from triocql.testing.cassandra import CassandraCluster

    from .conftest import Table

pytestmark = [pytest.mark.cassandra, pytest.mark.anyio]


async def count(session: Session, table: str) -> int:
    """Count the rows of a table."""
    return len(await (await session.execute(f"SELECT id FROM {table}")).all())


@pytest.mark.parametrize("options", [WIRES[0], WIRES[3]], ids=name_of)
@pytest.mark.parametrize("many", [1_500, pytest.param(20_000, marks=pytest.mark.long)])
async def test_very_many_writes_and_reads(session: Session, table: Table, many: int) -> None:
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")
    select = await session.prepare(f"SELECT id, v FROM {t} WHERE id = ?")
    written = await session.execute_concurrent_with_args(insert, ((n, f"v{n}") for n in range(many)), 256)
    assert len(written) == many
    assert all(success and result.rows == [] for success, result in written)
    read = await session.execute_concurrent_with_args(select, [[n] for n in range(many)], concurrency=256)
    assert [result.one() for _, result in read] == [(n, f"v{n}") for n in range(many)]
    assert session.stats()[1:] == (0, 0, 0)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
async def test_on_uvloop(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")
    await session.execute_concurrent_with_args(insert, ((n, f"v{n}") for n in range(1000)))
    with anyio.move_on_after(0.1):
        await endless(session, insert)
    await settled(session)
    assert (await session.execute(f"SELECT v FROM {t} WHERE id = ?", [999])).scalar() is not None


async def test_statements_of_every_form_at_once(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")

    async def statements() -> AsyncIterator[Any]:
        for n in range(0, 500, 5):
            yield insert, [n, "prepared"]
            yield insert.bind(n + 1, "bound")
            yield f"INSERT INTO {t} (id, v) VALUES (?, ?)", {"id": n + 2, "v": "named"}
            yield f"INSERT INTO {t} (id, v) VALUES ({n + 3}, 'text')"
            await anyio.lowlevel.checkpoint()
            yield Batch().add(insert, [n + 4, "batch"])

    assert len(await triocql.execute_concurrent(session, statements(), concurrency=16)) == 500
    assert await count(session, t) == 500
    selects = [(f"SELECT v FROM {t} WHERE id = ?", [n]) for n in range(500)]
    async with triocql.stream_concurrent(session, selects, concurrency=50) as results:
        values = [result.scalar() async for _, result in results]
    assert values == ["prepared", "bound", "named", "text", "batch"] * 100


async def test_unordered_results(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY")
    insert = await session.prepare(f"INSERT INTO {t} (id) VALUES (?)")
    select = await session.prepare(f"SELECT id FROM {t} WHERE id = ?")
    await session.execute_concurrent_with_args(insert, [[n] for n in range(1000)])
    selects = ((select, [n]) for n in range(1000))
    async with triocql.stream_concurrent(session, selects, concurrency=64, ordered=False) as results:
        assert {result.scalar() async for _, result in results} == set(range(1000))


async def test_the_first_error_stops_the_sending(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY")
    taken = 0

    def statements() -> Iterator[str]:
        nonlocal taken
        for n in range(100_000):
            taken += 1
            yield f"INSERT INTO {t} (id) VALUES ({n})" if n != 50 else f"INSERT INTO {t} (nope) VALUES (1)"

    with pytest.raises(InvalidQuery, match="nope"):
        await session.execute_concurrent(statements(), concurrency=10)
    sent = taken
    await settled(session)
    assert taken == sent < 100_000
    assert await count(session, t) <= sent


async def test_errors_as_outcomes(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY")
    statements = [f"INSERT INTO {t} ({'nope' if n % 10 == 3 else 'id'}) VALUES ({n})" for n in range(100)]
    results = await session.execute_concurrent(statements, raise_on_first_error=False)
    assert [n for n, (success, _) in enumerate(results) if not success] == list(range(3, 100, 10))
    assert all(isinstance(error, InvalidQuery) for success, error in results if not success)
    assert await count(session, t) == 90


async def endless(session: Session, insert: PreparedStatement) -> None:
    """Insert rows until stopped."""
    rows = ([n, "x"] for n in range(sys.maxsize))
    await session.execute_concurrent_with_args(insert, rows, concurrency=200)


async def endless_stream(session: Session, insert: PreparedStatement) -> None:
    """The same, result by result."""
    rows = ((insert, [n, "x"]) for n in range(sys.maxsize))
    async with triocql.stream_concurrent(session, rows, concurrency=200) as results:
        async for _ in results:
            pass


async def endless_nursery(session: Session, insert: PreparedStatement) -> None:
    """The same, one by one."""
    async with triocql.open_request_nursery(session, concurrency=200) as nursery:
        for n in range(sys.maxsize):
            await nursery.start(insert, [n, "x"])


@pytest.mark.parametrize("write", [endless, endless_stream, endless_nursery])
async def test_cancel_in_the_middle(
    session: Session, table: Table, write: Callable[[Session, PreparedStatement], Awaitable[None]]
) -> None:
    """Nothing more is sent, what is in flight is abandoned, and the session is none the worse for it."""
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")
    await connected(session)
    with anyio.move_on_after(0.3) as scope:
        await write(session, insert)
    stats = session.stats()
    assert scope.cancelled_caught
    assert (stats.in_flight, stats.queued) == (0, 0)
    assert stats.orphans <= 200
    await settled(session)
    written = await count(session, t)
    assert written > 0
    await anyio.sleep(0.05)
    assert await count(session, t) == written
    await connected(session)


async def test_cancellation_by_the_loop_itself(anyio_backend: str, session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")
    if anyio_backend == "trio":
        with trio.move_on_after(0.2) as scope:
            await endless(session, insert)
        assert scope.cancelled_caught
    else:
        task = asyncio.create_task(endless(session, insert))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await endless(session, insert)
    await settled(session)
    assert await count(session, t) > 0


async def test_a_timeout_for_all(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY")
    rows = ([n] for n in range(sys.maxsize))
    with pytest.raises(RequestTimeout, match=r"0\.2 s"):
        await session.execute_concurrent_with_args(f"INSERT INTO {t} (id) VALUES (?)", rows, timeout=0.2)
    await settled(session)


async def test_requests_in_a_nursery(session: Session, table: Table) -> None:
    t = await table("id int PRIMARY KEY, v text")
    insert = await session.prepare(f"INSERT INTO {t} (id, v) VALUES (?, ?)")
    async with triocql.open_request_nursery(session, concurrency=50) as nursery:
        for n in range(500):
            await nursery.start(insert, [n, f"v{n}"])
        handle = nursery.start_soon("SELECT key FROM system.local")
        assert (await handle).scalar() == "local"
    assert await count(session, t) == 500
    with pytest.raises(InvalidQuery, match="nope"):  # noqa: PT012
        async with triocql.open_request_nursery(session) as nursery:
            nursery.start_soon(f"SELECT nope FROM {t}")
            for n in range(100_000):
                await nursery.start(insert, [n, "x"])
    await settled(session)


async def test_many_tasks_share_a_session(session: Session, table: Table) -> None:
    """Some of them are cancelled at any time; the others get their own answers."""
    t = await table("id int PRIMARY KEY, v text")
    wrong: list[int] = []

    async def work(n: int) -> None:
        text = f"v{n}"
        with anyio.move_on_after(0.02 if n % 3 == 0 else 60):
            await session.execute(f"INSERT INTO {t} (id, v) VALUES (?, ?)", [n, text])
            found = (await session.execute(f"SELECT id, v FROM {t} WHERE id = ?", [n])).one()
            if found != (n, text):
                wrong.append(n)

    async with anyio.create_task_group() as group:
        for n in range(1000):
            group.start_soon(work, n)
    assert wrong == []
    await settled(session)


@pytest.mark.parametrize("many", [20_000, pytest.param(100_000, marks=pytest.mark.long)])
async def test_a_stream_of_many_rows(session: Session, table: Table, many: int) -> None:
    t = await table("k int, c int, v text, PRIMARY KEY (k, c)")
    insert = await session.prepare(f"INSERT INTO {t} (k, c, v) VALUES (?, ?, ?)")

    def batches() -> Iterator[Batch]:
        for first in range(0, many, 200):
            batch = Batch(triocql.BatchType.UNLOGGED)
            for c in range(first, first + 200):
                batch.add(insert, [first // 10_000, c, "x"])
            yield batch

    await session.execute_concurrent(batches(), concurrency=8)
    total = 0
    async with session.stream(f"SELECT c FROM {t}", page_size=2000, prefetch=2) as rows:
        async for row in rows:
            total += row.c
    assert total == sum(range(many))
    seen = 0
    with anyio.move_on_after(60) as scope:
        async with session.stream(f"SELECT c FROM {t}", page_size=1000) as rows:
            async for _ in rows:
                seen += 1
                if seen == many // 2:
                    scope.cancel()
    assert scope.cancelled_caught
    assert many // 2 <= seen < many
    await settled(session)
    assert (await session.execute(f"SELECT c FROM {t} WHERE k = 1 LIMIT 1")).scalar() == 10_000


async def test_two_sessions_in_one_loop(session: Session, cassandra: CassandraCluster) -> None:
    async with triocql.connect(cassandra.contact_points, **patient()) as other:
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(session.execute, "SELECT key FROM system.local")
                group.start_soon(other.execute, "SELECT key FROM system.local")
    assert (await session.execute("SELECT key FROM system.local")).scalar() == "local"
