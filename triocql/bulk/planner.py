"""The parts in which a table is read: ranges of tokens, each on one and the same replicas, of about equal width.

A plan is pure: it asks nobody. What builds it is a generator, as those of `triocql.metadata.building`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from triocql.bulk.intervals import Intervals, TokenRange, space_of
from triocql.metadata.node import Distance
from triocql.metadata.replication import LocalStrategy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from triocql.bulk.intervals import TokenSpace
    from triocql.metadata import ReplicaMap, Ring, Tablet
    from triocql.metadata.building import Steps
    from triocql.metadata.node import Node
    from triocql.metadata.partitioners import Partitioner
    from triocql.metadata.snapshot import Snapshot

    Replicas: TypeAlias = "ReplicaMap | TabletRanges | None"

FINEST: Final = 4
"""Ranges of the ring that are narrower than this part of a task's share are joined with their neighbours, though these
are on other nodes: a small table on a large ring is not worth a request for each of its ranges. So there are this many
times the tasks that are wanted at most, however uneven the ring is."""

SLICE: Final = 128
"""How many ranges of the ring are looked at until a step ends: some milliseconds' work."""


class Task(NamedTuple):
    """A part of a table that is read at once.

    Attributes:
        range: its tokens.
        replicas: the nodes that have it, the one first that should be asked first; () if none is known.
    """

    range: TokenRange
    replicas: tuple[Node, ...] = ()


class TabletRanges:
    """The tablets of a table, as far as they are known, in place of the ranges of a ring. What is between them is a
    range, too, of which nobody is known to have it. Two that follow each other are on the same shards only by chance:
    each has replicas of its own.

    Attributes:
        partitioner: that of the ring.
        tokens: the last tokens of the ranges, in order.
    """

    def __init__(self, partitioner: Partitioner, tablets: Sequence[Tablet]) -> None:
        found: dict[int, tuple[Node, ...]] = {}
        for tablet in tablets:
            found.setdefault(tablet.first, ())
            found[tablet.last] = tablet.replicas
        self.partitioner = partitioner
        self.tokens = list(found)
        self._replicas = list(found.values())

    def find(self, token: int) -> tuple[Node, ...]:
        """Return the replicas of the partitions with a token; () if they are not known."""
        at = bisect_left(self.tokens, token)
        return self._replicas[at] if at < len(self.tokens) else ()


def placed(snapshot: Snapshot, keyspace: str, table: str) -> tuple[Ring | TabletRanges, Replicas]:
    """Return the ranges that a table is divided into, and where these are: its tablets, as they are known now, or those
    of the ring. There has to be one."""
    ring = snapshot.ring
    assert ring is not None, "it is `divided`"
    if snapshot.has_tablets(keyspace, table):
        tablets = TabletRanges(ring.partitioner, snapshot.tablets.of(keyspace, table))
        return tablets, tablets
    return ring, snapshot.replica_map(keyspace)


def asked(snapshot: Snapshot, keyspace: str, table: str, part: TokenRange) -> tuple[Node, ...]:
    """Return the nodes to be asked for a range of a table, as `replicas_of`."""
    if not snapshot.has_tablets(keyspace, table):
        return replicas_of(snapshot.replica_map(keyspace), part)
    tablet = snapshot.tablets.find(keyspace, table, part.end)
    return () if tablet is None else _near(tablet.replicas)


def divided(snapshot: Snapshot, keyspace: str) -> TokenSpace | None:
    """Return the tokens by which tables of a keyspace are divided into ranges; None where they are not: tokens are no
    numbers, or are not known; and where each node has rows of its own, as in ``system`` and in virtual tables: these
    are read page by page, from one node.
    """
    known = snapshot.keyspaces.get(keyspace)
    if snapshot.ring is None or known is None or isinstance(known.replication, LocalStrategy):
        return None
    return space_of(snapshot.ring.partitioner)


def plan(ring: Ring | TabletRanges, replica_map: Replicas, done: Intervals, tasks: int) -> Steps[list[Task]]:
    """Plan what is left of a table, in the order of the ring. The first choices of the tasks are such that each node is
    that of about as many tokens.

    Args:
        ring: the ring, or what is in its place, of a partitioner whose tokens are numbers, so that there is a
            `space_of` it.
        replica_map: the replicas in the keyspace of the table; None if nothing is known of them.
        done: what is left out.
        tasks: about how many there should be; there are `FINEST` times as many at most, and one more for each range
            that is left. One is asked where it costs nothing to read all at once: the ranges of the ring count for
            nothing then.
    """
    space = space_of(ring.partitioner)
    assert space is not None
    left = Intervals.of([space.whole]) - done
    planned = _Plan(left.width, tasks)
    for number, part in enumerate(_parts(ring, replica_map, left), 1):
        planned.add(part)
        if number % SLICE == 0:
            yield
    return planned.finish()


def replicas_of(replica_map: ReplicaMap | None, part: TokenRange) -> tuple[Node, ...]:
    """Return the nodes to be asked for a range: the replicas of its end that are in the local data centre, or else
    those elsewhere that may be asked. () if there is none.

    It is looked up again whenever a range is asked for, as nodes come and go while a table is read.
    """
    return () if replica_map is None else _near(replica_map.find(part.end))


def _near(replicas: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return the replicas that are asked."""
    for distance in (Distance.LOCAL, Distance.REMOTE):
        near = tuple([node for node in replicas if node.distance is distance])
        if near:
            return near
    return ()


def _parts(ring: Ring | TabletRanges, replica_map: Replicas, left: Intervals) -> Iterator[Task]:
    """Yield the ranges of the ring, as far as they are left. Those on the same nodes have the same replicas, but for
    tablets, which are on shards."""
    tokens = cast("Sequence[int]", ring.tokens)
    near: dict[tuple[Node, ...], tuple[Node, ...]] = {(): ()}
    same: dict[frozenset[Node], tuple[Node, ...]] = {}
    has_tablets = isinstance(ring, TabletRanges)
    for start, end in left:
        position = bisect_right(tokens, start)
        while start < end:
            stop = min(end, tokens[position]) if position < len(tokens) else end
            found = () if replica_map is None else replica_map.find(stop)
            replicas = near.get(found)
            if replicas is None:
                replicas = _near(found)
                if not has_tablets:
                    replicas = near[found] = same.setdefault(frozenset(replicas), replicas)
            yield Task(TokenRange(start, stop), replicas)
            start = stop
            position += 1


class _Plan:
    """Tasks out of the ranges of a ring."""

    def __init__(self, total: int, tasks: int) -> None:
        self._share = max(-(-total // max(tasks, 1)), 1)
        self._least = total if tasks <= 1 else -(-total // (tasks * FINEST))
        self._held: Task | None = None
        self._tasks: list[Task] = []
        self._load: dict[Node, int] = {}

    def add(self, part: Task) -> None:
        """Add a range, to the one before if it touches that and is on the same nodes. One that is too narrow takes the
        next one, wherever that is.
        """
        held = self._held
        if held is None:
            self._held = part
        elif held.range.end == part.range.start and (
            held.replicas is part.replicas or held.range.width < self._least
        ):
            self._held = Task(TokenRange(held.range.start, part.range.end), part.replicas)
        else:
            self._split(held)
            self._held = part

    def finish(self) -> list[Task]:
        """Return the tasks of all ranges."""
        if self._held is not None:
            self._split(self._held)
        return self._tasks

    def _split(self, task: Task) -> None:
        for part in task.range.split(round(task.range.width / self._share)):
            replicas = sorted(task.replicas, key=lambda node: self._load.get(node, 0))
            if replicas:
                self._load[replicas[0]] = self._load.get(replicas[0], 0) + part.width
            self._tasks.append(Task(part, tuple(replicas)))
