"""Values and classes follow a user-defined type that is altered, by whomever; nodes forget statements then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.testserver.world import World
from triocql.session.session import Session
from triocql.testing.server import rows, void

SCHEMA = """
CREATE KEYSPACE shop;
CREATE TYPE shop.place (name text, height int);
CREATE TABLE shop.towers (id int PRIMARY KEY, place frozen<place>, pair frozen<tuple<int, place>>)
"""
SELECT = "SELECT place, pair FROM shop.towers WHERE id = ?"
INSERT = "INSERT INTO shop.towers (id, place, pair) VALUES (?, ?, ?)"
COLUMNS = {"place": "frozen<shop.place>", "pair": "frozen<tuple<int, frozen<shop.place>>>"}

VERSIONS = pytest.mark.parametrize("version", [4, 5])
BY = pytest.mark.parametrize("by", ["this session", "another"])


@dataclass
class Place:
    name: str
    height: int | None = None
    zip: int | None = None
    meters: int | None = None


async def alter(world: World, session: Session, by: str, how: str) -> None:
    """Have a type altered, on which nodes forget the statements that have it."""
    if by == "another":
        world.server.announce_schema(*world.server.schema.execute(f"ALTER TYPE shop.place {how}"))
    else:
        await session.execute(f"ALTER TYPE shop.place {how}")
    for node in world.server.nodes:
        node.forget_prepared()
    await world.reactor.sleep(2.0)


def answer(world: World, **place: Any) -> None:
    world.server.rules.clear()
    world.server.when(INSERT).then(void())
    world.server.when(SELECT).then(rows(COLUMNS, [[place, (1, place)]]))


@BY
@VERSIONS
@pytest.mark.parametrize("cls", [None, Place])
def test_fields_that_are_added_and_renamed(version: int, by: str, cls: type | None) -> None:
    world = World(2, schema=SCHEMA, versions=(version,))
    answer(world, name="Roof", height=3)

    async def main() -> None:
        async with world.connect() as session:
            if cls is not None:
                session.codecs.register_udt("shop", "place", cls)
            insert, select = await session.prepare(INSERT), await session.prepare(SELECT)
            row = (await session.execute(select, [1])).exactly_one()
            assert (row.place.name, row.place.height, row.pair[1].height) == ("Roof", 3, 3)

            await alter(world, session, by, "ADD zip int")
            answer(world, name="Roof", height=3, zip=7)
            row = (await session.execute(select, [1])).exactly_one()
            assert (row.place.height, row.place.zip, row.pair[1].zip) == (3, 7, 7)
            place = {"name": "Roof", "height": 4, "zip": 9} if cls is None else cls("Roof", 4, 9)
            await session.execute(insert, [1, place, (1, place)])
            sent = world.server.log.everything[-1].values
            assert sent is not None
            assert sent[1] == {"name": "Roof", "height": 4, "zip": 9}

            await alter(world, session, by, "RENAME height TO meters")
            answer(world, name="Roof", meters=3, zip=7)
            row = (await session.execute(select, [1])).exactly_one()
            assert (row.place.meters, row.place.zip, row.pair[1].meters) == (3, 7, 3)
            assert list(session.metadata.keyspaces["shop"].types["place"].fields) == ["name", "meters", "zip"]

    world.reactor.run(main)


@VERSIONS
def test_values_with_a_new_field_are_taken_though_no_node_has_forgotten_the_statement(version: int) -> None:
    world = World(1, schema=SCHEMA, versions=(version,))
    answer(world, name="Roof", height=3)

    async def main() -> None:
        async with world.connect() as session:
            insert = await session.prepare(INSERT)
            world.server.schema.execute("ALTER TYPE shop.place ADD zip int")
            await session.execute(insert, [1, {"name": "Roof", "height": 4, "zip": 9}, None])
            sent = world.server.log.everything[-1].values
            assert sent is not None
            assert sent[1] == {"name": "Roof", "height": 4, "zip": 9}

    world.reactor.run(main)
