"""Codecs, and classes for user-defined types, that are registered before connecting, or with the open session."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import pytest

import triocql
from tests.testserver.world import World
from triocql.config.options import Options
from triocql.errors import OptionError
from triocql.session.session import Session
from triocql.testing.server import CqlServer, rows, void

TABLES = """
CREATE TYPE shop.place (name text, height int);
CREATE TABLE shop.towers (id int PRIMARY KEY, place frozen<place>, cost bigint)
"""
SCHEMA = f"CREATE KEYSPACE shop; {TABLES}"
SELECT = "SELECT place, cost FROM shop.towers WHERE id = ?"
INSERT = "INSERT INTO shop.towers (id, place, cost) VALUES (?, ?, ?)"
ON_THE_WIRE = {"name": "Roof", "height": 30}


@dataclass
class Place:
    height: int
    name: str


class Cents:
    def encode(self, value: Decimal) -> int:
        return int(value * 100)

    def decode(self, value: int) -> Decimal:
        return Decimal(value) / 100


class Codecs(Protocol):
    """What both kinds of sessions have in common."""

    def register(self, cql_type: str, codec: Any, /) -> None: ...
    def register_udt(self, keyspace: str, name: str, cls: type, /) -> None: ...


def register(codecs: Codecs) -> None:
    codecs.register_udt("shop", "place", Place)
    codecs.register("bigint", Cents())


def registered() -> triocql.Registry:
    codecs = triocql.Registry()
    register(codecs)
    return codecs


def prime(server: CqlServer) -> None:
    columns = {"place": "frozen<shop.place>", "cost": "bigint"}
    server.when(SELECT).then(rows(columns, [[ON_THE_WIRE, 150]]))
    server.when(INSERT).then(void())


async def place(session: Session) -> Any:
    return (await session.execute(SELECT, [1])).exactly_one().place


BEFORE = pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
VERSIONS = pytest.mark.parametrize("version", [3, 4, 5])


@BEFORE
@VERSIONS
def test_registering_before_and_after_connecting(version: int, before: bool) -> None:
    world = World(versions=(version,), schema=SCHEMA)
    prime(world.server)

    async def scenario(session: Session) -> None:
        if not before:
            assert await place(session) == ("Roof", 30)
            register(session.codecs)
        row = (await session.execute(SELECT, [1])).exactly_one()
        assert row == (Place(30, "Roof"), Decimal("1.5"))
        await session.execute(INSERT, [1, *row])

    world.run(scenario, codecs=registered() if before else None)
    world.server.log.assert_executed(INSERT, times=1, values=[1, ON_THE_WIRE, 150])


@BEFORE
@VERSIONS
def test_registering_before_and_after_connecting_in_a_program_that_blocks(version: int, before: bool) -> None:
    with CqlServer(versions=(version,), schema=SCHEMA) as server:
        prime(server)
        codecs = registered() if before else None
        with triocql.sync.connect(server.contact_points, codecs=codecs) as session:
            if not before:
                assert session.execute(SELECT, [1]).exactly_one().place == ("Roof", 30)
                register(session.codecs)
            row = session.execute(SELECT, [1]).exactly_one()
            assert row == (Place(30, "Roof"), Decimal("1.5"))
            session.execute(INSERT, [1, *row])
        server.log.assert_executed(INSERT, times=1, values=[1, ON_THE_WIRE, 150])


@VERSIONS
def test_keyspace_and_type_need_not_exist_yet(version: int) -> None:
    world = World(versions=(version,), schema="")

    async def scenario(session: Session) -> None:
        for statement in SCHEMA.split(";"):
            await session.execute(statement)
        prime(world.server)
        assert await place(session) == Place(30, "Roof")

    world.run(scenario, codecs=registered())


def test_each_session_has_a_copy() -> None:
    world = World(schema=SCHEMA)
    prime(world.server)
    codecs = triocql.Registry()

    async def main() -> None:
        async with world.connect(codecs=codecs) as first, world.connect(codecs=codecs) as second:
            first.codecs.register_udt("shop", "place", Place)
            assert await place(first) == Place(30, "Roof")
            assert await place(second) == ("Roof", 30)
            codecs.register_udt("shop", "place", dict)
            assert await place(first) == Place(30, "Roof")
            assert await place(second) == ("Roof", 30)
        async with world.connect(codecs=codecs) as third, world.connect(codecs=third.codecs) as fourth:
            assert await place(third) == await place(fourth) == ON_THE_WIRE

    world.reactor.run(main)


def test_sessions_in_several_threads_share_what_was_registered() -> None:
    codecs = registered()
    with CqlServer(schema=SCHEMA) as server:
        prime(server)
        first = triocql.sync.connect(server.contact_points, codecs=codecs)
        second = triocql.sync.connect(server.contact_points, codecs=codecs)
        with first, second:
            first.codecs.register_udt("shop", "place", dict)
            assert first.execute(SELECT, [1]).exactly_one().place == ON_THE_WIRE
            assert second.execute(SELECT, [1]).exactly_one().place == Place(30, "Roof")


def test_no_session_is_kept_by_what_it_was_opened_with() -> None:
    world = World(schema=SCHEMA)
    prime(world.server)
    codecs = registered()
    found: list[weakref.ref[Any]] = []

    async def scenario(session: Session) -> None:
        await session.execute(SELECT, [1])
        found.extend([weakref.ref(session), weakref.ref(session._context.executor)])

    world.run(scenario, codecs=codecs)
    del world
    gc.collect()
    assert [ref() for ref in found] == [None, None]


@pytest.mark.parametrize("connect", [triocql.connect, triocql.sync.connect, Options])
@pytest.mark.parametrize("wrong", [{"place": Place}, triocql.Registry, Cents(), "place"])
def test_what_is_no_registry(connect: Any, wrong: Any) -> None:
    kind = type(wrong).__name__
    with pytest.raises(OptionError, match=rf"codecs is of type {kind}; it has to be a triocql\.Registry"):
        connect(codecs=wrong)
