"""Nodes that are reached by proxies: which routes there are, which one is used, and that nothing goes past them."""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

import triocql
from triocql import ClientRoutes, Options
from triocql.abc import Address
from triocql.cluster.clientroutes import NoRoute, ProxyRoutes
from triocql.errors import ConnectError, OptionError, ProtocolError
from triocql.metadata.node import Node
from triocql.protocol.constants import Opcode
from triocql.protocol.responses import ClientRoutesChange, read_answer
from triocql.testing.server import CqlServer, Scylla
from triocql.testing.server.node import ServerNode
from triocql.testing.simulated import SimulatedReactor

VECTOR = json.loads((Path(__file__).parent / "vectors.json").read_text())["client_routes_event"]
HOSTS = [UUID(int=number) for number in range(1, 5)]
PROXY = "10.9.0.1"


def test_the_event_is_read_as_others_write_it() -> None:
    host = "11111111-1111-1111-1111-111111111111"
    event = read_answer(Opcode.EVENT, 0, bytes.fromhex(VECTOR), 4)
    assert event == ClientRoutesChange("UPDATE_NODES", ("c1",), (host,))


# --- Which routes there are ----------------------------------------------------------------------------------


class Told:
    """The table, as a reading of it: which hosts were asked for, and what is answered."""

    def __init__(self, **options: Any) -> None:
        ids = options.pop("connection_ids", ["c1", "c2"])
        self.routes = ProxyRoutes(
            Options.from_arguments(client_routes=ClientRoutes(connection_ids=ids), **options)
        )
        self.rows: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.node = SimpleNamespace(name="10.9.0.1:9042")
        self.failure: Exception | None = None

    async def read(self, text: str, values: bytes) -> list[dict[str, Any]]:
        self.asked.append(text)
        if self.failure is not None:
            raise self.failure
        asked = [row for row in self.rows if "host_id IN" not in text or row["host_id"].bytes in values]
        return [row for row in asked if str(row["connection_id"]).encode() in values]

    def add(
        self, host: int, connection_id: str = "c1", address: Any = PROXY, port: Any = 9001, tls: Any = None
    ) -> None:
        self.remove(host, connection_id)
        row = {"connection_id": connection_id, "host_id": HOSTS[host], "address": address}
        self.rows.append({**row, "port": port, "tls_port": tls})

    def remove(self, host: int, connection_id: str = "c1") -> None:
        self.rows = [
            each
            for each in self.rows
            if (each["host_id"], each["connection_id"]) != (HOSTS[host], connection_id)
        ]

    def follow(self, *changes: ClientRoutesChange, everything: bool = False) -> set[int]:
        """Take events in and read; return which hosts have other routes."""
        self.routes.told(changes)
        reactor = SimulatedReactor()
        tables: Any = self
        changed = reactor.run(lambda: self.routes.follow(tables, everything=everything))
        return {HOSTS.index(host) for host in changed}

    def where(self, host: int) -> str:
        node = Node(Address("10.0.0.9", 9042))
        node.host_id = HOSTS[host]
        return str(self.routes.address_of(node))


def change(ids: list[str], hosts: list[Any], kind: str = "UPDATE_NODES") -> ClientRoutesChange:
    return ClientRoutesChange(
        kind, tuple(ids), tuple(str(HOSTS[each]) if isinstance(each, int) else each for each in hosts)
    )


def test_a_node_is_dialled_where_its_route_says() -> None:
    told = Told()
    told.add(0, port=9001)
    told.add(1, address="proxy.example", port=9002)
    assert told.follow(everything=True) == {0, 1}
    assert [told.where(0), told.where(1)] == ["10.9.0.1:9001", "proxy.example:9002"]
    with pytest.raises(NoRoute, match=r"no client route leads to the node 00000000-.*, by any of: c1, c2"):
        told.where(2)


def test_with_tls_the_port_is_that_for_tls() -> None:
    """A route without the port that is needed says so."""
    context = ssl.create_default_context()
    told = Told(ssl_context=context, server_hostname="nodes.example")
    told.add(0, port=9001, tls=9101)
    told.add(1, port=9001)
    told.follow(everything=True)
    assert told.where(0) == "10.9.0.1:9101"
    with pytest.raises(NoRoute, match=r"by c1 to the node .* has no port for TLS"):
        told.where(1)
    plain = Told()
    plain.add(0, port=None, tls=9101)
    plain.follow(everything=True)
    with pytest.raises(NoRoute, match="has no port without TLS"):
        plain.where(0)


def test_a_host_that_was_given_goes_before_the_one_that_is_told() -> None:
    told = Told(connection_ids={"c1": "mine.example", "c2": None})
    told.add(0)
    told.add(1, address=None)
    told.add(2, "c2")
    told.follow(everything=True)
    assert [told.where(host) for host in range(3)] == ["mine.example:9001"] * 2 + ["10.9.0.1:9001"]


def test_a_route_stays_as_long_as_its_connection_is_offered() -> None:
    """Whichever of several is told of in an event."""
    told = Told()
    told.add(0, "c2", port=9002)
    told.follow(everything=True)
    told.add(0, "c1", port=9001)
    assert told.follow(change(["c1"], [0])) == set()
    assert told.where(0) == "10.9.0.1:9002"
    told.add(0, "c2", port=9022)
    assert told.follow(change(["c2"], [0])) == {0}
    assert told.where(0) == "10.9.0.1:9022"
    told.remove(0, "c2")
    assert told.follow(change(["c2"], [0])) == {0}
    assert told.where(0) == "10.9.0.1:9001"
    told.remove(0, "c1")
    assert told.follow(change(["c1"], [0])) == {0}
    with pytest.raises(NoRoute):
        told.where(0)


def test_only_the_nodes_that_are_told_of_are_read_and_replaced() -> None:
    """By all connections that are configured, which makes more pairs than those of the event."""
    told = Told()
    for host in range(3):
        told.add(host, port=9001 + host)
    told.follow(everything=True)
    told.rows.clear()
    told.add(0, "c2", port=9100)
    assert told.follow(change(["c1", "c2"], [0, 1])) == {0, 1}
    assert told.where(0) == "10.9.0.1:9100"
    assert told.where(2) == "10.9.0.1:9003"
    with pytest.raises(NoRoute):
        told.where(1)
    assert "host_id IN ?" in told.asked[-1]


@pytest.mark.parametrize(
    "event", [change([], []), change(["c1"], []), change(["c1", "c2"], [0]), change(["c1"], ["x"])], ids=str
)
def test_an_event_that_says_nothing_of_use_has_all_read(event: ClientRoutesChange) -> None:
    told = Told()
    told.add(0)
    told.follow(everything=True)
    told.add(1)
    assert told.follow(event) == {1}
    assert "host_id IN" not in told.asked[-1]


@pytest.mark.parametrize("event", [change(["c1"], [0], "SOMETHING"), change(["other"], [0])], ids=str)
def test_what_is_not_known_or_of_others_is_ignored(event: ClientRoutesChange) -> None:
    told = Told()
    told.add(0)
    told.follow(everything=True)
    assert told.follow(event) == set()
    assert len(told.asked) == 1


def test_events_that_were_lost_have_all_read() -> None:
    told = Told()
    assert told.routes.told([], incomplete=True)


@pytest.mark.parametrize(
    "broken",
    [
        {"connection_id": "other"},
        {"address": None},
        {"address": ""},
        {"address": "/run/x.sock"},
        {"address": "@x"},
        {"address": "a b"},
        {"address": "x" * 256},
        {"port": 0},
        {"port": 65_536},
        {"port": "9042"},
        {"host_id": None},
    ],
    ids=str,
)
def test_a_broken_row_is_left_out_and_a_broken_table_is_an_error(broken: dict[str, Any]) -> None:
    """What was known stays."""
    told = Told()
    told.add(0)
    told.add(1)
    told.rows[1] = {**told.rows[1], **broken}
    offered = told.routes._offered(told.rows)
    assert set(offered) == {HOSTS[0]}

    async def everything(text: str, values: bytes) -> list[dict[str, Any]]:
        return told.rows

    told.read = everything  # type: ignore[method-assign]
    told.rows = told.rows[1:]
    with pytest.raises(ProtocolError, match=r"no row of system\.client_routes can be used"):
        told.follow(everything=True)


def test_however_many_rows_are_broken_there_is_one_short_line_about_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told()
    for number in range(1000):
        told.rows.append({"connection_id": "c1", "host_id": UUID(int=1000 + number), "address": "/" * 3000})
    told.add(0)
    told.follow(everything=True)
    (record,) = caplog.records
    assert record.getMessage().startswith("1000 rows")
    assert len(record.getMessage()) < 300


def test_what_cannot_be_read_changes_nothing_and_is_read_again() -> None:
    told = Told()
    told.add(0)
    told.follow(everything=True)
    told.add(0, port=9009)
    told.failure = ProtocolError("no")
    assert told.follow(change(["c1"], [0])) == set()
    assert told.where(0) == "10.9.0.1:9001"
    assert told.routes.is_stale
    told.failure = None
    assert told.follow() == {0}
    assert told.where(0) == "10.9.0.1:9009"
    assert not told.routes.is_stale


def test_an_empty_table_is_believed_once_it_is_told_again() -> None:
    told = Told()
    told.add(0)
    told.follow(everything=True)
    told.rows.clear()
    assert told.follow(everything=True) == set()
    assert told.where(0) == "10.9.0.1:9001"
    assert told.follow() == {0}


def test_only_contact_points_are_dialled_before_it_is_known_which_node_they_are() -> None:
    told = Told(contact_points=["10.9.0.1:9001"])
    told.routes.address_of(Node(Address("10.9.0.1", 9001)))
    with pytest.raises(NoRoute):
        told.routes.address_of(Node(Address("10.0.0.1", 9042)))


# --- A session -----------------------------------------------------------------------------------------------

Play = Callable[[CqlServer, triocql.Session, SimulatedReactor], Awaitable[None]]


def run(play: Play, *, with_routes: int = 3, **options: Any) -> CqlServer:
    """Play something with three nodes behind a proxy, each at a port of its own; some have routes from the start."""
    reactor = SimulatedReactor()
    server = CqlServer(3, scylla=Scylla(shards=1))
    server.run_on(reactor)
    for index, node in enumerate(server.nodes):
        node.listen_at(Address(PROXY, 9001 + index))
        if index < with_routes:
            server.client_routes.set("c1", node, PROXY, 9001 + index, announce=False)
    usual: dict[str, Any] = {"schema": False, "connections_local": 1, "reconnection_jitter": 0.0}

    async def main() -> None:
        routes = ClientRoutes(connection_ids=["c1", "c2"])
        async with triocql.connect(
            [f"{PROXY}:9001"], reactor=reactor, client_routes=routes, **{**usual, **options}
        ) as session:
            await reactor.sleep(1)
            await play(server, session, reactor)

    reactor.run(main)
    return server


def ports(node: ServerNode) -> set[int]:
    return {each.port for each in node.accepted}


def test_no_node_is_ever_dialled_at_its_own_address() -> None:
    """Not without a route, not after the loss of all connections, not by the control connection."""

    async def play(server: CqlServer, session: triocql.Session, reactor: SimulatedReactor) -> None:
        assert len(session.metadata.nodes) == 3
        for _ in range(3):
            for node in server.nodes:
                node.stop()
            await reactor.sleep(5)
            for node in server.nodes:
                node.start()
            await reactor.sleep(70)
        await session.execute("SELECT release_version FROM system.local", timeout=60)

    server = run(play, with_routes=2)
    assert [ports(node) for node in server.nodes] == [{9001}, {9002}, set()]


def test_a_route_that_comes_is_dialled_at_once_and_one_that_goes_leaves_its_connections() -> None:
    """The back-off begins anew, and existing connections stay."""

    async def play(server: CqlServer, session: triocql.Session, reactor: SimulatedReactor) -> None:
        await reactor.sleep(100)
        assert not server.nodes[2].accepted
        server.client_routes.set("c2", server.nodes[2], PROXY, 9003)
        await reactor.sleep(1)
        assert len(server.nodes[2].accepted) == 1
        links = list(server.connections)
        server.client_routes.remove("c2", server.nodes[2])
        server.client_routes.set("c1", server.nodes[1], PROXY, 9999)
        await reactor.sleep(5)
        assert list(server.connections) == links

    run(play, with_routes=2)


@pytest.mark.parametrize("count", [1, 3])
def test_each_dial_goes_to_any_of_the_addresses_of_a_proxy(count: int) -> None:
    """Also that of a contact point: the proxy's servers share what there is."""
    hosts = [f"10.9.1.{number}" for number in range(count)]

    async def play(server: CqlServer, session: triocql.Session, reactor: SimulatedReactor) -> None:
        reactor.network.names["proxy.example"] = hosts
        node = server.nodes[1]
        for host in hosts:
            node.listen_at(Address(host, 9001))
        server.client_routes.set("c1", node, "proxy.example", 9001)
        for _ in range(30):
            await reactor.sleep(3)
            for link in [link for link in server.connections if link.node is node]:
                link.drop("reset")
        await reactor.sleep(3)
        dialled = [len(reactor.network.listeners[Address(host, 9001)].accepted) for host in hosts]
        assert min(dialled) > 30 // (2 * count)

    run(play)


def test_what_happens_while_there_is_no_control_connection_is_read_after_it() -> None:

    async def play(server: CqlServer, session: triocql.Session, reactor: SimulatedReactor) -> None:
        (control,) = [link for link in server.connections if link.events]
        server.client_routes.set("c1", server.nodes[2], PROXY, 9003, announce=False)
        control.drop("reset")
        await reactor.sleep(5)
        assert ports(server.nodes[2]) == {9003}

    run(play, with_routes=2)


def test_a_cluster_that_has_no_routes_to_tell_is_a_clear_error() -> None:
    reactor = SimulatedReactor()
    server = CqlServer(1, scylla=Scylla(shards=1))
    server.run_on(reactor)
    server.edit("system.client_routes", None)

    async def main() -> None:
        routes = ClientRoutes(connection_ids=["c1"])
        with pytest.raises(ConnectError, match="client_routes"):
            async with triocql.connect(server.contact_points, reactor=reactor, client_routes=routes):
                pass

    reactor.run(main)


# --- Options -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", ["c1", [], [""], [1], {"c1": ""}, {"c1": 7}, 5])
def test_connection_ids_that_are_none(ids: Any) -> None:
    with pytest.raises(OptionError, match="connection"):
        ClientRoutes(connection_ids=ids)


def test_the_name_to_be_checked_is_a_choice() -> None:
    """Certificates have no names of proxies."""
    routes = ClientRoutes(connection_ids=["c1"])
    context = ssl.create_default_context()
    with pytest.raises(OptionError, match="server_hostname"):
        Options.from_arguments(client_routes=routes, ssl_context=context)
    Options.from_arguments(client_routes=routes, ssl_context=context, server_hostname="nodes.example")
    context.check_hostname = False
    Options.from_arguments(client_routes=routes, ssl_context=context)


def test_a_policy_for_addresses_does_not_go_with_routes() -> None:
    policies = triocql.PolicyOptions(addresses=_Addresses())
    with pytest.raises(OptionError, match="does not go with it"):
        Options.from_arguments(client_routes=ClientRoutes(connection_ids=["c1"]), policies=policies)


class _Addresses:
    def translate(self, address: Address, **_: Any) -> Address:
        return address


def test_the_shard_aware_port_is_left_alone_unless_asked_for() -> None:
    routes = ClientRoutes(connection_ids=["c1"])
    assert Options().scylla.uses_shard_aware_port
    assert not Options.from_arguments(client_routes=routes).scylla.uses_shard_aware_port
    asked = ClientRoutes(connection_ids=["c1"], shard_aware_port=True)
    assert Options.from_arguments(client_routes=asked).scylla.uses_shard_aware_port
