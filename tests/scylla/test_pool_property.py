"""Whatever happens to nodes with shards, and to connections: nothing is dialled without end, nothing leaks, no request
fails for want of a shard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scylla.shards import SELECT, Scylla, Shards, check, connections_of, links, pool_of, shards_of
from triocql import Session, errors
from triocql.testing.server.node import ServerNode

NODES = 2
MAXIMUM = 4.0
"""Seconds of back-off at most."""


class Play:
    """A session with nodes of ScyllaDB, and what happens to it."""

    def __init__(self, seed: int, shards: int, per_shard: int) -> None:
        self.per_shard = per_shard
        self.world = Shards(
            NODES,
            scylla=Scylla(shards=shards),
            seed=seed,
            connections_per_shard=per_shard,
            connect_timeout=1.0,
            reconnection_maximum=MAXIMUM,
        )
        self.tasks: list[Any] = []
        self.resharded = False

    def check(self, session: Session) -> None:
        """Check what holds at any time."""
        check(session)
        for pool in session._context.executor.router.pools:
            size = self.per_shard if pool.sharder else 2
            assert all(count <= size for count in shards_of(pool))


Step = Callable[[Play, Session], None]


def _scylla(node: ServerNode) -> Scylla:
    assert node.scylla is not None
    return node.scylla


def _wait(seconds: float) -> Step:
    return lambda play, session: play.world.reactor.advance(seconds)


def _lose(node: int, number: int) -> Step:
    def step(play: Play, session: Session) -> None:
        found = links(play.world.server.nodes[node])
        if found:
            found[number % len(found)].drop("reset")

    return step


def _drain(number: int) -> Step:
    def step(play: Play, session: Session) -> None:
        found = connections_of(session)
        if found:
            found[number % len(found)].drain()

    return step


def _reshard(node: int, shards: int) -> Step:
    def step(play: Play, session: Session) -> None:
        play.world.server.nodes[node].reshard(shards)

    return step


def _tell_other_shards(node: int, ignore_msb: int) -> Step:
    def step(play: Play, session: Session) -> None:
        _scylla(play.world.server.nodes[node]).ignore_msb = ignore_msb

    return step


def _set(node: int, name: str, value: Any) -> Step:
    return lambda play, session: setattr(_scylla(play.world.server.nodes[node]), name, value)


def _way(node: int, way: Literal["open", "refuse", "black_hole", "tls"]) -> Step:
    return lambda play, session: play.world.server.nodes[node].set_shard_port(way)


def _stop(node: int, on: bool) -> Step:
    def step(play: Play, session: Session) -> None:
        server = play.world.server.nodes[node]
        server.start() if on else server.stop()

    return step


def _read(key: int) -> Step:
    def step(play: Play, session: Session) -> None:
        play.tasks.append(
            play.world.reactor.start(lambda: session.execute(SELECT, [key], idempotent=True, timeout=5.0))
        )

    return step


WHICH = st.integers(0, NODES - 1)
STEPS = st.one_of(
    st.builds(_wait, st.floats(0.0, 3.0)),
    st.builds(_lose, WHICH, st.integers(0, 20)),
    st.builds(_drain, st.integers(0, 20)),
    st.builds(_reshard, WHICH, st.integers(1, 6)),
    st.builds(_tell_other_shards, WHICH, st.sampled_from([0, 12])),
    st.builds(_set, WHICH, st.just("nat"), st.booleans()),
    st.builds(_set, WHICH, st.just("misplace"), st.sampled_from([0, 1, 3])),
    st.builds(_set, WHICH, st.just("load"), st.sampled_from([{}, {0: 2}, {0: 100}])),
    st.builds(_way, WHICH, st.sampled_from(["open", "refuse", "black_hole", "tls"])),
    st.builds(_stop, WHICH, st.booleans()),
    st.builds(_read, st.integers(0, 100)),
)


def _run(steps: list[Step], seed: int, shards: int, per_shard: int) -> None:
    play = Play(seed, shards, per_shard)
    world = play.world
    with world.session() as session:
        for step in steps:
            before = sum(len(node.accepted) for node in world.server.nodes)
            began = world.reactor.now()
            step(play, session)
            play.check(session)
            dialled = sum(len(node.accepted) for node in world.server.nodes) - before
            # For each node: its shards, and the rounds in vain; some for what ended meanwhile.
            seconds = world.reactor.now() - began
            assert dialled <= NODES * 6 * per_shard * (8 + 4 * seconds), (dialled, seconds)
        _heal(play)
        world.reactor.advance(60)
        play.check(session)
        for number in range(NODES):
            pool = pool_of(session, number)
            assert pool.sharder is not None
            assert shards_of(pool) == [per_shard] * len(pool.shards), pool
            assert pool.spare == []
        for task in play.tasks:
            assert task.done
            assert task._error is None or not _is_reachable(task._error), task._error
        world.read(session, *range(10))


def _is_reachable(error: BaseException) -> bool:
    """Whether a request failed although a node could be reached: what it met had nothing to do with the network."""
    network = (errors.ConnectionLost, errors.NoNodeAvailable, errors.RequestTimeout, errors.ConnectError)
    return not isinstance(error, network)


def _heal(play: Play) -> None:
    for node in play.world.server.nodes:
        scylla = _scylla(node)
        scylla.nat, scylla.misplace, scylla.load = False, 0, {}
        node.set_shard_port("open")
        node.start()


QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(
    steps=st.lists(STEPS, max_size=12),
    seed=st.integers(0, 1000),
    shards=st.integers(1, 6),
    per_shard=st.integers(1, 2),
)
def test_whatever_happens_to_shards(steps: list[Step], seed: int, shards: int, per_shard: int) -> None:
    _run(steps, seed, shards, per_shard)


@pytest.mark.long
@settings(QUICK, max_examples=2000, derandomize=False)
@given(
    steps=st.lists(STEPS, max_size=30),
    seed=st.integers(0, 1000),
    shards=st.integers(1, 6),
    per_shard=st.integers(1, 2),
)
def test_whatever_happens_to_shards_for_a_long_time(
    steps: list[Step], seed: int, shards: int, per_shard: int
) -> None:
    _run(steps, seed, shards, per_shard)
