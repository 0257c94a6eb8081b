"""Nodes that agree on different extensions, and come back with others: each request is as its connection reads it."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

import triocql
from tests.faults.scene import Scene, run_on
from tests.scylla.scene import TABLETS, cluster, play
from triocql import Batch
from triocql.errors import Overloaded
from triocql.policies import ConstantSpeculation
from triocql.testing.server import ErrorCode, Scylla, as_usual, delay, error

BATCHED = "UPDATE ks.t SET v = ? WHERE k = ?"
KINDS = [
    {"tablets": tablets, "metadata_ids": ids, "lwt_mask": mask}
    for tablets in ((), (1,), (2,), (1, 2))
    for ids in (False, True)
    for mask in (None, 1 << 31)
]


def kind(dice: random.Random) -> dict[str, Any]:
    return dice.choice(KINDS)


@pytest.mark.parametrize("seed", range(4))
def test_every_request_is_read_by_the_node_that_it_came_to(seed: int) -> None:
    """Reads, writes, batches and copies of slow requests, on one node or on any, while nodes restart as other kinds."""
    dice = random.Random(seed)
    server = cluster(5, schema=TABLETS, scylla=[*(Scylla(shards=2, **kind(dice)) for _ in range(4)), None])
    used: set[frozenset[str]] = set()

    async def one(scene: Scene, batched: Any) -> None:
        key = dice.randrange(1000)
        node = dice.choice([None, *scene.session.metadata.nodes])
        what = dice.randrange(4)
        if what == 0:
            await scene.session.execute(Batch().add(batched, ["x", key]).add(scene.insert, [key]), node=node)
        elif what == 1:
            await scene.session.execute(scene.insert, [key], node=node)
        else:
            with suppress(
                *[Overloaded] if node is not None else []
            ):  # of one node, that is what there is to say
                assert (await scene.session.execute(scene.select, [key], node=node)).scalar() == key

    async def row(scene: Scene) -> None:
        batched = await scene.session.prepare(BATCHED)
        for _ in range(12):
            server.when("SELECT k FROM ks.t WHERE k = ?", times=2).then(error(ErrorCode.OVERLOADED))
            server.when("SELECT k FROM ks.t WHERE k = ?", times=2).then(delay(0.5), as_usual())
            for _ in range(20):
                await one(scene, batched)
            node = server.nodes[dice.randrange(4)]
            assert node.scylla is not None
            node.stop()
            node.scylla = replace(node.scylla, **kind(dice))
            node.start()
            await scene.whole()
        used.update(entry.extensions for entry in server.log)

    speculation = triocql.PolicyOptions(speculation=ConstantSpeculation(0.1, max_attempts=2))
    options = {"policies": speculation, "protocol_version": 4, "tablets_v2": True}
    run_on("simulated", play(server, row, **options))
    assert len(used) >= 4
