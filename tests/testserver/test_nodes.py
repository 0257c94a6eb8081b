"""Nodes: what they say of themselves and of each other, and what befalls them as a whole."""

from __future__ import annotations

from typing import Any

import pytest

import triocql
from tests.testserver.world import Client, Only, World, message
from triocql import errors
from triocql.session.session import Session
from triocql.testing.server import Change, CqlServer, Opcode, rows, void

ONE_ROW = rows({"n": "int"}, [[1]])
REGISTER = b"\0\3\0\x0fTOPOLOGY_CHANGE\0\x0dSTATUS_CHANGE\0\x0dSCHEMA_CHANGE"


async def table(session: Session, name: str) -> list[dict[str, Any]]:
    return [row._asdict() for row in (await session.execute(f"SELECT * FROM {name}")).rows]


def test_a_topology() -> None:
    world = World(topology={"dc1": {"a": 2, "b": 1}, "dc2": {"a": 1}}, num_tokens=4)
    nodes = world.server.nodes
    assert [(node.data_center, node.rack) for node in nodes] == [
        ("dc1", "a"),
        ("dc1", "b"),
        ("dc1", "a"),
        ("dc2", "a"),
    ]
    assert len({token for node in nodes for token in node.tokens}) == 16
    assert world.server.contact_points == [f"127.0.0.{number}:9042" for number in (1, 2, 3, 4)]

    async def scenario(session: Session) -> None:
        (local,) = await table(session, "system.local")
        peers = await table(session, "system.peers")
        newer = await table(session, "system.peers_v2")
        asked = world.server.log.everything[-1].node
        assert local["host_id"] == nodes[asked].host_id
        others = {node.host_id for node in nodes if node.index != asked}
        assert {peer["host_id"] for peer in peers} == {peer["host_id"] for peer in newer} == others
        for peer in newer:
            node = next(node for node in nodes if node.host_id == peer["host_id"])
            assert (str(peer["native_address"]), peer["native_port"]) == node.address
            assert peer["tokens"] == {str(token) for token in node.tokens}
            assert (peer["data_center"], peer["schema_version"]) == (
                node.data_center,
                local["schema_version"],
            )

    world.run(scenario, policies=triocql.PolicyOptions(balancing=Only(nodes[0])))


def test_system_tables_can_be_asked_for_columns_and_rows() -> None:
    world = World()

    async def scenario(session: Session) -> None:
        asked = await session.execute("SELECT rack, data_center FROM system.local WHERE key='local'")
        assert asked.one() == ("rack1", "dc1")
        found = await session.execute(
            "SELECT column_name, type, kind, position, clustering_order FROM system_schema.columns "
            "WHERE keyspace_name = 'shop' AND table_name = ?",
            ["orders"],
        )
        assert sorted(found.rows) == [
            ("day", "date", "partition_key", 1, "none"),
            ("number", "int", "clustering", 0, "desc"),
            ("total", "decimal", "static", -1, "none"),
            ("user", "int", "partition_key", 0, "none"),
        ]
        (address,) = await table(session, "system_schema.types")
        assert (address["field_names"], address["field_types"]) == (["street", "No"], ["text", "int"])
        for name in ("functions", "aggregates", "indexes", "views", "triggers"):
            assert await table(session, f"system_schema.{name}") == []
        with pytest.raises(errors.InvalidQuery, match=r"table system\.nothing does not exist; a rule may"):
            await session.execute("SELECT * FROM system.nothing")
        with pytest.raises(errors.InvalidQuery, match="Undefined column name nothing"):
            await session.execute("SELECT nothing FROM system.local")

    world.run(scenario)


def test_system_tables_can_be_wrong() -> None:
    world = World(3)
    world.server.edit(
        "system.peers", lambda node, rows: [{**rows[0], "host_id": None, "rack": f"of {node.index}"}]
    )
    world.server.edit("system.peers_v2", None)

    async def scenario(session: Session) -> None:
        (peer,) = await table(session, "system.peers")
        assert peer["host_id"] is None
        assert peer["rack"].startswith("of ")
        assert (await session.execute("SELECT rack FROM system.peers WHERE rack = 'x'")).rows == []
        with pytest.raises(errors.InvalidQuery, match=r"system\.peers_v2 does not exist"):
            await table(session, "system.peers_v2")

    world.run(scenario)
    with pytest.raises(ValueError, match=r"the system tables are system\.local, system\.peers"):
        world.server.edit("system.nothing", None)


def test_versions() -> None:
    world = World(versions=(3, 4))
    client = world.client(version=5, start=False)
    answer = client.ask(Opcode.OPTIONS)[0]
    assert answer.version == 0x84
    assert message(answer) == (
        "Invalid or unsupported protocol version (5); supported versions are (3/v3, 4/v4)"
    )
    assert client.eof

    async def scenario(session: Session) -> None:
        assert (await session.execute("SELECT key FROM system.local")).scalar() == "local"
        assert {connection.version for connection in world.server.connections} == {4}

    world.run(scenario)


def test_snappy() -> None:
    world = World()
    world.server.when("SELECT 1").then(rows({"n": "text"}, [["x" * 500]]))

    async def scenario(session: Session) -> None:
        assert (await session.execute("SELECT 1")).scalar() == "x" * 500

    world.run(scenario, compression="snappy")
    with pytest.raises(errors.ConnectError):
        World(compression=("lz4",)).run(scenario, compression="snappy")


def test_stopping_and_starting() -> None:
    world = World(2)
    world.server.when("SELECT 1").then(ONE_ROW)
    first, second = world.server.nodes

    async def scenario(session: Session) -> None:
        first.stop()
        await world.reactor.sleep(1)
        assert not first.connections
        for _ in range(5):
            assert (await session.execute("SELECT 1")).scalar() == 1
        second.stop(how="close")
        await world.reactor.sleep(1)
        with pytest.raises(errors.NoNodeAvailable):
            await session.execute("SELECT 1")
        first.start()
        await world.reactor.sleep(61)
        assert (await session.execute("SELECT 1")).scalar() == 1

    world.run(scenario)
    assert world.server.log.count("SELECT 1", node=1) == 5
    assert world.server.log.count("SELECT 1", node=0) == 1


def test_refusing() -> None:
    world = World()
    client = world.client()
    world.server.nodes[0].refuse()
    assert not world.server.nodes[0].listening
    with pytest.raises(ConnectionRefusedError):
        world.client()
    assert client.ask(Opcode.OPTIONS)[0].opcode == Opcode.SUPPORTED
    world.server.nodes[0].start()
    world.client()


def test_pausing() -> None:
    world = World()
    world.server.when("SELECT 1").then(void())
    old = world.client()
    world.server.nodes[0].pause()
    new = world.client(start=False)
    new.send(Opcode.OPTIONS)
    old.query("SELECT 1")
    world.reactor.advance(100)
    assert not old.received
    assert not new.received
    world.server.nodes[0].resume()
    world.reactor.settle()
    assert len(old.frames()) == len(new.frames()) == 1


def test_a_black_hole() -> None:
    world = World()
    node = world.server.nodes[0]
    node.black_hole()

    async def nothing(session: Session) -> None: ...

    with pytest.raises(errors.ConnectTimeout):
        world.run(nothing)
    node.heal()
    world.run(nothing)


def test_hanging_up() -> None:
    world = World()
    world.server.nodes[0].hang_up = True
    client = world.client(start=False)
    client.send(Opcode.OPTIONS)
    assert client.eof or client.lost
    assert world.server.connections == []
    assert len(world.server.log.everything) == 0


def test_moving_and_replacing() -> None:
    world = World(2)
    moved, replaced = world.server.nodes
    identity = moved.host_id
    moved.move("127.0.0.9")
    assert world.server.contact_points == ["127.0.0.9:9042", "127.0.0.2:9042"]
    world.client(node=0)
    assert moved.host_id == identity
    identity = replaced.host_id
    replaced.replace()
    world.client(node=1)
    assert replaced.host_id != identity
    moved.member = False

    async def scenario(session: Session) -> None:
        assert await table(session, "system.peers") == []

    moved.stop()
    world.run(scenario)


def registered(world: World, node: int = 0) -> Client:
    client = world.client(node=node)
    client.ask(Opcode.REGISTER, REGISTER)
    client.received.clear()
    return client


def test_events() -> None:
    world = World(2)
    first, second, other = registered(world), registered(world, node=1), world.client()
    world.server.announce("STATUS_CHANGE", "DOWN", world.server.nodes[1])
    world.server.announce(
        "TOPOLOGY_CHANGE", "NEW_NODE", triocql.abc.Address("::7", 1), by=[world.server.nodes[0]]
    )
    world.reactor.settle()
    assert [(event.opcode, event.stream, event.body) for event in first.frames()] == [
        (Opcode.EVENT, -1, b"\0\x0dSTATUS_CHANGE\0\4DOWN\4\x7f\0\0\2\0\0\x23\x52"),
        (Opcode.EVENT, -1, b"\0\x0fTOPOLOGY_CHANGE\0\x08NEW_NODE\x10" + bytes(15) + b"\7\0\0\0\1"),
    ]
    assert len(second.frames()) == 1
    assert not other.received


def test_changes_of_the_schema_that_nobody_made() -> None:
    world = World(2)
    first, second, other = registered(world), registered(world, node=1), world.client()
    before = world.server.schema.version
    world.server.announce_schema(
        Change("UPDATED", "TYPE", "shop", "address"), Change("DROPPED", "KEYSPACE", "stock")
    )
    world.server.announce_schema(Change("CREATED", "TABLE", "shop", "more"), by=[world.server.nodes[1]])
    world.reactor.settle()
    kind = b"\0\x0dSCHEMA_CHANGE"
    told = [
        kind + b"\0\7UPDATED\0\4TYPE\0\4shop\0\7address",
        kind + b"\0\7DROPPED\0\x08KEYSPACE\0\5stock",
        kind + b"\0\7CREATED\0\5TABLE\0\4shop\0\4more",
    ]
    assert [(event.opcode, event.stream) for event in second.frames()] == [(Opcode.EVENT, -1)] * 3
    assert [event.body for event in first.frames()] == told[:2]
    assert [event.body for event in second.frames()] == told
    assert not other.received
    assert world.server.schema.version == before


def test_events_go_to_those_who_registered_for_their_kind() -> None:
    world = World()
    client = world.client()
    client.ask(Opcode.REGISTER, b"\0\1\0\x0dSTATUS_CHANGE")
    client.received.clear()
    world.server.announce_schema(Change("DROPPED", "KEYSPACE", "stock"))
    world.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", world.server.nodes[0])
    world.reactor.settle()
    assert not client.received
    world.server.announce("STATUS_CHANGE", "UP", world.server.nodes[0])
    world.reactor.settle()
    assert len(client.frames()) == 1


def test_changes_of_the_schema() -> None:
    world = World()
    watching, changing = registered(world), world.client()
    before = world.server.schema.version
    changing.query("USE shop")
    answer = changing.query("CREATE TABLE things (id int PRIMARY KEY)")[-1]
    assert answer.body == b"\0\0\0\5\0\7CREATED\0\5TABLE\0\4shop\0\6things"
    assert watching.frames()[0].body == b"\0\x0dSCHEMA_CHANGE\0\7CREATED\0\5TABLE\0\4shop\0\6things"
    assert world.server.schema.version != before
    answer = changing.query("CREATE TABLE things (id int PRIMARY KEY)")[-1]
    assert message(answer) == "table 'things' exists already\0\4shop\0\6things"
    assert changing.query("CREATE TABLE IF NOT EXISTS things (id int PRIMARY KEY)")[-1].body == b"\0\0\0\1"


def test_keyspaces_have_to_be_declared() -> None:
    world = World()

    async def scenario(session: Session) -> None:
        with pytest.raises(errors.InvalidQuery, match="Keyspace 'none' does not exist"):
            await session.execute("USE none")
        await session.execute("USE shop")

    world.run(scenario)
    assert World(unprimed="echo").client().query("USE none")[0].body == b"\0\0\0\3\0\4none"


def test_arguments() -> None:
    with pytest.raises(ValueError, match="unprimed='always'"):
        CqlServer(unprimed="always")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"does not speak \[6\]"):
        CqlServer(versions=(5, 6))
    with pytest.raises(RuntimeError, match="the server does not run"):
        CqlServer().nodes[0].start()
