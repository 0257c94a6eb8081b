"""What a type checker has to make of rows as classes of other libraries; checked by `test_typing`, never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, assert_type

import attrs
import msgspec
import pydantic

import triocql
from triocql import sync
from triocql.results.factories import RowFactory, row_factory


class Model(pydantic.BaseModel):
    id: int


class Struct(msgspec.Struct):
    id: int


@attrs.define
class Attrs:
    id: int


class Place(NamedTuple):
    street: str


@dataclass
class User:
    place: Place
    earlier: list[Place]


class Outer:
    class Inner(pydantic.BaseModel):
        places: dict[str, list[Place]]


def forms() -> None:
    assert_type(row_factory(Model), RowFactory[Model])
    assert_type(row_factory(Struct), RowFactory[Struct])
    assert_type(row_factory(Attrs), RowFactory[Attrs])
    assert_type(row_factory(User), RowFactory[User])
    assert_type(row_factory(Outer.Inner), RowFactory[Outer.Inner])


async def sessions(session: triocql.Session) -> None:
    assert_type(await session.execute("SELECT", row_type=Model), triocql.Result[Model])
    assert_type(await session.execute("SELECT", row_type=Struct), triocql.Result[Struct])
    assert_type((await session.execute("SELECT", row_type=Attrs)).rows, list[Attrs])
    assert_type((await session.execute("SELECT", row_type=User)).exactly_one().place.street, str)
    assert_type((await session.execute("SELECT", row_type=User)).exactly_one().earlier, list[Place])
    inner = (await session.execute("SELECT", row_type=Outer.Inner)).one()
    assert_type(inner, Outer.Inner | None)


async def streams(session: triocql.Session) -> None:
    assert_type(session.stream("SELECT", row_type=Model), triocql.RowStream[Model])
    assert_type(session.stream("SELECT", row_type=Struct), triocql.RowStream[Struct])
    async with session.stream("SELECT", row_type=Attrs) as attributes:
        assert_type([row async for row in attributes], list[Attrs])
    async with session.stream("SELECT", row_type=Outer.Inner) as inner:
        assert_type([row.places async for row in inner], list[dict[str, list[Place]]])


def blocking_sessions(session: sync.Session) -> None:
    assert_type(session.execute("SELECT", row_type=Model), sync.Result[Model])
    assert_type(session.execute("SELECT", row_type=Struct).rows, list[Struct])
    assert_type(session.execute("SELECT", row_type=Attrs).one(), Attrs | None)
    assert_type(session.execute("SELECT", row_type=User).exactly_one().place, Place)
    with session.stream("SELECT", row_type=Outer.Inner) as found:
        assert_type([row.places for row in found], list[dict[str, list[Place]]])


def futures(session: sync.Session) -> None:
    assert_type(session.execute_async("SELECT", row_type=Model), sync.ResultFuture[Model])
    assert_type(session.execute_async("SELECT", row_type=Struct).result(), sync.Result[Struct])
    assert_type(session.execute_async("SELECT", row_type=Attrs).result().all(), list[Attrs])
    assert_type(session.execute_async("SELECT", row_type=User).result().exactly_one(), User)
    assert_type(session.execute_async("SELECT", row_type=Outer.Inner).result()[0], Outer.Inner)
