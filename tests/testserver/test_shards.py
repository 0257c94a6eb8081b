"""The test server's Scylla mode: what a node offers, and to which shard a connection gets, as a bare client sees it."""

from __future__ import annotations

import errno
import json
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.testserver.scylla import startup
from tests.testserver.world import SCHEMA, Client, World, message
from triocql.abc import Address
from triocql.testing.server import CqlServer, Opcode, Scylla, rows
from triocql.testing.server.scylla.shards import shard_of
from triocql.testing.server.scylla.timeouts import timeouts, without_timeout
from triocql.testing.server.wire import Reader

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "scylla" / "vectors.json").read_text())


def supported(client: Client) -> dict[str, list[str]]:
    client.received.clear()
    (frame,) = client.ask(Opcode.OPTIONS)
    reader = Reader(frame.body)
    return {reader.string(): reader.string_list() for _ in range(reader.short())}


def dial(world: World, node: int = 0, local_port: int | None = None, port: int | None = None) -> Client:
    """Return a client at the shard-aware port of a node, or at another one, that has said nothing yet."""
    client = Client(world, 4)
    at = world.server.nodes[node]
    address = Address(at.address.host, port or at.shard_aware_port or 0)

    async def main() -> None:
        await world.reactor.connect(address, client, timeout=5, local_port=local_port)

    world.reactor.run(main)
    return client


@pytest.mark.parametrize("each", VECTORS["shard"], ids=lambda each: f"{each['token']}-{each['nr_shards']}")
def test_shards_of_tokens(each: dict[str, Any]) -> None:
    assert shard_of(int(each["token"]), each["nr_shards"], each["ignore_msb"]) == each["shard"]


# --- What is offered -----------------------------------------------------------------------------------------


def test_supported_has_all_that_real_nodes_say() -> None:
    world = World(scylla=Scylla(shards=4, tablets=(1, 2)))
    (node,) = world.server.nodes
    assert supported(world.client()) == {
        "CQL_VERSION": ["3.3.1"],
        "COMPRESSION": ["lz4", "snappy"],
        "CLIENT_OPTIONS": [""],
        "SCYLLA_HOST_ID": [str(node.host_id)],
        "SCYLLA_SHARD": ["0"],
        "SCYLLA_NR_SHARDS": ["4"],
        "SCYLLA_SHARDING_ALGORITHM": ["biased-token-round-robin"],
        "SCYLLA_SHARDING_IGNORE_MSB": ["12"],
        "SCYLLA_PARTITIONER": ["org.apache.cassandra.dht.Murmur3Partitioner"],
        "SCYLLA_SHARD_AWARE_PORT": ["19042"],
        "SCYLLA_RATE_LIMIT_ERROR": ["ERROR_CODE=61440"],
        "SCYLLA_LWT_ADD_METADATA_MARK": ["LWT_OPTIMIZATION_META_BIT_MASK=2147483648"],
        "TABLETS_ROUTING_V1": [""],
        "TABLETS_ROUTING_V2_EXPERIMENTAL": [""],
        "SCYLLA_USE_METADATA_ID": [""],
    }


def test_what_a_node_does_not_offer_and_what_it_lies_about() -> None:
    silent = Scylla(shard_aware=False, tablets=(), metadata_ids=False, lwt_mask=None, rate_limit_code=None)
    silent.supported = {"SCYLLA_NR_SHARDS": ["x"], "SCYLLA_SHARD": None, "SCYLLA_HOST_ID": []}
    said = supported(World(scylla=silent).client())
    assert said["SCYLLA_NR_SHARDS"] == ["x"]
    assert said["SCYLLA_HOST_ID"] == []
    assert "SCYLLA_SHARD" not in said
    assert not {each for each in said if "PORT" in each or "TABLETS" in each or "METADATA" in each}


def test_each_node_may_be_another_kind() -> None:
    world = World(3, scylla=[Scylla(shards=4), Scylla(shards=7), None])
    found = [supported(world.client(node=node)) for node in range(3)]
    assert [each.get("SCYLLA_NR_SHARDS") for each in found] == [["4"], ["7"], None]
    assert found[2]["PROTOCOL_VERSIONS"] == ["3/v3", "4/v4", "5/v5"]
    with pytest.raises(ValueError, match="what 1 nodes are like, and there are 2"):
        CqlServer(2, scylla=[None])
    wrong: Any
    for wrong in (True, [Scylla(), 4]):
        with pytest.raises(TypeError, match=r"takes a Scylla\(shards=\.\.\.\), or a list"):
            CqlServer(2, scylla=wrong)
    with pytest.raises(ValueError, match="ScyllaDB speaks"):
        CqlServer(scylla=Scylla(), versions=(5,))


def test_what_no_shard_aware_port_does_is_refused() -> None:
    wrong: Any = "closed"
    with pytest.raises(ValueError, match="shard_port='closed': it can be 'open', 'refuse'"):
        Scylla(shard_port=wrong)
    with pytest.raises(ValueError, match="it can be 'open', 'refuse', 'black_hole', 'tls'"):
        CqlServer(scylla=Scylla()).nodes[0].set_shard_port(wrong)


def test_tablets_are_offered_by_versions() -> None:
    wrong: Any
    for wrong in (True, False, 2):
        with pytest.raises(TypeError, match=rf"tablets={wrong}: it is the versions, such as \(1, 2\)"):
            Scylla(tablets=wrong)
    with pytest.raises(ValueError, match="there is no version 3"):
        Scylla(tablets=(1, 3))


def test_nodes_have_settings_of_their_own() -> None:
    given = Scylla(shards=4)
    first, second = CqlServer(2, scylla=given).nodes
    assert first.scylla is not None
    first.scylla.shards = 8
    assert (second.scylla, given.shards) == (Scylla(shards=4), 4)


def test_v5_is_refused_in_v4_without_a_stream_and_the_connection_closed() -> None:
    world = World(scylla=Scylla())
    client = world.client(start=False)
    client.send(Opcode.OPTIONS, version=5)
    (frame,) = client.frames()
    assert (frame.version, frame.stream) == (0x84, 0)
    assert message(frame) == "Invalid or unsupported protocol version: 5"
    assert client.eof


def test_what_startup_asks_for_is_in_use_if_it_is_offered() -> None:
    world = World(scylla=Scylla(tablets=(1, 2), metadata_ids=False))
    client = world.client(start=False)
    options = {"TABLETS_ROUTING_V1": "", "SCYLLA_USE_METADATA_ID": "", "CLIENT_ID": "x"}
    assert startup(client, **options).opcode == Opcode.READY
    (connection,) = world.server.connections
    assert connection.extensions == {"TABLETS_ROUTING_V1"}
    assert world.server.log.everything[-1].extensions == {"TABLETS_ROUTING_V1"}


def test_both_versions_of_tablets_routing_are_refused() -> None:
    world = World(scylla=Scylla(tablets=(1, 2)))
    answer = startup(world.client(start=False), TABLETS_ROUTING_V1="", TABLETS_ROUTING_V2_EXPERIMENTAL="")
    assert message(answer) == "STARTUP has both TABLETS_ROUTING_V1 and TABLETS_ROUTING_V2_EXPERIMENTAL"


# --- Which shard ---------------------------------------------------------------------------------------------


def test_the_ordinary_port_gives_the_shard_with_the_fewest_connections_the_lowest_first() -> None:
    world = World(scylla=Scylla(shards=3, load={0: 2}))
    clients = [world.client() for _ in range(4)]
    assert [supported(client)["SCYLLA_SHARD"] for client in clients] == [["1"], ["2"], ["1"], ["2"]]
    assert [each.shard for each in world.server.nodes[0].accepted] == [1, 2, 1, 2]
    (first, *_) = world.server.nodes[0].on_shard(1)
    first.drop("reset")
    world.reactor.settle()
    assert supported(world.client())["SCYLLA_SHARD"] == ["1"]


@pytest.mark.parametrize(
    ("scylla", "expected"),
    [
        (Scylla(shards=7), [0, 1, 2, 3]),
        (Scylla(shards=7, nat=True), [1, 2, 3, 4]),
        (Scylla(shards=7, misplace=2), [0, 2, 2, 4]),
    ],
)
def test_the_client_chooses_by_its_port_at_the_shard_aware_port(scylla: Scylla, expected: list[int]) -> None:
    world = World(scylla=scylla)
    clients = [dial(world, local_port=49154 + number) for number in range(4)]  # 49154 = 7 * 7022
    assert [int(supported(client)["SCYLLA_SHARD"][0]) for client in clients] == expected
    taken = world.server.nodes[0].accepted
    assert [(each.port, each.peer_port, each.shard_aware) for each in taken] == [
        (19042, 49154 + number, True) for number in range(4)
    ]


def test_a_restart_with_other_shards() -> None:
    world = World(scylla=Scylla(shards=7))
    client = dial(world, local_port=49157)
    (node,) = world.server.nodes
    node.reshard(3, ignore_msb=0)
    world.reactor.settle()
    assert client.lost
    said = supported(dial(world, local_port=49157))
    assert [said[f"SCYLLA_{key}"] for key in ("SHARD", "NR_SHARDS", "SHARDING_IGNORE_MSB")] == [
        ["2"],
        ["3"],
        ["0"],
    ]
    assert node.shard_aware_port == 19042


def test_the_shard_aware_port_refuses_or_is_deaf_or_speaks_tls() -> None:
    world = World(scylla=Scylla(shards=2, shard_port="refuse"))
    (node,) = world.server.nodes
    assert supported(world.client())["SCYLLA_SHARD_AWARE_PORT"] == ["19042"]
    with pytest.raises(ConnectionRefusedError):
        dial(world)
    node.set_shard_port("black_hole")
    assert not dial(world).ask(Opcode.OPTIONS)
    node.set_shard_port("tls")
    client = dial(world)
    client.send(Opcode.OPTIONS)
    assert client.eof
    assert bytes(client.received[:1]) == b"\x15"
    node.set_shard_port("open")
    assert dial(world).ask(Opcode.OPTIONS)
    node.set_shard_port("refuse")
    with pytest.raises(ConnectionRefusedError):
        dial(world)
    with pytest.raises(ValueError, match="has no shards"):
        World().server.nodes[0].set_shard_port("open")


def test_a_node_that_is_away_takes_nobody_at_any_port() -> None:
    world = World(scylla=Scylla())
    (node,) = world.server.nodes
    proxy = node.listen_at(Address("10.9.9.9", 7777))
    client = Client(world, 4)

    async def by_the_proxy() -> None:
        await world.reactor.connect(proxy, client, timeout=5)

    world.reactor.run(by_the_proxy)
    assert supported(client)["SCYLLA_HOST_ID"] == [str(node.host_id)]
    assert node.accepted[-1].port == 7777
    node.stop()
    with pytest.raises(ConnectionRefusedError):
        dial(world)
    with pytest.raises(ConnectionRefusedError):
        world.reactor.run(by_the_proxy)
    node.move("127.0.0.9")
    assert supported(dial(world))["SCYLLA_SHARD_AWARE_PORT"] == ["19042"]


# --- The simulated network's ports ---------------------------------------------------------------------------


def test_a_port_of_the_client_is_used_once_for_an_address() -> None:
    world = World(2, scylla=Scylla())
    first = dial(world, local_port=50000)
    with pytest.raises(OSError, match="in use") as caught:
        dial(world, local_port=50000)
    assert caught.value.errno == errno.EADDRINUSE
    dial(world, node=1, local_port=50000)
    world.server.nodes[0].connections[0].drop("reset")
    world.reactor.settle()
    assert first.lost
    dial(world, local_port=50000)
    assert len({world.client() for _ in range(3)} and {c.peer_port for c in world.server.connections}) == 4


# --- Real sockets --------------------------------------------------------------------------------------------


def ask(address: Address, port: int = 0, context: ssl.SSLContext | None = None) -> dict[str, list[str]]:
    """Return what SUPPORTED says at an address, to a socket bound to a port."""
    with socket.create_connection(
        (address.host, address.port), timeout=10, source_address=("", port)
    ) as plain:
        sock = plain if context is None else context.wrap_socket(plain, server_hostname="127.0.0.1")
        sock.sendall(struct.pack(">BBhBI", 4, 0, 1, Opcode.OPTIONS, 0))
        data = b""
        while len(data) < 9 or len(data) < 9 + struct.unpack(">I", data[5:9])[0]:
            data += sock.recv(65536)
        sock.close()
    reader = Reader(data[9:])
    return {reader.string(): reader.string_list() for _ in range(reader.short())}


def free_port(remainder: int, shards: int) -> int:
    """Return a port that is free, and leaves a remainder."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port: int = sock.getsockname()[1]
        if port % shards == remainder:
            return port


def test_shards_on_real_sockets() -> None:
    with CqlServer(2, scylla=Scylla(shards=4)) as server:
        node = server.nodes[1]
        assert ask(node.address)["SCYLLA_SHARD"] == ["0"]
        assert node.shard_aware_tls_port is None
        port = free_port(3, 4)
        said = ask(Address(node.address.host, node.shard_aware_port or 0), port)
        assert said["SCYLLA_SHARD"] == ["3"]
        assert said["SCYLLA_SHARD_AWARE_PORT"] == [str(node.shard_aware_port)]
        assert (node.accepted[-1].peer_port, node.accepted[-1].shard) == (port, 3)
        assert not server.nodes[0].accepted


def test_both_shard_aware_ports_of_a_server_with_tls() -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with CqlServer(ssl_context=context, scylla=Scylla(shards=2)) as server:
        (node,) = server.nodes
        said = ask(node.address, context=trusting)
        plain, secure = (int(said[f"SCYLLA_SHARD_AWARE_PORT{each}"][0]) for each in ("", "_SSL"))
        assert (plain, secure) == (node.shard_aware_port, node.shard_aware_tls_port)
        host = node.address.host
        assert ask(Address(host, secure), free_port(1, 2), trusting)["SCYLLA_SHARD"] == ["1"]
        assert ask(Address(host, plain), free_port(1, 2))["SCYLLA_SHARD"] == ["1"]
        assert [(each.port, each.shard_aware) for each in node.accepted] == [
            (node.address.port, False),
            (secure, True),
            (plain, True),
        ]


# --- Tables and statements -----------------------------------------------------------------------------------


def test_there_is_no_peers_v2_and_what_there_is_has_no_ports() -> None:
    world = World(2, schema=SCHEMA, scylla=Scylla())
    client = world.client()
    for text in ("SELECT * FROM system.peers_v2", "SELECT rpc_port FROM system.local"):
        client.received.clear()
        assert "not exist" in message(client.query(text)[0]) or "Undefined" in message(client.query(text)[0])
    client.received.clear()
    (frame,) = client.query("SELECT supported_features, tokens FROM system.peers")
    assert b"TABLETS" in frame.body
    world.server.edit("system.peers_v2", None)


@pytest.mark.parametrize(
    ("text", "said", "rest"),
    [
        ("SELECT a FROM t USING TIMEOUT 50ms", ["50ms"], "SELECT a FROM t"),
        (
            "INSERT INTO t (a) VALUES (1) USING TTL 5 AND TIMEOUT 1s",
            ["1s"],
            "INSERT INTO t (a) VALUES (1) USING TTL 5",
        ),
        (
            "UPDATE t USING timeout ? AND TIMESTAMP 5 SET a = 1 WHERE k = 2",
            ["?"],
            "UPDATE t USING TIMESTAMP 5 SET a = 1 WHERE k = 2",
        ),
        ("SELECT a FROM t WHERE k = 'using timeout 5s'", [], "SELECT a FROM t WHERE k = 'using timeout 5s'"),
        ("SELECT timeout FROM t", [], "SELECT timeout FROM t"),
    ],
)
def test_timeouts_of_statements(text: str, said: list[str], rest: str) -> None:
    assert timeouts(text) == said
    assert without_timeout(text) == rest


def test_a_timeout_is_for_scylla_only_and_in_whole_milliseconds() -> None:
    own, asked = (
        "SELECT key FROM system.local WHERE key='local' USING TIMEOUT 500ms",
        "SELECT 1 USING TIMEOUT 5us",
    )
    scylla, cassandra = World(scylla=Scylla()).client(), World().client()
    assert scylla.query(own)[0].opcode == Opcode.RESULT
    scylla.received.clear()
    assert message(scylla.query(asked)[0]) == "5us: a timeout is in whole milliseconds"
    assert "mismatched input 'TIMEOUT'" in message(cassandra.query(own)[0])
    cassandra.received.clear()
    prepared = struct.pack(">i", len(own)) + own.encode()
    assert "mismatched input 'TIMEOUT'" in message(cassandra.ask(Opcode.PREPARE, prepared)[0])


def test_a_rule_about_a_timeout_answers_on_any_server() -> None:
    world = World()
    world.server.when("SELECT 1 USING TIMEOUT 1s").then(rows({"one": "int"}, [[1]]))
    assert world.client().query("SELECT 1 USING TIMEOUT 1s")[0].opcode == Opcode.RESULT
