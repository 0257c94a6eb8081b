"""`Session.events` tells what happens to nodes, to the schema and to the connections."""

from __future__ import annotations

from typing import Any

from tests.cluster.world import World, other
from triocql import Session
from triocql.metadata.events import (
    Connected,
    DialFailed,
    Disconnected,
    NodeAdded,
    NodeDown,
    NodeMoved,
    NodeRemoved,
    NodeUp,
    SchemaChange,
)
from triocql.metadata.node import Node
from triocql.testing.server import ServerNode

TABLE = "CREATE TABLE ks.t (k int PRIMARY KEY)"


def listening(world: World, session: Session) -> list[Any]:
    """Have somebody listen; return what comes."""
    seen: list[Any] = []

    async def listen() -> None:
        async with session.events() as events:
            async for event in events:
                seen.append(event)

    world.start(listen())
    return seen


def known(session: Session, node: ServerNode) -> Node:
    (found,) = [each for each in session.metadata.nodes if each.host_id == node.host_id]
    return found


def of(seen: list[Any], *kinds: Any) -> list[Any]:
    return [each for each in seen if isinstance(each, kinds)]


def test_changes_of_the_schema() -> None:
    world = World()
    with world.session() as session:
        seen = listening(world, session)
        world.run(session.execute(TABLE))
        world.run(session.execute("DROP TABLE ks.t"))
        world.reactor.advance(1.0)
        assert [(each.change, each.target, each.name) for each in of(seen, SchemaChange)] == [
            ("CREATED", "TABLE", "t"),
            ("DROPPED", "TABLE", "t"),
        ]


def test_a_node_that_goes_down_and_comes_back() -> None:
    world = World()
    with world.session() as session:
        seen = listening(world, session)
        node = other(world, session)
        here = known(session, node)
        node.stop()
        world.reactor.advance(10.0)
        assert isinstance(seen[0], Disconnected)
        assert seen[1] == NodeDown(here)
        failed = of(seen, DialFailed)
        assert {each.node for each in failed} == {here}
        assert failed[0].delay > 0
        assert of(seen, NodeDown) == [NodeDown(here)]
        node.start()
        world.server.announce("STATUS_CHANGE", "UP", node)
        world.reactor.advance(3.0)
        assert of(seen, NodeUp) == [NodeUp(here)]
        assert of(seen, Connected) == [Connected(here)]


def test_nodes_that_join_move_and_leave() -> None:
    world = World(4)
    joining = world.server.nodes[3]
    joining.member = False
    world.points = world.server.contact_points[:3]
    with world.session() as session:
        seen = listening(world, session)
        joining.member = True
        world.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", joining)
        world.reactor.advance(3.0)
        here = known(session, joining)
        assert of(seen, NodeAdded) == [NodeAdded(here)]
        former = here.address
        joining.move("127.0.0.77")
        world.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", joining)
        world.reactor.advance(3.0)
        assert of(seen, NodeMoved) == [NodeMoved(here, former)]
        assert known(session, joining) is here
        joining.member = False
        world.server.announce("TOPOLOGY_CHANGE", "REMOVED_NODE", joining)
        world.reactor.advance(3.0)
        assert of(seen, NodeRemoved) == [NodeRemoved(here)]
