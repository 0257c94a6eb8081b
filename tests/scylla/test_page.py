"""The page about ScyllaDB, run against nodes of the test server's Scylla mode; elsewhere it runs against Cassandra."""

from __future__ import annotations

import ast
import inspect
import io
from contextlib import redirect_stdout
from typing import Any

from tests.docs.pages import ROOT, blocks_of
from tests.scylla.world import World
from triocql import Session
from triocql.testing.server import Scylla

PAGE = ROOT / "docs" / "howto" / "scylladb.md"
KEYSPACE = (
    "CREATE KEYSPACE {} WITH replication = {{'class': 'NetworkTopologyStrategy', 'replication_factor': 2}}"
    " AND tablets = {{'initial': 4}};"
)
SCHEMA = (
    f"{KEYSPACE.format('shop')} CREATE TABLE shop.carts (id int PRIMARY KEY);"
    f"{KEYSPACE.format('weather')} CREATE TABLE weather.readings (station text PRIMARY KEY, at timestamp)"
)


def run(world: World, session: Session) -> list[str]:
    """Run all Python on the page, as in one program, and return what it prints."""

    async def program() -> None:
        names: dict[str, Any] = {"session": session}
        for block in blocks_of(PAGE):
            if block.language == "python":
                code = compile(block.code, block.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                if inspect.iscoroutine(made := eval(code, names)):
                    await made

    printed = io.StringIO()
    with redirect_stdout(printed):
        world.run(program())
    return printed.getvalue().splitlines()


def test_the_code_on_the_page_runs_as_it_is_written() -> None:
    world = World(schema=SCHEMA, scylla=Scylla(shards=2))
    with world.session(keyspace="weather") as session:
        world.reactor.advance(2.0)
        for number in range(60):
            world.run(session.execute("SELECT id FROM shop.carts WHERE id = ?", [number]))
        for _ in range(8):
            world.run(session.execute("SELECT * FROM readings WHERE station = ?", ["station-01"]))
        printed = run(world, session)
        assert printed[:3] == [f"{node.name} 2" for node in session.metadata.nodes]
        tablets = session.metadata.tablets
        shards = [f"{node.name} {shard} 1 0 0" for node in session.metadata.nodes for shard in (0, 1)]
        assert sorted(printed[3:9]) == sorted(shards)
        found = tablets.of("shop", "carts")
        assert printed[9 : 9 + len(found)] == [
            f"{each.first} {each.last} {each.replicas} {each.shards}" for each in found
        ]
        assert len(found) == 4
        (there,) = tablets.of("weather", "readings")
        assert printed[-1] == str(there.replicas)


def test_the_statements_on_the_page_are_such_as_nodes_take() -> None:
    world = World(schema=SCHEMA, scylla=Scylla(shards=2))
    texts = [
        line
        for block in blocks_of(PAGE)
        if block.language == "text"
        for line in block.code.splitlines()
        if line.startswith(("SELECT", "INSERT"))
    ]
    assert len(texts) == 3
    with world.session() as session:
        clients = world.run(session.execute(texts[0].rstrip(";")))
        assert {row.driver_name for row in clients} == {"triocql"}
        world.run(session.execute("CREATE TABLE weather.events (day int PRIMARY KEY, at int, what text)"))
        parameters: list[list[Any]] = [[1], [1, 2, "x"]]
        for text, values in zip(texts[1:], parameters, strict=True):
            world.run(session.execute(text.replace("events", "weather.events"), values))
