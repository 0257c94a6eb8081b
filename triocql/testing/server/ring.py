"""The replicas of a token by the ring of tokens, as keyspaces without tablets have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

Replication = Mapping[str, str]


class RingNode(Protocol):
    """A node of a ring."""

    index: int
    data_center: str
    rack: str
    tokens: list[int]


def ring_replicas(nodes: Sequence[RingNode], replication: Replication, token: int) -> list[int]:
    """Return the indexes of the nodes that have a token, the first one first; none for an unknown strategy."""
    strategy = replication.get("class", "").rsplit(".", 1)[-1]
    order = list(_walk(nodes, token))
    if strategy == "EverywhereStrategy":
        return [node.index for node in order]
    if strategy == "SimpleStrategy":
        return [node.index for node in order[: int(replication.get("replication_factor", 1))]]
    if strategy == "NetworkTopologyStrategy":
        return [node.index for node in _of_data_centers(order, replication)]
    return []


def factors(nodes: Sequence[RingNode], replication: Replication) -> dict[str, int]:
    """Return the number of replicas in each data centre."""
    everywhere = replication.get("replication_factor")
    told = {dc: replication.get(dc, everywhere) for dc in sorted({node.data_center for node in nodes})}
    return {dc: int(factor) for dc, factor in told.items() if factor is not None}


def _walk(nodes: Sequence[RingNode], token: int) -> Iterator[RingNode]:
    """Yield each node once, in the order of the ring from a token on."""
    points = sorted(
        ((each, node.index, node) for node in nodes for each in node.tokens), key=lambda point: point[:2]
    )
    after = [point for point in points if point[0] >= token]
    seen = set()
    for _, index, node in (*after, *points[: len(points) - len(after)]):
        if index not in seen:
            seen.add(index)
            yield node


def _of_data_centers(order: Sequence[RingNode], replication: Replication) -> list[RingNode]:
    """Return the replicas of each data centre: as few as can be in a rack that has one already."""
    left = factors(order, replication)
    racks = {dc: {node.rack for node in order if node.data_center == dc} for dc in left}
    repeats = {dc: left[dc] - len(racks[dc]) for dc in left}
    found: list[RingNode] = []
    seen: set[tuple[str, str]] = set()
    for node in order:
        dc = node.data_center
        repeated = (dc, node.rack) in seen
        if not left.get(dc) or (repeated and repeats[dc] <= 0):
            continue
        repeats[dc] -= repeated
        left[dc] -= 1
        seen.add((dc, node.rack))
        found.append(node)
    return found
