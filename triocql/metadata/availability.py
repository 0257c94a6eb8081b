"""Which part of a keyspace can be read and written while some nodes are away, at a consistency."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, NamedTuple

from triocql.metadata.replication import EverywhereStrategy, LocalStrategy, NetworkTopologyStrategy
from triocql.protocol.constants import Consistency

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from triocql.metadata import ReplicaMap, Ring, Tablet
    from triocql.metadata.node import Node
    from triocql.metadata.replication import ReplicationFactor, ReplicationStrategy

_COUNTS = {
    Consistency.ONE: 1,
    Consistency.TWO: 2,
    Consistency.THREE: 3,
    Consistency.LOCAL_ONE: 1,
}
_LOCAL = (Consistency.LOCAL_ONE, Consistency.LOCAL_QUORUM, Consistency.LOCAL_SERIAL)


class Need(NamedTuple):
    """So many replicas of a range have to be there.

    Attributes:
        replicas: how many.
        data_centre: where; None for anywhere.
    """

    replicas: int
    data_centre: str | None = None


def share(
    replicas: ReplicaMap, present: Collection[Node], consistency: Consistency, data_centre: str | None
) -> float:
    """Return the share of the ranges, from 0 to 1, that have enough replicas among the nodes that are `present`.

    Transient replicas are taken to be there, as nothing tells which ones these are.

    Args:
        replicas: of all ranges.
        present: the nodes that are there.
        consistency: how many replicas are enough.
        data_centre: what is local to those who ask.
    """
    if not present:
        return 0.0
    ring = replicas.ring
    counted = len(ring.tokens)
    together = every = (1 << 8 * counted) // 255  # a byte with a 1 for each range
    for need in needs_of(replicas.strategy, ring, consistency, data_centre):
        together &= int.from_bytes(_served(replicas, present, need), "big")
    return 1.0 if together == every else together.bit_count() / counted


class Covered(NamedTuple):
    """What is known of the tokens of some tablets.

    Attributes:
        known: how many tokens they have.
        served: how many of these can be read and written.
    """

    known: int
    served: int


def covered(tablets: Iterable[Tablet], present: Collection[Node], needs: Collection[Need]) -> Covered:
    """Return how many tokens these tablets have, and to how many there are enough replicas among the nodes that are
    `present`."""
    known = served = 0
    enough: dict[tuple[Node, ...], bool] = {}  # most tablets are on the same nodes as many others
    for tablet in tablets:
        replicas, width = tablet.replicas, tablet.last - tablet.first
        if replicas not in enough:
            there = [node.data_centre for node in replicas if node in present]
            enough[replicas] = all(
                (len(there) if need.data_centre is None else there.count(need.data_centre)) >= need.replicas
                for need in needs
            )
        known += width
        served += width if enough[replicas] else 0
    return Covered(known, served)


def likely(
    strategy: NetworkTopologyStrategy,
    nodes: Iterable[Node],
    present: Collection[Node],
    needs: Iterable[Need],
) -> float:
    """Return the share of ranges, of which it is not known where they are, that is to be expected to have enough
    replicas among the nodes that are `present`: as if chance had chosen their nodes within each data centre."""
    there: dict[str | None, list[bool]] = {}
    for node in nodes:
        there.setdefault(node.data_centre, []).append(node in present)
    share = 1.0
    for need in needs:
        chances = [1.0]  # of so many replicas, by number
        for name, factor in strategy.data_centres:
            if need.data_centre in (None, name):
                chances = _together(chances, _chances(there.get(name, []), factor.all))
        share *= sum(chances[max(need.replicas, 0) :])
    return min(share, 1.0)


def _chances(there: list[bool], replicas: int) -> list[float]:
    """Return how probable it is that of so many of these nodes none is there, or one, or two, ..."""
    total, present = len(there), sum(there)
    replicas = min(replicas, total)
    ways = comb(total, replicas)
    return [
        comb(present, count) * comb(total - present, replicas - count) / ways for count in range(replicas + 1)
    ]


def _together(one: list[float], other: list[float]) -> list[float]:
    """Return how probable the sums of two numbers are that have nothing to do with each other."""
    sums = [0.0] * (len(one) + len(other) - 1)
    for first, chance in enumerate(one):
        for second, also in enumerate(other):
            sums[first + second] += chance * also
    return sums


def needs_of(
    strategy: ReplicationStrategy, ring: Ring, consistency: Consistency, data_centre: str | None
) -> tuple[Need, ...]:
    """Return what has to be there, all of it, besides a node that is asked."""
    if isinstance(strategy, LocalStrategy):
        return ()
    by_centre = isinstance(strategy, NetworkTopologyStrategy)
    factors = _factors(strategy, ring)
    every = list(factors.values())
    match consistency:
        case Consistency.ANY:
            return ()
        case Consistency.ONE | Consistency.TWO | Consistency.THREE | Consistency.LOCAL_ONE:
            here = data_centre if consistency in _LOCAL else None
            return (Need(_COUNTS[consistency], here),)
        case Consistency.LOCAL_QUORUM | Consistency.LOCAL_SERIAL:
            own = [factor for name, factor in factors.items() if name == data_centre]
            return (Need(_quorum(own if by_centre else every), data_centre),)
        case Consistency.EACH_QUORUM if by_centre:
            return tuple(Need(_quorum([factor]), name) for name, factor in factors.items() if factor.all)
        case Consistency.ALL:
            return (Need(sum(factor.all - factor.transient for factor in every)),)
    return (Need(_quorum(every)),)


def _factors(strategy: ReplicationStrategy, ring: Ring) -> Mapping[str, ReplicationFactor]:
    """Return how many replicas there are, by data centre where these have numbers of their own."""
    if isinstance(strategy, NetworkTopologyStrategy):
        return dict(strategy.data_centres)
    factor = strategy.factor("")
    return {"": factor._replace(all=len(ring.nodes)) if isinstance(strategy, EverywhereStrategy) else factor}


def _quorum(factors: Iterable[ReplicationFactor]) -> int:
    """Return how many replicas that are not transient make more than half of all."""
    known = tuple(factors)
    return sum(each.all for each in known) // 2 + 1 - sum(each.transient for each in known)


def _served(replicas: ReplicaMap, present: Collection[Node], need: Need) -> bytes:
    """Return for each range 1 if it has what is needed, else 0."""
    nodes = replicas.ring.nodes
    weights = bytes(node in present and need.data_centre in (None, node.data_centre) for node in nodes)
    if isinstance(replicas.strategy, EverywhereStrategy):  # of which no map lists all replicas
        return bytes((sum(weights) >= need.replicas,)) * len(replicas.ring.tokens)
    return bytes(map(need.replicas.__le__, replicas.weighed(weights)))
