"""The schema changes: nodes do not agree for long, or never; changes come in storms; what tells of them dies."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.faults.invariants import run
from tests.faults.scene import EVERYWHERE, PATIENCE, Scene
from triocql.config.policies import PolicyOptions
from triocql.metadata.node import NodeState
from triocql.metadata.replication import ReplicationFactor, SimpleStrategy
from triocql.policies.balancing import RoundRobin
from triocql.testing.server import ServerNode

TABLE = "CREATE TABLE IF NOT EXISTS ks.other (k int PRIMARY KEY)"
OLD = UUID(int=7)


def control_node(scene: Scene) -> ServerNode:
    """Return the node of the control connection."""
    control = scene.session._context.cluster._control.connection
    assert control is not None
    (found,) = [node for node in scene.server.nodes if str(node.address) == control.node.name]
    return found


def is_under_control(scene: Scene) -> bool:
    """Return whether there is a control connection: one that is lost is replaced, but not at once."""
    return scene.session._context.cluster._control.connection is not None


def others(scene: Scene) -> list[ServerNode]:
    control = control_node(scene)
    return [node for node in scene.server.nodes if node is not control]


# --- S46 -----------------------------------------------------------------------------------------------------------


@EVERYWHERE
def test_s46_versions_never_agree(loop: str) -> None:
    async def row(scene: Scene) -> None:
        others(scene)[0].schema_version = OLD
        result = await scene.session.execute(TABLE)
        assert result.schema_change is not None
        assert result.schema_agreed is False
        others(scene)[0].schema_version = None
        assert await scene.session.schema_agreement() is True

    run(loop, row, nodes=3, schema_agreement_timeout=0.5)


@EVERYWHERE
@pytest.mark.parametrize("how", ["down", "null", "unknown"])
def test_s46_nodes_that_do_not_count(loop: str, how: str) -> None:
    async def row(scene: Scene) -> None:
        node = others(scene)[0]
        if how == "down":
            node.schema_version = OLD
            node.stop()
            known = {each.host_id: each for each in scene.session.metadata.nodes}[node.host_id]
            await scene.until(lambda: known.state is NodeState.DOWN)
        else:
            null: dict[str, Any] = (
                {"schema_version": None} if how == "null" else {"schema_version": OLD, "host_id": OLD}
            )
            scene.server.edit("system.peers_v2", lambda _node, rows: [{**rows[0], **null}, *rows[1:]])
        began = scene.now()
        assert (await scene.session.execute(TABLE)).schema_agreed is True
        assert scene.now() - began < (5 if scene.virtual else PATIENCE)
        scene.server.edit("system.peers_v2", lambda _node, rows: rows)
        node.schema_version = None

    run(loop, row, nodes=3, schema_agreement_timeout=2 * PATIENCE)


@EVERYWHERE
def test_s46_a_control_node_that_has_not_heard_of_a_change(loop: str) -> None:
    """To it, all nodes have the schema of before still: whether they agree tells the node that has made the change."""

    async def row(scene: Scene) -> None:
        late = control_node(scene)
        late.schema_version = OLD

        def as_it_was(node: ServerNode, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [{**row, "schema_version": OLD} for row in rows] if node is late else rows

        scene.server.edit("system.peers_v2", as_it_was)
        elsewhere = []
        for number in range(6):  # the nodes in turn
            result = await scene.session.execute(f"CREATE TABLE ks.other{number} (k int PRIMARY KEY)")
            if str(result.coordinator) != str(late.address):
                elsewhere.append(result.schema_agreed)
        assert elsewhere
        assert set(elsewhere) == {False}
        late.schema_version = None
        scene.server.edit("system.peers_v2", lambda _node, rows: rows)
        assert (await scene.session.execute(TABLE)).schema_agreed is True

    in_turn = PolicyOptions(balancing=RoundRobin())
    run(loop, row, nodes=3, schema_agreement_timeout=0.5, policies=in_turn)


# --- S26 -----------------------------------------------------------------------------------------------------------


@EVERYWHERE
def test_s26_a_storm_of_changes(loop: str) -> None:
    async def row(scene: Scene) -> None:
        schema = scene.server.schema

        def storm() -> None:
            for number in range(5000):
                name = f"ks{number % 10}"
                text = f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': "
                changes = schema.execute(f"{text}{1 + number % 3}}}")
                if number < 4990:
                    changes += schema.execute(f"DROP KEYSPACE {name}")
                scene.server.announce_schema(*changes)

        scene.server.call(storm)
        reads = [scene.read(number) for number in range(50)]
        await scene.until(lambda: len(scene.session.metadata.keyspaces) == 11)
        for read in reads:
            await read.wait()
        assert scene.session.metadata.keyspaces["ks9"].replication == SimpleStrategy(ReplicationFactor(2))
        read_keyspaces = [
            each for each in scene.server.log.everything if "system_schema.keyspaces" in each.text
        ]
        assert len(read_keyspaces) <= 20

    run(loop, row, nodes=3)


# --- S32 -----------------------------------------------------------------------------------------------------------


@EVERYWHERE
def test_s32_the_control_node_dies_in_the_middle_of_a_change(loop: str) -> None:
    async def row(scene: Scene) -> None:
        control = control_node(scene)
        late, third = others(scene)
        late.schema_version = OLD
        looks = 0

        def look(_node: ServerNode, rows: list[Any]) -> list[Any]:
            nonlocal looks
            looks += 1
            if looks == 2:
                late.schema_version = None
                scene.server.call_later(0.0, control.stop)
            return rows

        scene.server.edit("system.local", look)
        result = await scene.session.execute(TABLE, idempotent=True)
        assert result.schema_agreed is True
        scene.server.edit("system.local", lambda _node, rows: rows)
        await scene.until(lambda: is_under_control(scene) and control_node(scene) in (late, third))

    run(loop, row, nodes=3)
