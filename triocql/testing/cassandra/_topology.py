"""Data centres, racks and tokens of a cluster, before any of it runs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, zip_longest
from typing import NamedTuple

from triocql.testing.cassandra._errors import LauncherError

Topology = Mapping[str, Mapping[str, int]]

_RING = 2**64


class Place(NamedTuple):
    """The data centre and rack of a node."""

    dc: str
    rack: str


def places(nodes: int | None, topology: Topology | None) -> list[Place]:
    """Lay out a cluster, given as a number of nodes or as ``{"dc1": {"rack1": 2, "rack2": 1}}``.

    The nodes of a data centre take its racks in turn, so that neighbours on the ring are in different racks.

    Raises:
        LauncherError: both were given, or a cluster, data centre or rack without nodes.
    """
    if topology is None:
        topology = {"dc1": {"rack1": 1 if nodes is None else nodes}}
    elif nodes is not None:
        raise LauncherError("give either nodes= or topology=, not both")
    if not topology:
        raise LauncherError("the topology has no data centre")
    return [place for dc, racks in topology.items() for place in _places_of(dc, racks)]


def _places_of(dc: str, racks: Mapping[str, int]) -> list[Place]:
    if not racks:
        raise LauncherError(f"data centre {dc!r} has no rack")
    for rack, count in racks.items():
        if count < 1:
            raise LauncherError(f"rack {rack!r} of {dc!r} has {count} nodes; it needs at least one")
    columns = ([Place(dc, rack)] * count for rack, count in racks.items())
    return [place for place in chain.from_iterable(zip_longest(*columns)) if place is not None]


def tokens(layout: list[Place], index: int, num_tokens: int) -> list[int]:
    """Return the tokens of one node, so that each data centre's ring is cut into equal parts.

    With tokens given, nodes start side by side and need not stream; data centres are kept apart by a small
    offset.
    """
    dc = layout[index].dc
    peers = [i for i, place in enumerate(layout) if place.dc == dc]
    offset = 1 + 1000 * list(dict.fromkeys(place.dc for place in layout)).index(dc)
    parts = len(peers) * num_tokens
    first = peers.index(index)
    return [(part * _RING // parts) - _RING // 2 + offset for part in range(first, parts, len(peers))]
