"""Results of many pages, on a real node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from triocql import Batch, BatchType, PagingState, Session
from triocql.errors import NoSingleRow, PagesRemain, PagingStateMismatch, UsageError

from .conftest import on_every_wire, settled

if TYPE_CHECKING:
    from .conftest import Table

pytestmark = [pytest.mark.cassandra, pytest.mark.anyio]

COUNT = 100


async def filled(session: Session, table: Table) -> str:
    """Return a table whose only partition has the rows 0 to 99."""
    name = await table("k int, c int, v int, PRIMARY KEY (k, c)")
    insert = await session.prepare(f"INSERT INTO {name} (k, c, v) VALUES (0, ?, ?)")
    batch = Batch(BatchType.UNLOGGED)
    for n in range(COUNT):
        batch.add(insert, [n, n % 10])
    await session.execute(batch)
    return name


@pytest.mark.short
@on_every_wire
async def test_all_pages(session: Session, table: Table) -> None:
    t = await filled(session, table)
    select = await session.prepare(f"SELECT c FROM {t} WHERE k = ?")
    for statement, values in ((f"SELECT c FROM {t}", None), (select, [0]), (select.bind(0), None)):
        result = await session.execute(statement, values, page_size=7)
        assert len(result) == 7
        assert result.has_more_pages
        with pytest.raises(PagesRemain, match="async for"):
            list(result)
        with pytest.raises(NoSingleRow):
            result.exactly_one()
        assert [row.c for row in await result.all()] == list(range(COUNT))
        assert [row.c async for row in result] == list(range(COUNT))
        assert [row.c for row in result.rows] == list(range(7))


async def test_the_form_of_rows_holds_for_all_pages(session: Session, table: Table) -> None:
    t = await filled(session, table)
    result = await session.execute(f"SELECT c FROM {t}", page_size=30, row_type=dict)
    assert await result.all() == [{"c": n} for n in range(COUNT)]
    async with session.stream(f"SELECT c FROM {t}", page_size=30, row_type=tuple) as rows:
        assert [row async for row in rows] == [(n,) for n in range(COUNT)]


@pytest.mark.short
@on_every_wire
async def test_stream(session: Session, table: Table) -> None:
    t = await filled(session, table)
    select = f"SELECT c FROM {t} WHERE k = ?"
    for prefetch in (0, 1, 4):
        async with session.stream(select, [0], page_size=9, prefetch=prefetch) as rows:
            assert [row.c async for row in rows] == list(range(COUNT))
            with pytest.raises(StopAsyncIteration):
                await anext(rows)
        assert session.stats()[1:] == (0, 0, 0)


async def test_leaving_a_stream_early_frees_everything(session: Session, table: Table) -> None:
    t = await filled(session, table)
    async with session.stream(f"SELECT c FROM {t}", page_size=5, prefetch=2) as rows:
        async for row in rows:
            if row.c == 12:
                break
    await settled(session)
    with pytest.raises(UsageError, match="async with"):
        await anext(session.stream(f"SELECT c FROM {t}"))


@on_every_wire
async def test_go_on_from_a_paging_state(session: Session, table: Table) -> None:
    t = await filled(session, table)
    select = await session.prepare(f"SELECT c FROM {t} WHERE k = ?")
    seen: list[int] = []
    text: str | None = ""
    while text is not None:
        state = PagingState.fromhex(text) if text else None
        result = await session.execute(select, [0], page_size=30, paging_state=state)
        seen += [row.c for row in result.rows]
        text = None if result.paging_state is None else result.paging_state.hex()
    assert seen == list(range(COUNT))


async def test_a_paging_state_is_refused_by_others(session: Session, table: Table) -> None:
    t = await filled(session, table)
    select = await session.prepare(f"SELECT c FROM {t} WHERE k = ?")
    state = (await session.execute(select, [0], page_size=30)).paging_state
    assert state is not None
    damaged = bytes([*state[:-1], state[-1] ^ 1])
    other = await session.prepare(f"SELECT c, v FROM {t} WHERE k = ?")
    for statement, values, given in (
        (select, [1], state),
        (other, [0], state),
        (f"SELECT c FROM {t}", None, state),
        (select, [0], damaged),
        (select, [0], b"no state"),
    ):
        with pytest.raises(PagingStateMismatch):
            await session.execute(statement, values, page_size=30, paging_state=given)


@on_every_wire
async def test_empty_pages_end_nothing(session: Session, table: Table) -> None:
    """Filtering reads a page of rows and may keep none of them, so that pages may be empty while others follow."""
    t = await table("k int, c int, v int, PRIMARY KEY (k, c)")
    insert = await session.prepare(f"INSERT INTO {t} (k, c, v) VALUES (?, 0, ?)")
    await session.execute_concurrent_with_args(insert, [(n, n) for n in range(300)])
    wanted = f"SELECT k FROM {t} WHERE v >= 100 AND v < 103 ALLOW FILTERING"
    result = await session.execute(wanted, page_size=1)
    assert {row.k for row in await result.all()} == {100, 101, 102}
    async with session.stream(wanted, page_size=1) as rows:
        assert {row.k async for row in rows} == {100, 101, 102}
    nothing = await session.execute(f"SELECT k FROM {t} WHERE v = -1 ALLOW FILTERING", page_size=1)
    assert await nothing.all() == []


async def test_distinct_and_limits(session: Session, table: Table) -> None:
    t = await filled(session, table)
    assert len(await (await session.execute(f"SELECT c FROM {t} LIMIT 31", page_size=10)).all()) == 31
    assert (await session.execute(f"SELECT DISTINCT k FROM {t}", page_size=10)).exactly_one() == (0,)
