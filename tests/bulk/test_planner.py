"""A plan has all of what is left, once, whatever the ring is like."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any, cast

import pytest

from tests.metadata.clusters import names, node, ring_of
from tests.metadata.clusters import replicas_of as map_of
from triocql._impl import compiled
from triocql.bulk.intervals import Intervals, TokenRange, space_of
from triocql.bulk.planner import FINEST, SLICE, Task, divided, plan, replicas_of
from triocql.metadata import ReplicaMap, Ring
from triocql.metadata.building import finish
from triocql.metadata.node import Distance, Node
from triocql.metadata.partitioners import BYTE_ORDERED, MAX_LONG, MIN_LONG, MURMUR3, RANDOM, Partitioner
from triocql.metadata.replication import strategy_of
from triocql.metadata.schema import Keyspace
from triocql.metadata.snapshot import Snapshot

NOTHING = Intervals()


def planned(
    ring: Ring, replica_map: ReplicaMap | None = None, done: Intervals = NOTHING, tasks: int = 24
) -> list[Task]:
    return finish(plan(ring, replica_map, done, tasks))


def whole(partitioner: Partitioner = MURMUR3) -> TokenRange:
    space = space_of(partitioner)
    assert space is not None
    return space.whole


def random_ring(random: Random, partitioner: Partitioner) -> Ring:
    """Return a ring of few nodes, often with tokens at the ends of the space, or near to them, or to each other."""
    start, end = whole(partitioner)
    edges = [start, start + 1, end, end - 1, 0, 1]
    tokens: set[int] = set()
    for _ in range(random.choice((1, 1, 2, 3, 8, 40))):
        tokens.add(random.choice(edges) if random.random() < 0.4 else random.randint(start, end))
    holders: list[list[int]] = [[] for _ in range(random.randint(1, 5))]
    for token in tokens:
        random.choice(holders).append(token)
    nodes = [node(str(i), *own, rack=f"r{i % 2}") for i, own in enumerate(holders)]
    return ring_of(nodes, partitioner)


def range_ends(ring: Ring, part: TokenRange) -> list[int]:
    """Return where ranges of the ring end within a range, and its own end."""
    return [*(token for token in ring.tokens if part.start < token < part.end), part.end]  # type: ignore[operator, list-item]


def check(tasks: list[Task], done: Intervals, replica_map: ReplicaMap, partitioner: Partitioner) -> None:
    """Check that tasks and what is done are the whole ring, nothing of it twice."""
    space = whole(partitioner)
    for (start, end), replicas in tasks:
        assert space.start <= start < end <= space.end
        assert set(replicas) == set(replica_map.find(end))
    assert all(left.range.end <= right.range.start for left, right in pairwise(tasks)), "in order, not twice"
    assert sum(task.range.width for task in tasks) + done.within(*space).width == space.width
    assert Intervals.of(task.range for task in tasks) | done == Intervals.of([space])


@pytest.mark.parametrize("seed", range(20 if compiled else 2))
def test_tasks_and_checkpoint_are_the_whole_of_any_ring(seed: int) -> None:
    random = Random(seed)
    for number in range(1_000):
        partitioner = RANDOM if number % 10 == 9 else MURMUR3
        ring = random_ring(random, partitioner)
        replica_map = map_of(ring, kind="SimpleStrategy", replication_factor=str(random.randint(1, 3)))
        wanted = random.choice((1, 2, 7, 24))
        tasks = planned(ring, replica_map, NOTHING, wanted)
        check(tasks, NOTHING, replica_map, partitioner)
        assert len(tasks) <= FINEST * wanted + 1
        done = Intervals.of(task.range for task in tasks if random.random() < 0.5)
        if tasks and random.random() < 0.5:  # a part of a task that was divided in two
            start, end = random.choice(tasks).range
            done = done.plus(start, random.randint(start + 1, end))
        other = random_ring(random, partitioner)
        other_map = map_of(other, kind="SimpleStrategy", replication_factor="2")
        wanted = random.choice((1, 3, 50))
        rest = planned(other, other_map, done, wanted)
        check(rest, done, other_map, partitioner)
        assert len(rest) <= FINEST * wanted + len(Intervals.of([whole(partitioner)]) - done)


@pytest.mark.parametrize(
    "tokens",
    [
        (MIN_LONG,),
        (MAX_LONG,),
        (MIN_LONG, MAX_LONG),
        (0,),
        (),
        (MIN_LONG, MIN_LONG + 1, MAX_LONG - 1, MAX_LONG),
    ],
)
def test_edges_of_the_ring(tokens: tuple[int, ...]) -> None:
    ring = ring_of([node("a", *tokens)])
    replica_map = map_of(ring, kind="SimpleStrategy", replication_factor="1")
    tasks = planned(ring, replica_map, tasks=1)
    assert [task.range for task in tasks] == [whole()]
    assert names(tasks[0].replicas) == ("a" if tokens else "")
    check(planned(ring, replica_map, tasks=9), NOTHING, replica_map, MURMUR3)


def test_neighbours_on_the_same_nodes_are_one_range() -> None:
    nodes = [node(name, *range(at, 1_000, 3)) for at, name in enumerate("abc")]
    ring = ring_of(nodes)
    everywhere = map_of(ring, kind="SimpleStrategy", replication_factor="3")
    tasks = planned(ring, everywhere, tasks=6)
    assert len(tasks) == 6
    assert {len(task.replicas) for task in tasks} == {3}


def test_each_range_is_read_from_its_own_nodes() -> None:
    random = Random(5)
    nodes = [node(name, *(random.randint(MIN_LONG, MAX_LONG) for _ in range(16))) for name in "abc"]
    ring = ring_of(nodes)
    once = map_of(ring, kind="SimpleStrategy", replication_factor="1")
    tasks = planned(ring, once, tasks=100)
    elsewhere = 0
    for task in tasks:
        for start, end in pairwise([task.range.start, *range_ends(ring, task.range)]):
            elsewhere += (end - start) * (once.find(end) != task.replicas)
    assert elsewhere < whole().width // FINEST


@pytest.mark.parametrize("nodes", [3, 40])
def test_small_tables_do_not_cost_a_request_for_each_range_of_a_large_ring(nodes: int) -> None:
    random = Random(7)
    ring = ring_of(
        [node(str(i), *(random.randint(MIN_LONG, MAX_LONG) for _ in range(256))) for i in range(nodes)]
    )
    replica_map = map_of(ring, kind="SimpleStrategy", replication_factor="2")
    for tasks in (1, 2, 6, 100):
        found = planned(ring, replica_map, tasks=tasks)
        check(found, NOTHING, replica_map, MURMUR3)
        assert len(found) == 1 if tasks == 1 else tasks <= len(found) <= tasks * FINEST + 1


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_nodes_are_first_choices_of_about_as_many_tokens(factor: int, seed: int) -> None:
    random = Random(seed)
    nodes = [node(name, *(random.randint(MIN_LONG, MAX_LONG) for _ in range(64))) for name in "abc"]
    ring = ring_of(nodes)
    tasks = planned(ring, map_of(ring, kind="SimpleStrategy", replication_factor=str(factor)), tasks=24)
    loads = dict.fromkeys(nodes, 0)
    for task in tasks:
        loads[task.replicas[0]] += task.range.width
    owned = 1.5 if factor == 1 else 1.2  # of one replica there is no choice
    assert max(loads.values()) <= owned * whole().width / 3


def test_replicas_are_those_nearby() -> None:
    ring = ring_of([node("a", 0), node("b", 10), node("c", 20), node("d", 30)])
    a, b, c, d = ring.nodes
    replica_map = map_of(ring, kind="SimpleStrategy", replication_factor="3")
    b.distance = Distance.REMOTE
    c.distance = Distance.IGNORED
    assert replicas_of(replica_map, TokenRange(0, 10)) == (d,)
    d.distance = Distance.IGNORED
    assert replicas_of(replica_map, TokenRange(0, 10)) == (b,)
    b.distance = Distance.IGNORED
    assert replicas_of(replica_map, TokenRange(0, 10)) == ()
    assert replicas_of(replica_map, TokenRange(30, 40)) == (a,), "behind the last token is the first range"
    assert replicas_of(None, TokenRange(0, 10)) == ()
    tasks = planned(ring, None, tasks=2)
    assert {task.replicas for task in tasks} == {()}
    assert len(tasks) == 2


def test_nothing_is_left_of_a_table_that_is_done() -> None:
    ring = ring_of([node("a", 0)])
    assert planned(ring, None, Intervals.of([whole()])) == []


@pytest.mark.parametrize("alike", [False, True])
def test_a_step_looks_at_few_ranges(alike: bool) -> None:
    ring = ring_of([node(str(i), *range(i, 6_000, 3)) for i in range(3)])
    looked = 0

    class Replicas:
        def find(self, token: int) -> tuple[Node, ...]:
            nonlocal looked
            looked += 1
            return ring.nodes[:1] if alike else ring.nodes[: looked % 2 + 1]

    before = 0
    for _ in plan(ring, cast("Any", Replicas()), NOTHING, 24):
        assert looked - before <= SLICE
        before = looked
    assert looked == 6_001


@pytest.mark.parametrize(
    ("partitioner", "kind", "is_divided"),
    [
        (MURMUR3, "SimpleStrategy", True),
        (RANDOM, "NetworkTopologyStrategy", True),
        (MURMUR3, "org.example.OwnStrategy", True),
        (BYTE_ORDERED, "SimpleStrategy", False),
        (MURMUR3, "LocalStrategy", False),
        (None, "SimpleStrategy", False),
    ],
)
def test_what_is_divided_into_ranges(partitioner: Partitioner | None, kind: str, is_divided: bool) -> None:
    """A table of which each node has rows of its own, such as ``system.local``, is not."""
    strategy = strategy_of({"class": kind, "replication_factor": "1"})
    ring = (
        None
        if partitioner is None
        else ring_of([node("a", "00" if partitioner is BYTE_ORDERED else 0)], partitioner)
    )
    snapshot = Snapshot(ring=ring, keyspaces={"shop": Keyspace("shop", strategy)})
    assert (divided(snapshot, "shop") is not None) == is_divided
    assert divided(snapshot, "none") is None
