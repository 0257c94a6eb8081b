"""What the system tables say, as a driver reads it: the cluster, the same from every node, and the whole schema."""

from __future__ import annotations

import uuid
from ipaddress import ip_address
from typing import Any

import pytest

import triocql
from tests.testserver.world import Only, World
from triocql import errors
from triocql.session.session import Session
from triocql.testing.server import ServerNode

SHARED = ("data_center", "rack", "host_id", "release_version", "schema_version", "tokens")
TOPOLOGY = {"dc1": {"a": 2, "b": 1}, "dc2": {"a": 1}}


def ask(world: World, node: ServerNode, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
    """Return the rows that this node tells."""

    async def main() -> list[dict[str, Any]]:
        policies = triocql.PolicyOptions(balancing=Only(node))
        options: dict[str, Any] = {"reactor": world.reactor, "connections_local": 1, "policies": policies}
        async with triocql.connect(node.contact_point, **options) as session:
            return (await session.execute(query, values, row_type=dict)).rows

    found = world.reactor.run(main)
    assert world.server.log.everything[-1].node == node.index
    return found


def table(world: World, name: str, node: int = 0) -> list[dict[str, Any]]:
    return ask(world, world.server.nodes[node], f"SELECT * FROM {name}")


@pytest.mark.parametrize("spaces", [" " * 50_000, "\n\t" * 25_000])
def test_a_query_with_very_much_space(spaces: str) -> None:
    world = World(1)
    (row,) = ask(world, world.server.nodes[0], f"SELECT{spaces}key{spaces}FROM system.local{spaces}")
    assert row == {"key": "local"}
    with pytest.raises(errors.InvalidQuery):
        ask(world, world.server.nodes[0], f"SELECT{spaces}key{spaces}, x")


# --- The cluster ---------------------------------------------------------------------------------------------


def of_node(world: World, node: ServerNode) -> dict[str, Any]:
    """Return what all tables have to say of a node."""
    return {
        "data_center": node.data_center,
        "rack": node.rack,
        "host_id": node.host_id,
        "release_version": node.release_version,
        "schema_version": node.schema_version or world.server.schema.version,
        "tokens": {str(token) for token in node.tokens},
    }


def assert_told_alike(world: World) -> None:
    """Each node tells the truth of itself, and the others tell the same of it, in both tables of peers."""
    for teller in world.server.nodes:
        (local,) = table(world, "system.local", teller.index)
        assert {name: local[name] for name in SHARED} == of_node(world, teller)
        address = ip_address(teller.address.host)
        assert {local[each] for each in ("broadcast_address", "listen_address", "rpc_address")} == {address}
        peers = {row["peer"]: row for row in table(world, "system.peers", teller.index)}
        newer = {row["peer"]: row for row in table(world, "system.peers_v2", teller.index)}
        others = [node for node in world.server.nodes if node is not teller and node.member]
        assert set(peers) == set(newer) == {ip_address(node.address.host) for node in others}
        for node in others:
            address = ip_address(node.address.host)
            assert {name: peers[address][name] for name in SHARED} == of_node(world, node)
            assert {name: newer[address][name] for name in SHARED} == of_node(world, node)
            assert peers[address]["rpc_address"] == newer[address]["native_address"] == address
            assert newer[address]["native_port"] == node.address.port


@pytest.mark.parametrize("version", [3, 4, 5])
def test_the_nodes_tell_the_same(version: int) -> None:
    world = World(topology=TOPOLOGY, num_tokens=4, versions=(version,))
    assert [len(node.tokens) for node in world.server.nodes] == [4] * 4
    assert_told_alike(world)


def test_the_nodes_tell_the_same_after_changes() -> None:
    world = World(topology=TOPOLOGY)
    first, second, third, fourth = world.server.nodes
    first.rack, first.tokens = "z", [-5, 5]
    second.data_center, second.release_version = "dc9", "4.1.0"
    second.schema_version = uuid.uuid4()
    third.move("127.0.0.77")
    third.replace()
    fourth.member = False
    assert_told_alike(world)
    assert len(table(world, "system.peers")) == 2


def test_a_node_tells_of_itself() -> None:
    world = World(versions=(3, 4), name="shop cluster")
    (local,) = table(world, "system.local")
    assert {name: content for name, content in local.items() if name not in SHARED} == {
        "key": "local",
        "bootstrapped": "COMPLETED",
        "broadcast_address": ip_address("127.0.0.1"),
        "broadcast_port": 7000,
        "cluster_name": "shop cluster",
        "cql_version": "3.4.7",
        "gossip_generation": 1,
        "listen_address": ip_address("127.0.0.1"),
        "listen_port": 7000,
        "native_protocol_version": "4",
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "rpc_address": ip_address("127.0.0.1"),
        "rpc_port": 9042,
        "truncated_at": {},
    }


def test_single_peers() -> None:
    world = World(topology=TOPOLOGY)
    first, second, _, fourth = world.server.nodes
    found = ask(world, first, "SELECT rack, tokens FROM system.peers WHERE peer = '127.0.0.2'")
    assert found == [{"rack": "b", "tokens": {str(token) for token in second.tokens}}]
    query = "SELECT data_center FROM system.peers_v2 WHERE peer = ? AND peer_port = ?"
    assert ask(world, first, query, ["127.0.0.4", 7000]) == [{"data_center": "dc2"}]
    assert ask(world, fourth, query, ["127.0.0.4", 7000]) == []
    for where in ("nothing = 'x'", "nothing = ?"):
        with pytest.raises(errors.InvalidQuery, match="Undefined column name nothing"):
            ask(world, first, f"SELECT rack FROM system.peers WHERE {where}", ["x"])


def test_several_at_once() -> None:
    world = World(schema="CREATE KEYSPACE a; CREATE KEYSPACE b; CREATE KEYSPACE c")
    query = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name IN ("
    found = ask(world, world.server.nodes[0], f"{query}'a' , 'c', 'd')")
    assert [row["keyspace_name"] for row in found] == ["a", "c"]
    assert ask(world, world.server.nodes[0], f"{query}?, 'b')", ["a"]) == [
        {"keyspace_name": "a"},
        {"keyspace_name": "b"},
    ]


# --- The schema ----------------------------------------------------------------------------------------------


def test_keyspaces() -> None:
    stock = (
        "CREATE KEYSPACE stock WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3, 'dc2': '2'} "
        "AND durable_writes = false"
    )
    world = World(schema=f"CREATE KEYSPACE shop; {stock}")
    locator = "org.apache.cassandra.locator"
    assert table(world, "system_schema.keyspaces") == [
        {
            "keyspace_name": "shop",
            "durable_writes": True,
            "replication": {"class": f"{locator}.SimpleStrategy"},
        },
        {
            "keyspace_name": "stock",
            "durable_writes": False,
            "replication": {"class": f"{locator}.NetworkTopologyStrategy", "dc1": "3", "dc2": "2"},
        },
    ]


def test_tables() -> None:
    world = World()
    users, orders = table(world, "system_schema.tables")
    declared = world.server.schema.keyspaces["shop"].tables
    assert [(each["keyspace_name"], each["table_name"], each["id"]) for each in (users, orders)] == [
        ("shop", "users", declared["users"].id),
        ("shop", "orders", declared["orders"].id),
    ]
    assert users["flags"] == {"compound"}
    assert users["compaction"] == {
        "class": "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy",
        "max_threshold": "32",
        "min_threshold": "4",
    }
    assert (users["gc_grace_seconds"], users["default_time_to_live"], users["comment"]) == (864_000, 0, "")


def columns(world: World, name: str) -> list[tuple[Any, ...]]:
    """Return what system_schema tells of the columns of a table."""
    query = "SELECT * FROM system_schema.columns WHERE keyspace_name = 'shop' AND table_name = ?"
    found = ask(world, world.server.nodes[0], query, [name])
    assert all(row["column_name_bytes"] == row["column_name"].encode() for row in found)
    names = ("column_name", "type", "kind", "position", "clustering_order")
    return [tuple(row[name] for name in names) for row in found]


def test_columns() -> None:
    world = World()
    assert columns(world, "users") == [
        ("home", "frozen<address>", "regular", -1, "none"),
        ("id", "int", "partition_key", 0, "none"),
        ("name", "text", "regular", -1, "none"),
        ("tags", "set<text>", "regular", -1, "none"),
    ]
    assert columns(world, "orders") == [
        ("day", "date", "partition_key", 1, "none"),
        ("number", "int", "clustering", 0, "desc"),
        ("total", "decimal", "static", -1, "none"),
        ("user", "int", "partition_key", 0, "none"),
    ]


def test_types() -> None:
    assert table(World(), "system_schema.types") == [
        {
            "keyspace_name": "shop",
            "type_name": "address",
            "field_names": ["street", "No"],
            "field_types": ["text", "int"],
        }
    ]


def test_changes_show_on_every_node() -> None:
    world = World(2)
    before = world.server.schema.version

    async def scenario(session: Session) -> None:
        await session.execute("CREATE TYPE shop.box (width int, inner frozen<address>)")
        await session.execute('CREATE TABLE shop.boxes ("Id" uuid, n int, b box, PRIMARY KEY ("Id", n))')
        await session.execute("ALTER TABLE shop.boxes ADD labels map<text,int>")
        await session.execute("ALTER TABLE shop.orders DROP total")
        await session.execute("ALTER TABLE shop.orders ADD total int")
        await session.execute("DROP TABLE shop.users")

    world.run(scenario)
    for node in (0, 1):
        assert [row["table_name"] for row in table(world, "system_schema.tables", node)] == [
            "orders",
            "boxes",
        ]
        assert [row["type_name"] for row in table(world, "system_schema.types", node)] == ["address", "box"]
        assert table(world, "system_schema.types", node)[1]["field_types"] == ["int", "frozen<address>"]
    assert columns(world, "boxes") == [
        ("Id", "uuid", "partition_key", 0, "none"),
        ("b", "box", "regular", -1, "none"),
        ("labels", "map<text, int>", "regular", -1, "none"),
        ("n", "int", "clustering", 0, "asc"),
    ]
    assert ("total", "int", "regular", -1, "none") in columns(world, "orders")
    assert columns(world, "users") == []
    versions = {row["schema_version"] for row in table(world, "system.local")}
    assert versions == {row["schema_version"] for row in table(world, "system.peers", node=1)}
    assert versions.isdisjoint({before, None})
