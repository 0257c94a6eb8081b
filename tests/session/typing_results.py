"""What a type checker has to make of results; checked by `test_typing`, never run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, assert_type

import trio
from anyio.abc import TaskGroup

from triocql.results.factories import RowFactory, row_factory
from triocql.results.result import Result, Trace
from triocql.results.row import Row
from triocql.statements.paging import PagingState

if TYPE_CHECKING:
    from triocql.engine.requests import Response
    from triocql.session.session import Session
    from triocql.session.stream import RowStream


@dataclass
class Data:
    id: int


class Named(NamedTuple):
    id: int


class Mapped(TypedDict):
    id: int


def forms() -> None:
    assert_type(row_factory(None), RowFactory[Row])
    assert_type(row_factory(Row), RowFactory[Row])
    assert_type(row_factory(tuple), RowFactory[tuple[Any, ...]])
    assert_type(row_factory(dict), RowFactory[dict[str, Any]])
    assert_type(row_factory(Data), RowFactory[Data])
    assert_type(row_factory(Named), RowFactory[Named])
    assert_type(row_factory(Mapped), RowFactory[Mapped])


async def rows(response: Response) -> None:
    result = Result(response, row_factory(None))
    assert_type(result, Result[Row])
    assert_type(result.rows, list[Row])
    assert_type(result[0], Row)
    assert_type(result[1:], list[Row])
    assert_type(result.one(), Row | None)
    assert_type(result.exactly_one(), Row)
    assert_type(await result.all(), list[Row])
    assert_type([row for row in result], list[Row])  # noqa: C416 - it is the loop that is tested
    assert_type([row async for row in result], list[Row])
    assert_type(result.exactly_one().name, Any)
    assert_type(result.exactly_one()["name"], Any)
    assert_type(result.exactly_one()[0], Any)
    assert_type(result.exactly_one()[:1], tuple[Any, ...])
    assert_type(result.paging_state, PagingState | None)
    assert_type(result.applied, bool | None)
    assert_type(await result.trace(), Trace)


async def other_forms(response: Response) -> None:
    tuples = Result(response, row_factory(tuple))
    assert_type(tuples.rows, list[tuple[Any, ...]])
    assert_type(await tuples.all(), list[tuple[Any, ...]])
    dicts = Result(response, row_factory(dict))
    assert_type(dicts.one(), dict[str, Any] | None)
    assert_type([row async for row in dicts], list[dict[str, Any]])


async def sessions(session: Session) -> None:
    assert_type(await session.execute("SELECT"), Result[Row])
    assert_type(await session.execute("SELECT", row_type=None), Result[Row])
    assert_type(await session.execute("SELECT", [1], row_type=Row, timeout=1.0), Result[Row])
    assert_type(await session.execute("SELECT", row_type=dict), Result[dict[str, Any]])
    assert_type(await session.execute("SELECT", row_type=tuple), Result[tuple[Any, ...]])
    assert_type(await session.execute("SELECT", row_type=Data), Result[Data])
    assert_type((await session.execute("SELECT", row_type=Named)).one(), Named | None)
    assert_type((await session.execute("SELECT", row_type=Mapped)).exactly_one()["id"], int)


async def streams(session: Session) -> None:
    assert_type(session.stream("SELECT"), RowStream[Row])
    assert_type(session.stream("SELECT", row_type=dict), RowStream[dict[str, Any]])
    assert_type(session.stream("SELECT", row_type=tuple), RowStream[tuple[Any, ...]])
    assert_type(session.stream("SELECT", prefetch=2, row_type=Mapped), RowStream[Mapped])
    async with session.stream("SELECT", row_type=Data) as found:
        assert_type([row async for row in found], list[Data])


async def handed_on(session: Session, nursery: trio.Nursery, group: TaskGroup) -> None:
    nursery.start_soon(session.execute, "SELECT")
    group.start_soon(session.execute, "SELECT", [1])
    assert_type(await asyncio.create_task(session.execute("SELECT")), Result[Row])


def rows_are_tuples(result: Result[Row]) -> Result[tuple[Any, ...]]:
    return result
