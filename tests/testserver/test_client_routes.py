"""Routes of clients: the table, its events, proxies; and the clients that a node of ScyllaDB knows of."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.testserver.scylla import dial, startup
from tests.testserver.test_shards import VECTORS
from tests.testserver.test_systemtables import ask, table
from tests.testserver.world import World
from triocql.abc import Address
from triocql.testing.server import Opcode, Scylla
from triocql.testing.server.encoder import client_routes_event

FIRST = uuid.UUID("11111111-1111-1111-1111-111111111111")


def world(**options: Any) -> World:
    return World(2, scylla=Scylla(shards=2, shard_aware=False, metadata_ids=False), **options)


def test_the_event_is_that_of_other_implementations() -> None:
    body = client_routes_event("UPDATE_NODES", ["c1"], [str(FIRST)])
    assert body.hex() == VECTORS["client_routes_event"]


def test_an_address_with_its_port_is_refused() -> None:
    server = world().server
    address: Any = Address("127.0.1.1", 9042)
    with pytest.raises(TypeError, match=r"Address\(host='127.0.1.1'.*give its host, and then its port"):
        server.client_routes.set("c1", server.nodes[0], address)
    assert server.client_routes.rows == []


def test_rows_and_events() -> None:
    at = world()
    first, second = at.server.nodes
    client = dial(at)
    startup(client)
    client.ask(Opcode.REGISTER, b"\0\1\0\x14CLIENT_ROUTES_CHANGE")
    routes = at.server.client_routes

    def told() -> list[bytes]:
        at.reactor.settle()
        found = [frame.body for frame in client.frames()]
        client.received.clear()
        return found

    client.received.clear()
    routes.set("c1", first, "proxy", 9001, 9002)
    assert told() == [client_routes_event("UPDATE_NODES", ["c1"], [str(first.host_id)])]
    routes.set("c1", first, "proxy", 9003, announce=False)
    routes.set("c2", second.host_id, "other", announce=False)
    assert not told()
    routes.remove("c2", second)
    routes.announce(["a", "b"], [], change="SOMETHING")
    assert told() == [
        client_routes_event("UPDATE_NODES", ["c2"], [str(second.host_id)]),
        client_routes_event("SOMETHING", ["a", "b"], []),
    ]
    routes.set("c2", second, "other", announce=False)
    found = table(at, "system.client_routes")
    assert [
        (row["connection_id"], row["host_id"], row["address"], row["port"], row["tls_port"]) for row in found
    ] == [
        ("c1", first.host_id, "proxy", 9003, None),
        ("c2", second.host_id, "other", None, None),
    ]


@pytest.mark.parametrize(
    ("where", "values", "expected"),
    [
        ("connection_id IN ? AND host_id IN ?", [["c1", "c2"], [FIRST]], ["c1"]),
        ("connection_id IN ?", [["c1", "c2"]], ["c1", "c2"]),
        ("connection_id IN ('c2', 'c3')", None, ["c2"]),
        ("connection_id = ? AND host_id IN ?", ["c1", [FIRST]], ["c1"]),
        (f"host_id = {FIRST}", None, ["c1"]),
    ],
)
def test_rows_are_found_by_lists_that_are_bound(
    where: str, values: list[Any] | None, expected: list[str]
) -> None:
    at = world()
    at.server.client_routes.set("c1", FIRST, "one", announce=False)
    at.server.client_routes.set("c2", uuid.uuid4(), "two", announce=False)
    query = f"SELECT connection_id FROM system.client_routes WHERE {where}"
    assert [row["connection_id"] for row in ask(at, at.server.nodes[0], query, values)] == expected


def test_a_proxy_leads_to_its_node_after_a_restart_too() -> None:
    at = world()
    node = at.server.nodes[1]
    proxy = node.listen_at(Address("10.9.9.9", 7777))
    for _ in range(2):
        startup(dial(at, 1), CLIENT_ID="x")
        node.restart()
        dial(at, 1, address=proxy)
        assert node.connections[-1].port == 7777


def test_clients_are_those_that_are_connected_now_with_all_of_startup() -> None:
    at = world()
    node = at.server.nodes[0]
    client = dial(at)
    startup(client, DRIVER_NAME="x", CLIENT_ID="y")
    (mine,) = (row for row in table(at, "system.clients") if row["driver_name"] == "x")
    (connection,) = (each for each in node.connections if each.options.get("CLIENT_ID"))
    assert (mine["port"], mine["shard_id"]) == (connection.peer_port, connection.shard)
    assert mine["client_options"] == {"CQL_VERSION": "3.0.0", "DRIVER_NAME": "x", "CLIENT_ID": "y"}
    assert (mine["connection_stage"], mine["protocol_version"], mine["ssl_enabled"]) == ("READY", 4, False)
    connection.drop("reset")
    at.reactor.settle()
    assert not any(row["driver_name"] == "x" for row in table(at, "system.clients"))
