"""Clusters for the tests of rings, and what the replicas of their partitions are, told as the server does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.abc import Address
from triocql.metadata import ReplicaMap, Ring
from triocql.metadata.building import build_replicas, build_ring, finish
from triocql.metadata.node import Node
from triocql.metadata.partitioners import MURMUR3, Partitioner
from triocql.metadata.replication import (
    EverywhereStrategy,
    NetworkTopologyStrategy,
    ReplicationFactor,
    ReplicationStrategy,
    SimpleStrategy,
    strategy_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def node(name: str, *tokens: object, dc: str | None = "dc1", rack: str | None = "r1") -> Node:
    made = Node(Address(name, 9042))
    made.name = name
    made.data_centre, made.rack = dc, rack
    made.tokens = tuple(map(str, tokens))
    return made


def ring_of(nodes: Iterable[Node], partitioner: Partitioner = MURMUR3) -> Ring:
    return finish(build_ring(partitioner, nodes))


def replicas_of(ring: Ring, **replication: str) -> ReplicaMap:
    """Return the replicas of a ring; the class is told as `kind`."""
    options = {"class": replication.pop("kind"), **replication}
    return finish(build_replicas(ring, strategy_of(options)))


def names(nodes: Iterable[Node]) -> str:
    return " ".join(each.name for each in nodes)


def walked(ring: Ring, strategy: ReplicationStrategy, position: int) -> list[Node]:
    """Return the replicas of a range as the server finds them: by walking along the ring until it has enough."""
    walk = [ring.nodes[ring.owners[(position + i) % len(ring.owners)]] for i in range(len(ring.owners))]
    match strategy:
        case SimpleStrategy(factor):
            return _next(walk, factor)
        case EverywhereStrategy():
            return list(dict.fromkeys(walk))
        case NetworkTopologyStrategy(centres):
            chosen = {replica for dc, factor in centres for replica in _spread(walk, dc, factor)}
            return [each for each in dict.fromkeys(walk) if each in chosen]
    return []


def _next(walk: list[Node], factor: ReplicationFactor) -> list[Node]:
    replicas: list[Node] = []
    for each in walk:
        if len(replicas) < factor.all and each not in replicas:
            replicas.append(each)
    return replicas[: factor.all - factor.transient]


def _spread(walk: list[Node], dc: str, factor: ReplicationFactor) -> Iterator[Node]:
    """Yield the replicas of a data centre that are not transient."""
    nodes = {each for each in walk if each.data_centre == dc}
    left = min(factor.all, len(nodes))
    repeats = factor.all - len({each.rack for each in nodes})
    transient = max(factor.transient - (factor.all - left), 0)
    seen: set[Node] = set()
    racks: set[str | None] = set()
    for each in walk:
        if left == 0 or each in seen or each not in nodes:
            continue
        if each.rack in racks:
            if repeats <= 0:
                continue
            repeats -= 1
        if left > transient:
            yield each
        racks.add(each.rack)
        seen.add(each)
        left -= 1
