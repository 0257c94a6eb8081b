"""Rows and user-defined types as users' classes, on a real node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest

from triocql import Session
from triocql.errors import RowTypeError

from .conftest import KEYSPACE, on_every_wire

if TYPE_CHECKING:
    from triocql import ConnectKeywords

    from .conftest import Table

pytestmark = [pytest.mark.cassandra, pytest.mark.anyio]


@dataclass(frozen=True)
class Place:
    street: str
    number: int


class Tuple(NamedTuple):
    id: int
    home: Place
    others: list[Place]


@dataclass
class Data:
    home: Place
    others: list[Place]
    id: int
    note: str = "none"


class Mapped(TypedDict):
    id: int
    home: Place
    others: list[Place]


class Model(pydantic.BaseModel):
    id: int
    home: Place
    others: list[Place]


class Struct(msgspec.Struct):
    id: int
    home: Place
    others: list[Place]


HOME = Place("Main", 7)


@pytest.fixture
def table(table: Table, options: ConnectKeywords) -> Table:
    """Tables that are named in full on v3: of names alone nodes may warn on any request that follows, which v3 has no
    place for: they answer with an error in its stead.
    """
    if options.get("protocol_version") != 3:
        return table

    async def create(columns: str) -> str:
        return f"{KEYSPACE}.{await table(columns)}"

    return create


async def filled(session: Session, table: Table) -> str:
    await session.execute("CREATE TYPE IF NOT EXISTS typed_place (street text, number int)")
    t = await table("id int PRIMARY KEY, home frozen<typed_place>, others list<frozen<typed_place>>")
    await session.execute(f"INSERT INTO {t} (id, home, others) VALUES (?, ?, ?)", [1, HOME, [HOME]])
    return t


@on_every_wire
async def test_rows_of_every_kind(session: Session, table: Table) -> None:
    t = await filled(session, table)
    select = await session.prepare(f"SELECT * FROM {t}")
    classes: list[type[Any]] = [Tuple, Data, Mapped, Model, Struct]
    for cls in classes:
        expected = cls(id=1, home=HOME, others=[HOME])
        for statement in (select, f"SELECT others, id, home FROM {t}"):
            assert (await session.execute(statement, row_type=cls)).rows == [expected]
        async with session.stream(select, row_type=cls) as rows:
            assert [row async for row in rows] == [expected]


async def test_columns_that_do_not_fit(session: Session, table: Table) -> None:
    t = await filled(session, table)
    result = await session.execute(f"SELECT id, home AS house FROM {t}", row_type=Data)
    with pytest.raises(RowTypeError, match=r"no column 'home', 'others', and .* the column 'house'"):
        result.one()
    with pytest.raises(RowTypeError, match="no column 'others'"):
        (await session.execute(f"SELECT id, home FROM {t} WHERE id = 2", row_type=Mapped)).one()


@on_every_wire
async def test_classes_that_are_registered_after_preparing(session: Session, table: Table) -> None:
    t = await filled(session, table)
    select = await session.prepare(f"SELECT home FROM {t} WHERE id = ?")
    assert (await session.execute(select, [1])).scalar() == ("Main", 7)
    session.codecs.register_udt(KEYSPACE, "typed_place", Place)
    for statement in (select, select.bind(1), f"SELECT home FROM {t} WHERE id = ?"):
        values = None if hasattr(statement, "state") else [1]
        assert (await session.execute(statement, values)).scalar() == HOME
