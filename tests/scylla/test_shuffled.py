"""Hints, moves of tablets and nodes that come and go, in any order, against what the cluster says is so."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.scene import Scene, run_on
from tests.scylla.scene import cluster, play, read
from triocql.testing.server import CqlServer
from triocql.testing.server.tokens import token_of

KEYS = range(40)
NODES, SHARDS = 4, 4


def token(key: int) -> int:
    return token_of(key.to_bytes(4, "big"))


keys = st.sampled_from(KEYS)
nodes = st.integers(1, NODES - 1)  # the first one stays
replicas = st.lists(
    st.tuples(st.integers(0, NODES - 1), st.integers(0, SHARDS - 1)),
    min_size=1,
    max_size=3,
    unique_by=lambda replica: replica[0],
)
actions = st.one_of(
    st.tuples(st.just("read"), st.lists(keys, min_size=1, max_size=5)),
    st.tuples(st.just("move"), keys, replicas, st.none() | st.sets(st.integers(0, NODES - 1))),
    st.tuples(st.sampled_from(["split", "merge"]), keys),
    st.tuples(st.sampled_from(["leave", "join", "fail"]), nodes),
    st.tuples(st.sampled_from(["agree", "alter"])),
)


class Cluster:
    """The nodes, and what may happen to them."""

    def __init__(self, server: CqlServer) -> None:
        self.server = server
        self.tablets = server.tablets("ks.t")
        self.columns = 0

    async def do(self, scene: Scene, action: Any) -> None:
        name, *arguments = action
        await getattr(self, name)(scene, *arguments)

    async def read(self, scene: Scene, which: Sequence[int]) -> None:
        """Each request is told of one tablet at most, which is the one that it is about."""
        self.server.log.clear()
        await read(scene, which, 1)
        assert sum(entry.hint is not None for entry in self.server.log) <= len(self.server.log)

    async def move(self, scene: Scene, key: int, replicas: Any, seen_by: set[int] | None) -> None:
        there = [(node, shard) for node, shard in replicas if self.server.nodes[node].member]
        self.tablets.move(token(key), there or [(0, 0)], seen_by=seen_by)

    async def split(self, scene: Scene, key: int) -> None:
        self.tablets.split(token(key))

    async def merge(self, scene: Scene, key: int) -> None:
        if self.tablets.find(token(key)) != self.tablets.all[-1]:
            self.tablets.merge(token(key))

    async def agree(self, scene: Scene) -> None:
        self.tablets.agree()

    async def alter(self, scene: Scene) -> None:
        self.columns += 1
        self.server.alter("ks.t", f"ADD c{self.columns} int")

    async def leave(self, scene: Scene, index: int) -> None:
        """A node leaves for good: its tablets are elsewhere then."""
        node = self.server.nodes[index]
        node.member = False
        self.tablets.agree()
        self.tablets.set(
            tablet._replace(replicas=tuple(each for each in tablet.replicas if each[0] != index) or ((0, 0),))
            for tablet in self.tablets.all
        )
        self.server.announce("TOPOLOGY_CHANGE", "REMOVED_NODE", node, by=self.server.nodes[:1])
        node.stop()
        await scene.sleep(3)

    async def join(self, scene: Scene, index: int) -> None:
        """Another node comes in its place, if it has left; else nothing does."""
        node = self.server.nodes[index]
        if not node.member:
            node.replace()
            node.member = True
            self.server.announce("TOPOLOGY_CHANGE", "NEW_NODE", node, by=self.server.nodes[:1])
            await scene.sleep(3)

    async def fail(self, scene: Scene, index: int) -> None:
        """A node restarts, if it is there."""
        if self.server.nodes[index].member:
            self.server.nodes[index].restart()
            await scene.sleep(3)

    async def check(self, scene: Scene) -> None:
        """Once nothing changes any more, the session comes to know all that it needs, and nothing that is wrong."""
        self.tablets.agree()
        await scene.sleep(60)
        await scene.whole()
        quiet = 0
        for _ in range(40):
            self.server.log.clear()
            await read(scene, KEYS)
            quiet = 0 if any(entry.hint for entry in self.server.log) else quiet + 1
            if quiet == 5:
                break
        assert quiet == 5
        assert all(entry.on_target for entry in self.server.log)
        members = {node.host_id for node in self.server.members}
        known = scene.session.metadata.tablets.of("ks", "t")
        assert all(before.last <= after.first for before, after in pairwise(known))
        assert {replica.host_id for tablet in known for replica in tablet.replicas} <= members


@settings(max_examples=15, deadline=None)
@given(st.lists(actions, max_size=25))
def test_whatever_happens_the_session_finds_its_tablets(history: list[Any]) -> None:
    server = cluster(NODES)
    nodes = Cluster(server)

    async def row(scene: Scene) -> None:
        for action in history:
            await nodes.do(scene, action)
        await nodes.check(scene)

    run_on("simulated", play(server, row, schema=True))
