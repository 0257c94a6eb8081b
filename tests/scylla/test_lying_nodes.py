"""Nodes that say nonsense of their shards, or another thing each time; and sessions that end in the middle of it."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.scylla.shards import SELECT, Scylla, Shards, check, links, pool_of, shards_of
from triocql.abc import Address
from triocql.testing.server import as_usual, delay

NR, SHARD, MSB = "SCYLLA_NR_SHARDS", "SCYLLA_SHARD", "SCYLLA_SHARDING_IGNORE_MSB"
PORT = "SCYLLA_SHARD_AWARE_PORT"


@pytest.mark.parametrize(
    "said",
    [
        {NR: ["0"]},
        {NR: ["2147483648"]},
        {NR: ["4294967300"]},
        {NR: ["-4"]},
        {NR: ["four"]},
        {NR: ["4", "4"]},
        {NR: []},
        {NR: ["٤"]},  # a digit, and not of ASCII
        {NR: ["9" * 60_000]},
        {SHARD: ["-1"]},
        {SHARD: ["4"]},
        {SHARD: ["0", "1"]},
        {SHARD: ["1.0"]},
        {MSB: ["-1"]},
        {MSB: ["64"]},
        {MSB: ["200"]},
        {MSB: [" 12"]},
        {NR: ["40000"]},
    ],
    ids=lambda said: str(said)[:40],
)
def test_nonsense_is_no_shards_and_one_warning(
    said: dict[str, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    world = Shards(scylla=Scylla(shards=4, supported=said))
    with world.session(10) as session:
        assert (pool_of(session).sharder, shards_of(pool_of(session))) == (None, [2])
        assert len(world.dials()) == 2
        world.read(session, *range(10))
    (warning,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(warning) < 300


@pytest.mark.parametrize("msb", [0, 63])
def test_the_ends_of_what_may_be_ignored(msb: int) -> None:
    world = Shards(scylla=Scylla(shards=4, ignore_msb=msb))
    with world.session() as session:
        world.read(session, *range(50))
        assert {entry.on_target for entry in world.executed} == {True}


class Lies(Mapping[str, Sequence[str] | None]):
    """What is said in place of the truth: another thing each time that it is asked for."""

    def __init__(self, seed: int, lies: Mapping[str, Sequence[Sequence[str] | None]]) -> None:
        self._random = random.Random(seed)
        self._lies = lies

    def __getitem__(self, key: str) -> Sequence[str] | None:
        return self._random.choice(self._lies[key])

    def __iter__(self) -> Iterator[str]:
        return iter([key for key in self._lies if self._random.random() < 0.7])

    def __len__(self) -> int:
        return len(self._lies)


ANYTHING: Mapping[str, Sequence[Sequence[str] | None]] = {
    NR: [["1"], ["3"], ["4"], ["200"], ["0"], None, ["x"], ["3", "4"]],
    SHARD: [["0"], ["1"], ["2"], ["3"], ["199"], ["-1"], None],
    MSB: [["0"], ["12"], ["63"], ["64"], None],
    PORT: [["19042"], ["9042"], ["1"], ["0"], ["x"], None],
}


@pytest.mark.parametrize("seed", range(4))
def test_a_node_that_says_another_thing_each_time(seed: int) -> None:
    """Requests are answered, nothing is dialled without end, and once it tells the truth all is well."""
    world = Shards(2, seed=seed, scylla=[Scylla(shards=4, supported=Lies(seed, ANYTHING)), Scylla(shards=2)])
    with world.session(0, reconnection_maximum=8.0) as session:
        for _ in range(20):
            world.reactor.advance(1)
            check(session)
            world.read(session, *range(5))
        assert len(world.node.accepted) <= 2 * (200 + 64 + 32 * 20)
        before = len(world.node.accepted)
        world.reactor.advance(60)
        assert len(world.node.accepted) - before <= 60 * 32
        assert world.node.scylla is not None
        world.node.scylla.supported = {}
        for link in links(world.node):
            link.drop("reset")
        world.reactor.advance(400)
        assert sorted(shards_of(pool_of(session, node)) for node in range(2)) == [[1] * 2, [1] * 4]


@pytest.mark.parametrize("where", ["nobody", "another node", "its ordinary port", "a stranger"])
def test_a_shard_aware_port_that_is_a_lie(where: str, caplog: pytest.LogCaptureFixture) -> None:
    """The ordinary port serves, and there is one warning."""
    port = {"nobody": 19_999, "another node": 9999, "its ordinary port": 9042, "a stranger": 9998}[where]
    world = Shards(2, scylla=[Scylla(shards=4, supported={PORT: [str(port)]}), Scylla(shards=4)])
    host = world.node.address.host
    if where == "another node":
        world.server.nodes[1].listen_at(Address(host, 9999))
    if where == "a stranger":
        world.reactor.listen(Address(host, 9998), _Stranger)
    with world.session(30) as session:
        assert all(shards_of(pool_of(session, node)) == [1] * 4 for node in range(2))
        world.read(session, *range(50))
        assert {entry.on_target for entry in world.executed} == {True}
    told = [each.getMessage() for each in caplog.records if "shard-aware port of" in each.getMessage()]
    assert len(told) == 1 if where != "its ordinary port" else len(told) <= 1


class _Stranger:
    """A server of something else: it talks first."""

    def __init__(self) -> None:
        self._unsent = b"220 mail.example ESMTP\r\n"

    def connection_made(self, transport: Any) -> None:
        transport.wake()

    def data_to_send(self) -> bytes:
        data, self._unsent = self._unsent, b""
        return data

    def data_received(self, data: Any) -> None:
        """Say nothing."""

    def eof_received(self) -> None:
        """Say nothing."""

    def connection_lost(self, error: Exception | None) -> None:
        """Say nothing."""


# --- In the middle of it ---------------------------------------------------------------------------------------


def test_fewer_shards_while_requests_wait_for_one() -> None:
    """What is in flight, and what waits for room, is answered; nothing goes by the number of a shard that is gone."""
    world = Shards(scylla=Scylla(shards=8), max_in_flight=4)
    with world.session(5) as session:
        world.read(session, 0)
        world.server.when(SELECT).then(delay(0.2), as_usual())

        async def ask(key: int) -> None:
            await session.execute(SELECT, [key], idempotent=True, timeout=60)

        tasks = [world.reactor.start(ask, key) for key in range(400)]
        world.reactor.advance(0.3)
        assert not all(task.done for task in tasks)
        world.node.reshard(2)
        for _ in range(100):
            world.reactor.advance(0.3)
            check(session)
        for task in tasks:
            task.result()
        assert shards_of(pool_of(session)) == [1, 1]


@pytest.mark.parametrize("before", [4, 16])
@pytest.mark.parametrize("after", [1, 20])
def test_other_shards_in_the_middle_of_filling(before: int, after: int) -> None:
    """At whatever moment that is; also if it happens again and again."""
    for moment in (0, 7, 19):
        world = Shards(scylla=Scylla(shards=before), seed=moment)
        for listener in world.reactor.network.listeners.values():
            listener.latency = 0.001
        with world.session(0) as session:
            world.reactor.advance(moment / 1000)
            for shards in (after, before, after):
                world.node.reshard(shards)
                world.reactor.advance(0.02)
                check(session)
            world.reactor.advance(60)
            assert shards_of(pool_of(session)) == [1] * after
            assert len(world.dials()) <= 3 * (before + after) + 20


def test_a_shard_that_is_slow_keeps_nobody_else_waiting() -> None:
    """Its own requests go to others once its connection is full."""
    world = Shards(scylla=Scylla(shards=4), max_in_flight=8)
    with world.session(5) as session:
        world.read(session, *range(40))
        (link,) = links(world.node, 2)
        link.freeze()
        done: list[int] = []

        async def ask(key: int) -> None:
            await session.execute(SELECT, [key], idempotent=True, timeout=2)
            done.append(key)

        tasks = [world.reactor.start(ask, key) for key in range(200)]
        world.reactor.advance(0.5)
        assert len(done) == 200 - 8
        link.thaw()
        world.reactor.advance(1)
        assert len(done) == 200
        assert all(task.done for task in tasks)


@pytest.mark.parametrize("kind", ["truth", "lies", "nat", "deaf", "in vain"])
def test_a_session_ends_at_any_moment_of_filling(kind: str) -> None:
    """Nothing is left of it: no task, no connection."""
    for moment in range(0, 25, 4):
        scylla = {
            "truth": Scylla(shards=16),
            "lies": Scylla(shards=4, supported=Lies(moment, ANYTHING)),
            "nat": Scylla(shards=16, nat=True),
            "deaf": Scylla(shards=16, shard_port="black_hole"),
            "in vain": Scylla(shards=4, load={0: 10_000}, nat=True),
        }[kind]
        world = Shards(scylla=scylla, seed=moment)
        for listener in world.reactor.network.listeners.values():
            listener.latency = 0.001
        with world.session(0):
            world.reactor.advance(moment * (0.0007 if kind != "in vain" else 0.3))
