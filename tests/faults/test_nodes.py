"""Nodes that go and come back, on every loop."""

from __future__ import annotations

from tests.faults.invariants import run
from tests.faults.scene import EVERYWHERE, Scene
from triocql.metadata.node import Node
from triocql.metadata.snapshot import Snapshot


@EVERYWHERE
def test_a_node_that_goes_and_comes_back_under_load_costs_no_request(loop: str) -> None:
    async def row(scene: Scene) -> None:
        nodes = scene.session._context.cluster.nodes
        first, second = nodes.snapshot.nodes
        calls = [scene.write(number) for number in range(64)]
        nodes.apply(Snapshot((second,)))
        calls += [scene.write(number) for number in range(64, 128)]
        nodes.apply(Snapshot((second, Node(first.address))))
        calls += [scene.write(number) for number in range(128, 192)]
        for call in calls:
            await call.wait()
            assert call.succeeded
        await scene.whole()
        await scene.until(lambda: len(scene.connections) == 2)

    run(loop, row, nodes=2)


@EVERYWHERE
def test_a_node_that_goes_while_it_is_dialled_leaves_no_connection(loop: str) -> None:
    async def row(scene: Scene) -> None:
        nodes = scene.session._context.cluster.nodes
        first, second = nodes.snapshot.nodes
        nodes.apply(Snapshot((second,)))
        await scene.until(lambda: len(scene.links) == 1)
        for turns in range(12):
            nodes.apply(Snapshot((second, Node(first.address))))
            for _ in range(turns):
                await scene.session._context.reactor.sleep(0)
            nodes.apply(Snapshot((second,)))
            await scene.until(lambda: len(scene.links) == 1)
            assert [connection.node for connection in scene.connections] == [second]
        nodes.apply(Snapshot((second, Node(first.address))))
        await scene.whole()

    run(loop, row, nodes=2)
