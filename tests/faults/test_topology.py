"""The cluster changes, or its tables are wrong: S25, S27, S29 to S32, S36 and S39, on virtual time."""

from __future__ import annotations

import itertools
import re
import uuid
from typing import Any

import pytest

from tests.faults import invariants
from tests.faults.invariants import peak
from tests.faults.scene import Scene
from triocql import errors
from triocql.abc import Address
from triocql.metadata.node import Node, NodeState
from triocql.testing.server import ErrorCode, Gate, Opcode, ServerNode, as_usual, error, rows
from triocql.testing.server.connection import ServerConnection

PEERS = re.compile("FROM system.peers_v2")
LOCAL = re.compile(r"\* FROM system.local")
MIB = 1024 * 1024


def run(row: Any, nodes: int = 3, **options: Any) -> None:
    """Run a row on virtual time."""
    invariants.run("simulated", row, nodes=nodes, **options)


def known(scene: Scene) -> dict[Any, Node]:
    """Return the nodes that the session knows, by host_id."""
    nodes = scene.session._context.cluster.nodes.snapshot.nodes
    by_id = {node.host_id: node for node in nodes}
    assert len(by_id) == len(nodes)
    assert len({node.address for node in nodes}) == len(nodes)
    return by_id


def node_of(scene: Scene, server: ServerNode) -> Node:
    return known(scene)[server.host_id]


def state_of(node: Node) -> NodeState:
    """Return the state now: to a type checker an attribute stays what it was said to be."""
    return node.state


def control(scene: Scene) -> ServerConnection:
    """Return the server's end of the control connection."""
    (link,) = [link for link in scene.server.connections if link.events]
    return link


def readings(scene: Scene) -> int:
    """Return how often the peers were read."""
    return len([entry for entry in scene.server.log.everything if PEERS.search(entry.text)])


def connections(scene: Scene, node: Node) -> list[Any]:
    pool = scene.session._context.executor.router.pools.get(node)
    return [] if pool is None else list(pool.connections)


async def serves(scene: Scene, count: int = 12) -> None:
    """Check that the session is usable."""
    for call in [scene.read(number) for number in range(count)]:
        assert (await call.wait()).value == call.token


def warnings(caplog: pytest.LogCaptureFixture, logger: str = "triocql.cluster.topology") -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == logger]


# --- S25, S27: events --------------------------------------------------------------------------------------------


def test_s25_a_flood_of_events_while_the_tables_are_read() -> None:
    async def row(scene: Scene) -> None:
        link = control(scene)
        gate = Gate()
        scene.server.when(PEERS, times=1).then(gate, as_usual())
        before = readings(scene)
        scene.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", Address("10.9.9.9", 9042))
        await scene.until(lambda: readings(scene) == before + 1)
        undisturbed = (await scene.read(0).wait()).took
        body = b"\0\x0dSTATUS_CHANGE\0\x02UP\4\x0a\x09%b\0\0\x23\x52"
        for _ in range(20):  # 100,000 a second
            calls = [scene.read(number) for number in range(3)]
            for number in range(2_000):
                link.send_event(body % number.to_bytes(2, "big"))
            for call in calls:
                assert (await call.wait()).succeeded
                assert call.took <= 2 * undisturbed
            await serves(scene, 3)
            await scene.sleep(0.02)
        scene.server.call(gate.open)
        await scene.sleep(0.5)
        assert readings(scene) <= before + 2
        assert control(scene) is link

    with peak(64 * MIB):
        run(row)


def test_s27_a_node_that_flaps_is_asked_about_once_a_window() -> None:
    async def row(scene: Scene) -> None:
        server = scene.server.nodes[1]
        node, before = node_of(scene, server), readings(scene)
        held = connections(scene, node)
        for number in range(100):
            scene.server.announce("STATUS_CHANGE", "DOWN" if number % 2 else "UP", server)
            await scene.sleep(0.01)
        assert node.state is NodeState.UP
        assert connections(scene, node) == held
        await scene.sleep(2)
        assert readings(scene) - before <= 3
        scene.server.announce("STATUS_CHANGE", "DOWN", server)
        await scene.sleep(2)
        assert node.state is NodeState.UP  # there is a connection to it
        assert connections(scene, node) == held

    run(row)


def test_s27_an_unknown_node_is_asked_about_and_once_more_if_it_is_not_listed_yet() -> None:
    async def row(scene: Scene) -> None:
        before = readings(scene)
        scene.server.announce("STATUS_CHANGE", "UP", Address("10.9.9.9", 9042))
        await scene.sleep(20)
        assert readings(scene) - before == 2
        scene.server.announce("STATUS_CHANGE", "DOWN", Address("10.9.9.9", 9042))
        await scene.sleep(20)
        assert readings(scene) - before == 2
        assert len(known(scene)) == 3

    run(row)


def test_s27_a_new_node_is_told_before_its_row_is_there() -> None:
    async def before(scene: Scene) -> None:
        scene.server.nodes[2].member = False

    async def row(scene: Scene) -> None:
        late = scene.server.nodes[2]
        assert len(known(scene)) == 2
        scene.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", late)
        await scene.sleep(0.5)
        assert len(known(scene)) == 2
        late.member = True
        await scene.sleep(2)
        assert node_of(scene, late).state is NodeState.UP

    run(row, before=before)


def test_s27_events_that_cannot_be_read_are_logged_and_the_connection_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def row(scene: Scene) -> None:
        link = control(scene)
        for body in (
            b"",
            b"\0\x0dSTATUS_CHANGE",
            b"\0\x0dSTATUS_CHANGE\0\x02UP\5",
            b"\0\x03NEW\0\0",
            b"x" * 9000,
        ):
            link.send_event(body)
        await scene.sleep(2)
        assert control(scene) is link
        assert any("cannot be read" in line for line in warnings(caplog, "triocql.cluster.control"))

    run(row)


# --- S29, S30: nodes that move and are replaced -------------------------------------------------------------------


@pytest.mark.parametrize("change", ["UP", "NEW_NODE", "MOVED_NODE"])
def test_s29_a_node_at_another_address_is_the_same_node(change: Any) -> None:
    async def row(scene: Scene) -> None:
        server = scene.server.nodes[2]
        node = node_of(scene, server)
        server.move("127.0.0.77")
        scene.server.announce("STATUS_CHANGE" if change == "UP" else "TOPOLOGY_CHANGE", change, server)
        await scene.sleep(2)
        assert node_of(scene, server) is node
        assert (node.address, node.told) == (server.address, server.address)
        assert len(known(scene)) == 3
        assert [link.state.value for link in connections(scene, node)] == ["open"]
        assert len([link for link in server.connections if not link.events]) == 1
        await serves(scene)

    run(row)


@pytest.mark.parametrize("changes", list(itertools.permutations(["NEW_NODE", "REMOVED_NODE", "UP"])))
@pytest.mark.parametrize("pause", [0.0, 3.0])
def test_s30_a_replaced_node_in_every_order_of_events(changes: tuple[Any, ...], pause: float) -> None:
    async def row(scene: Scene) -> None:
        server = scene.server.nodes[2]
        old = node_of(scene, server)
        server.replace()
        others = scene.server.nodes[:2]
        for change in changes:
            kind: Any = "STATUS_CHANGE" if change == "UP" else "TOPOLOGY_CHANGE"
            scene.server.announce(kind, change, server, by=others)
            await scene.sleep(pause)
        await scene.sleep(5)
        new = node_of(scene, server)
        assert new is not old
        assert old not in known(scene).values()
        assert connections(scene, old) == []
        (healthy,) = connections(scene, new)
        scene.server.announce("TOPOLOGY_CHANGE", "REMOVED_NODE", server, by=others)
        await scene.sleep(5)
        assert connections(scene, new) == [healthy]
        await serves(scene)

    run(row)


# --- S31: tables that are wrong -----------------------------------------------------------------------------------


def one_row(**columns: Any) -> Any:
    """Return an edit of the row of the third node, as the others tell it."""

    def edit(node: ServerNode, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        third = node.server.members[2].host_id
        return [{**row, **columns} if row["host_id"] == third else row for row in rows]

    return edit


def more_rows(make: Any) -> Any:
    """Return an edit that adds rows, made of the last one."""
    return lambda node, rows: rows + [{**rows[-1], **each} for each in make(node, rows)]


WRONG = {
    "no host_id": (one_row(host_id=None), 2, "it has no host_id"),
    "no address": (one_row(native_address=None), 2, "it has no address for clients"),
    "port -1": (one_row(native_port=-1), 2, "its port is -1"),
    "port 0": (one_row(native_port=0), 2, "its port is 0"),
    "port 65536": (one_row(native_port=65536), 2, "its port is 65536"),
    "any": (one_row(native_address="0.0.0.0"), 3, "the one for its peers, 127.0.0.3, is used"),
    "any, v6": (one_row(native_address="::"), 3, "the one for its peers, 127.0.0.3, is used"),
    "nothing but any": (one_row(native_address="0.0.0.0", peer="0.0.0.0"), 2, "it has no other one"),
    "the node itself": (
        more_rows(lambda node, rows: [{"peer": "10.1.1.1", "host_id": node.host_id}]),
        3,
        "it is the node itself",
    ),
    "a host_id twice": (
        more_rows(lambda node, rows: [{"peer": "10.1.1.1", "native_address": "10.1.1.1"}]),
        3,
        "another row has its host_id",
    ),
    "an address twice": (
        more_rows(lambda node, rows: [{"peer": "10.1.1.1", "host_id": uuid.uuid4()}]),
        3,
        "another node has its address",
    ),
}


@pytest.mark.parametrize(("edit", "count", "told"), WRONG.values(), ids=WRONG)
def test_s31_a_row_that_is_wrong_is_told_of_once(
    edit: Any, count: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def before(scene: Scene) -> None:
        scene.server.edit("system.peers_v2", edit)

    async def row(scene: Scene) -> None:
        assert len(known(scene)) == count
        for _ in range(3):
            scene.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", scene.server.nodes[1])
            await scene.sleep(100)
        (line,) = warnings(caplog)
        assert told in line
        await serves(scene)
        scene.server.edit("system.peers_v2", lambda node, rows: rows)
        scene.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", scene.server.nodes[2])
        await scene.sleep(5)
        assert len(known(scene)) == 3

    run(row, before=before)


def test_s31_a_node_without_tokens_is_known() -> None:
    async def before(scene: Scene) -> None:
        scene.server.edit("system.peers_v2", one_row(tokens=None))

    async def row(scene: Scene) -> None:
        node = node_of(scene, scene.server.nodes[2])
        assert (node.tokens, node.state) == ((), NodeState.UP)

    run(row, before=before)


def test_s31_servers_without_the_newer_table(caplog: pytest.LogCaptureFixture) -> None:
    async def before(scene: Scene) -> None:
        scene.server.edit("system.peers_v2", None)

    async def row(scene: Scene) -> None:
        assert len(known(scene)) == 3
        before = readings(scene)
        scene.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", scene.server.nodes[1])
        await scene.sleep(5)
        assert readings(scene) == before  # it is known that there is none
        assert warnings(caplog) == []

    run(row, before=before)


def test_s31_ten_thousand_rows(caplog: pytest.LogCaptureFixture) -> None:
    many = more_rows(
        lambda node, rows: [{"peer": f"10.1.{n // 256}.{n % 256}", "host_id": None} for n in range(10_000)]
    )

    async def row(scene: Scene) -> None:
        scene.server.edit("system.peers_v2", many)
        scene.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", scene.server.nodes[1])
        await serves(scene)
        await scene.sleep(3)
        assert len(known(scene)) == 3
        assert len(warnings(caplog)) == 21

    run(row)


@pytest.mark.parametrize("removed", [False, True])
def test_s31_one_empty_reading_empties_nothing(removed: bool) -> None:
    async def row(scene: Scene) -> None:
        scene.server.edit("system.peers_v2", lambda node, rows: [])
        before = readings(scene)
        for server in scene.server.nodes[1:]:
            change: Any = "REMOVED_NODE" if removed else "NEW_NODE"
            scene.server.announce("TOPOLOGY_CHANGE", change, server)
        await scene.until(lambda: readings(scene) == before + 1)
        await scene.sleep(0.3)
        assert len(known(scene)) == (1 if removed else 3)
        await serves(scene)
        await scene.sleep(5)
        assert len(known(scene)) == 1
        scene.server.edit("system.peers_v2", lambda node, rows: rows)
        scene.server.announce("STATUS_CHANGE", "UP", scene.server.nodes[1])
        await scene.sleep(5)
        assert len(known(scene)) == 3

    run(row)


def test_s31_a_reading_that_fails_empties_nothing() -> None:
    async def row(scene: Scene) -> None:
        first = control(scene)
        scene.server.when(PEERS, times=2).then(error(ErrorCode.OVERLOADED))
        scene.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", scene.server.nodes[1])
        await scene.sleep(5)
        assert len(known(scene)) == 3
        assert control(scene).node is not first.node

    run(row)


def test_s31_a_contact_point_whose_tables_cannot_be_read_is_not_the_one() -> None:
    async def before(scene: Scene) -> None:
        scene.server.when(LOCAL, node=0, times=1).then(error(ErrorCode.OVERLOADED))

    async def row(scene: Scene) -> None:
        assert len(known(scene)) == 3
        assert control(scene).node is scene.server.nodes[1]

    run(row, before=before)


def test_s31_no_contact_point_has_tables_that_can_be_read() -> None:
    async def before(scene: Scene) -> None:
        rule = scene.server.when(LOCAL).then(error(ErrorCode.OVERLOADED))
        with pytest.raises(errors.ConnectError, match="no contact point tells") as info:
            await scene.connecting().__aenter__()
        assert len(info.value.attempts) == 3
        scene.server.rules.remove(rule)
        await scene.sleep(1)
        assert scene.clients == 0

    async def row(scene: Scene) -> None:
        await serves(scene)

    run(row, before=before)


# --- S32: the node of the control connection dies -----------------------------------------------------------------


@pytest.mark.parametrize("when", ["idle", "mid-refresh", "idle, and it stays away"])
def test_s32_the_control_connection_is_on_another_node_within_a_second(when: str) -> None:
    async def row(scene: Scene) -> None:
        link = control(scene)
        first = next(node for node in scene.server.nodes if node is link.node)
        if when == "mid-refresh":
            gate, before = Gate(), readings(scene)
            scene.server.when(PEERS, times=1).then(gate)
            scene.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", scene.server.nodes[1])
            await scene.until(lambda: readings(scene) == before + 1)
        late = next(node for node in scene.server.nodes if node is not first)
        old = node_of(scene, late)
        late.replace()  # an event that nobody is told of
        calls = [scene.read(number) for number in range(30)]
        first.stop()
        if when == "idle":
            first.start()
        began = scene.now()
        await scene.until(
            lambda: any(link.events and link.node is not first for link in scene.server.connections)
        )
        assert scene.now() - began <= 1.0
        await scene.sleep(2)
        assert node_of(scene, late) is not old  # all is read again
        assert len(known(scene)) == 3
        for call in calls:
            assert (await call.wait()).value == call.token

    run(row)


def test_s32_requests_go_on_while_there_is_no_control_connection() -> None:
    async def row(scene: Scene) -> None:
        for node in scene.server.nodes:
            node.refuse()
        control(scene).drop("reset")
        for _ in range(60):
            await serves(scene)
            await scene.sleep(1)
        assert not any(link.events for link in scene.server.connections)
        for node in scene.server.nodes:
            node.start()
        await scene.until(lambda: any(link.events for link in scene.server.connections), 61)
        assert control(scene)

    run(row)


# --- S36, S39: nodes that cannot be used --------------------------------------------------------------------------


def test_s36_a_node_that_does_not_speak_the_version_of_the_others_is_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def before(scene: Scene) -> None:
        scene.server.nodes[2].versions = (3, 4)

    async def row(scene: Scene) -> None:
        old = scene.server.nodes[2]
        node = node_of(scene, old)
        assert state_of(node) is NodeState.FORCED_DOWN
        (line,) = [line for line in warnings(caplog, "triocql.cluster.refiller") if "left alone" in line]
        assert node.name in line
        await scene.sleep(600)
        await serves(scene)
        assert [entry for entry in scene.server.log.everything if entry.node == 2] == []
        assert {connection.framing.version for connection in scene.connections} == {5}
        old.versions = (3, 4, 5)
        scene.server.announce("STATUS_CHANGE", "UP", old)
        await scene.sleep(1)
        assert node.state is NodeState.UP
        assert {link.version for link in scene.server.connections} == {5}

    async def opened(scene: Scene) -> None:
        await row(scene)

    run(opened, before=before)


def test_s36_a_version_that_is_a_beta_there_is_stepped_down_from_once() -> None:
    beta = "Beta version of the protocol used (5/v5-beta), but USE_BETA flag is unset"

    async def before(scene: Scene) -> None:
        refused = error(ErrorCode.PROTOCOL_ERROR, beta)
        scene.server.when(opcode=Opcode.OPTIONS).then(
            lambda request: [refused] if request.version == 5 else [as_usual()]
        )

    async def row(scene: Scene) -> None:
        await serves(scene)
        assert {link.version for link in scene.server.connections} == {4}
        assert {connection.framing.version for connection in scene.connections} == {4}

    run(row, before=before)


def test_s36_a_forced_version_that_no_node_speaks_is_an_error_at_once() -> None:
    async def before(scene: Scene) -> None:
        for node in scene.server.nodes:
            node.versions = (3, 4)
        began, asked = scene.now(), len(scene.server.log.everything)
        with pytest.raises(errors.UnsupportedVersion, match="leave protocol_version= out"):
            await scene.connecting(protocol_version=5).__aenter__()
        assert scene.now() - began < 1.0
        assert len(scene.server.log.everything) - asked <= len(scene.server.nodes)
        await scene.sleep(1)
        assert scene.clients == 0

    async def row(scene: Scene) -> None:
        await serves(scene)
        assert {connection.framing.version for connection in scene.connections} == {4}

    run(row, before=before)


@pytest.mark.parametrize("column", ["cluster_name", "partitioner"])
def test_s39_a_node_of_another_cluster_is_left_out(column: str, caplog: pytest.LogCaptureFixture) -> None:
    def edit(node: ServerNode, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, column: "another"} for row in rows] if node.index == 2 else rows

    async def before(scene: Scene) -> None:
        scene.server.edit("system.local", edit)

    async def row(scene: Scene) -> None:
        node = node_of(scene, scene.server.nodes[2])
        assert state_of(node) is NodeState.FORCED_DOWN
        assert connections(scene, node) == []
        (line,) = [line for line in warnings(caplog, "triocql.cluster.refiller") if "left alone" in line]
        assert "'another'" in line
        await serves(scene, 30)
        await scene.sleep(600)
        assert not [entry for entry in scene.server.log if entry.node == 2]
        scene.server.edit("system.local", lambda node, rows: rows)
        scene.server.announce("STATUS_CHANGE", "UP", scene.server.nodes[2])
        await scene.sleep(1)
        assert node.state is NodeState.UP

    run(row, before=before)


def test_the_ring_is_that_of_all_nodes_and_follows_them() -> None:
    async def row(scene: Scene) -> None:
        before = scene.session.metadata
        assert before.cluster_name == "test server"
        assert before.ring is not None
        assert set(before.ring.nodes) == set(before.nodes)
        scene.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", scene.server.nodes[1])
        await scene.sleep(2)
        assert scene.session.metadata.ring is before.ring
        scene.server.nodes[1].tokens = [12345]
        scene.server.announce("TOPOLOGY_CHANGE", "MOVED_NODE", scene.server.nodes[1])
        await scene.sleep(2)
        after = scene.session.metadata
        assert after is not before
        assert after.ring is not None
        assert 12345 in after.ring.tokens

    run(row)


# --- Nodes that cannot be believed -------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
def test_s30_nodes_that_are_all_replaced_at_once_are_found_where_the_former_ones_were(count: int) -> None:
    async def row(scene: Scene) -> None:
        for server in scene.server.nodes:
            server.replace()
        await scene.sleep(10)
        assert set(known(scene)) == {server.host_id for server in scene.server.nodes}
        assert all(node.state is NodeState.UP for node in known(scene).values())
        await serves(scene)

    run(row, count)


def test_s31_a_node_that_is_another_one_each_time_is_not_asked_without_end() -> None:
    def edit(node: ServerNode, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "host_id": uuid.uuid4()} for row in rows]

    async def row(scene: Scene) -> None:
        before = readings(scene)
        scene.server.edit("system.local", edit)
        scene.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", scene.server.nodes[1])
        await scene.sleep(20)
        assert readings(scene) - before <= 40
        scene.server.edits.clear()
        await scene.sleep(5)

    run(row)


def test_s31_a_node_with_columns_of_other_types_is_told_of_all_the_same() -> None:
    async def row(scene: Scene) -> None:
        server, link = scene.server, control(scene)
        first = next(node for node in server.nodes if node is link.node)
        columns = {"host_id": "uuid", "release_version": "frozen<list<text>>", "rpc_address": "inet"}
        told = [first.host_id, ["5.0"], first.address.host]
        server.when(LOCAL, node=first.index).then(rows(columns, [told]))
        server.announce("TOPOLOGY_CHANGE", "NEW_NODE", Address("10.9.9.9", 9042))
        await scene.sleep(3)
        await serves(scene)

    run(row)


def test_s32_a_node_that_ends_each_control_connection_is_not_dialled_without_end() -> None:
    async def row(scene: Scene) -> None:
        dialled = 0
        for _ in range(1000):
            for link in scene.server.connections:
                if link.events:
                    dialled += 1
                    link.drop("reset")
            await scene.sleep(0.01)
        assert dialled <= 21
        await scene.sleep(2)
        assert control(scene)

    run(row)
