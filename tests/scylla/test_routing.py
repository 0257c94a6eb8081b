"""Where prepared statements are executed: on a replica of their partition, and on the shard that has it."""

from __future__ import annotations

import random

import pytest

from tests.faults.scene import ON_SOCKETS, Scene, run_on
from tests.scylla.scene import RING, TABLETS, cluster, places, play, read, share_on_target
from triocql.testing.server import Scylla, ServedTablets
from triocql.testing.server.tokens import token_of

BOTH = pytest.mark.parametrize("schema", [RING, TABLETS], ids=["ring", "tablets"])


def token(key: int) -> int:
    return token_of(key.to_bytes(4, "big", signed=True))


def fit_in(tablets: ServedTablets, node: int, shards: int) -> None:
    """Have a node with fewer shards than before have its replicas on these."""
    tablets.set(
        tablet._replace(
            replicas=tuple((at, shard % shards if at == node else shard) for at, shard in tablet.replicas)
        )
        for tablet in tablets.all
    )


@BOTH
def test_reads_come_to_the_right_node_and_shard(schema: str) -> None:
    """5,000 of each kind, after those that tell of the tablets: at least 99 %, and every shard has its part."""
    server = cluster(schema=schema, num_tokens=4)

    async def row(scene: Scene) -> None:
        await read(scene, range(500))
        server.log.clear()
        await read(scene, range(500, 5_500))
        assert share_on_target(server) >= 0.99
        assert sum(entry.hint is not None for entry in server.log) == 0
        found = places(server)
        assert len(found) == 12
        assert min(found.values()) > 50

    run_on("simulated", play(server, row))


def test_each_tablet_is_told_of_once_at_most_and_again_once_it_has_moved() -> None:
    server = cluster()
    dice = random.Random(1)

    async def row(scene: Scene) -> None:
        tablets = server.tablets("ks.t")
        await read(scene, range(500), 1)
        assert 0 < tablets.hints <= 16
        for step in range(60):
            key = dice.randrange(500)
            before = tablets.hints
            if step % 20 == 19:
                dice.choice([tablets.split, tablets.merge])(token(key))
            else:
                replicas = [(node, dice.randrange(4)) for node in dice.sample(range(3), 2)]
                tablets.move(token(key), replicas)
            server.log.clear()
            await read(scene, [key] * 6, 1)
            assert [entry.on_target for entry in server.log].count(False) == tablets.hints - before <= 1

    run_on("simulated", play(server, row))


def test_while_nodes_disagree_a_request_is_told_once_at_most() -> None:
    server = cluster()

    async def row(scene: Scene) -> None:
        tablets = server.tablets("ks.t")
        await read(scene, range(100))
        tablets.move(token(7), [(0, 1), (1, 1)], seen_by=[1, 2])
        tablets.hints = 0
        server.log.clear()
        await read(scene, [7] * 50, 1)
        assert tablets.hints <= 50
        tablets.agree()
        await read(scene, [7] * 2, 1)
        server.log.clear()
        await read(scene, [7] * 20, 1)
        assert share_on_target(server) == 1.0

    run_on("simulated", play(server, row))


@ON_SOCKETS
@BOTH
def test_reads_on_every_reactor(loop: str, schema: str) -> None:
    """Through a tablet that moves, a shard whose connection breaks, and a node that comes back with other shards."""
    server = cluster(schema=schema)

    async def row(scene: Scene) -> None:
        await read(scene, range(200))
        server.log.clear()
        await read(scene, range(200))
        assert share_on_target(server) >= 0.99
        if schema is TABLETS:
            tablets = server.tablets("ks.t")
            tablet = tablets.find(token(7))
            assert tablet is not None
            tablets.move(token(7), [((node + 1) % 3, (shard + 1) % 4) for node, shard in tablet.replicas])
            await read(scene, [7] * 2, 1)
        for link in server.nodes[1].on_shard(2):
            link.drop("reset")
        await read(scene, range(50))
        server.nodes[2].reshard(3)
        if schema is TABLETS:
            fit_in(server.tablets("ks.t"), 2, 3)
        await scene.until(lambda: all(server.nodes[2].on_shard(shard) for shard in range(3)))
        await scene.whole()
        await read(scene, range(200))
        server.log.clear()
        await read(scene, range(200))
        assert share_on_target(server) >= 0.99

    run_on(loop, play(server, row))


@ON_SOCKETS
def test_connections_are_on_the_shards_that_system_clients_tells(loop: str) -> None:
    server = cluster(2)

    async def row(scene: Scene) -> None:
        told = 0
        for node in scene.session.metadata.nodes:
            found = await scene.session.execute(
                "SELECT port, shard_id FROM system.clients", node=node, row_type=tuple
            )
            shards: dict[int, int] = dict(found.rows)
            at = next(each for each in server.nodes if each.host_id == node.host_id)
            assert shards == {link.peer_port: link.shard for link in at.connections}
            told += len(shards)
        assert told >= 8
        assert {link.shard for link in server.connections} == set(range(4))

    run_on(loop, play(server, row))


def test_shard_awareness_off_is_one_connection_a_node() -> None:
    server = cluster()

    async def row(scene: Scene) -> None:
        await read(scene, range(100))
        assert [len(node.connections) for node in server.nodes] == [2, 1, 1]

    run_on("simulated", play(server, row, shard_awareness=False))


def test_one_shard_needs_nothing_of_all_this() -> None:
    server = cluster(scylla=Scylla(shards=1))

    async def row(scene: Scene) -> None:
        # A tablet is told of by a node that has it not, so that by chance one may not be known after many reads.
        while len(scene.session.metadata.tablets.of("ks", "t")) < 16:
            await read(scene, range(200))
        server.log.clear()
        await read(scene, range(200))
        assert share_on_target(server) >= 0.99

    run_on("simulated", play(server, row))
