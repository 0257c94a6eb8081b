"""Which nodes are the replicas of each range of a ring, in pure Python: `_placement` is its compiled twin."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triocql.metadata.node import Node
    from triocql.metadata.replication import ReplicationStrategy

MOST_LISTED: Final = 2**24
"""How many replicas a map lists in all: of rings so large that they would have more, each range lists fewer."""


class Group(NamedTuple):
    """Nodes that replicas are chosen from independently of others, such as those of a data centre.

    Attributes:
        racks: the rack of each node, by the node's index.
        listed: how many replicas each range has among them.
        others: how many of them need not be the first one of their rack.
    """

    racks: dict[int, str | None]
    listed: int
    others: int


def groups_of(nodes: Sequence[Node], ranges: int, strategy: ReplicationStrategy) -> list[Group]:
    """Return the groups in which a ring of so many ranges has replicas."""
    racks: dict[str, dict[int, str | None]] = {}
    for index, node in enumerate(nodes):
        place = strategy.place(node)
        if place is not None:
            racks.setdefault(place.group, {})[index] = place.rack
    factors = {name: factor for name in sorted(racks) if (factor := strategy.factor(name)).all}
    most = max(MOST_LISTED // max(ranges, 1), 1)
    names = list(factors)[:most]
    groups = []
    for name in names:
        members, (replicas, transient) = racks[name], factors[name]
        full = min(replicas - transient, len(members))  # the transient ones are the last
        others = min(max(replicas - len(set(members.values())), 0), len(members))
        groups.append(Group(members, min(full, most // len(names)), others))
    return groups


class Walk:
    """The nodes of a group as they come when one walks along the ring from some range on.

    The server walks from each range on, until it has enough nodes: the first one of each rack, and, if there are fewer
    racks than replicas are wanted, as many others as are lacking, whichever come first. That may be a long way. Here
    the ring is walked backwards, once, and both orders, that of the nodes and that of the racks, change by one that
    comes to the front.

    Attributes:
        chosen: the replicas for the range that the walk has come to.
    """

    __slots__ = ("_first", "_group", "_nodes", "chosen")

    def __init__(self, group: Group) -> None:
        self._group = group
        self._nodes: OrderedDict[int, None] = OrderedDict()  # the first one to come is the last one here
        self._first: OrderedDict[str | None, int] = OrderedDict()  # the first node of each rack, likewise
        self.chosen: list[int] = []

    def meet(self, node: int) -> None:
        """Go a step back on the ring, to a node of the group."""
        rack = self._group.racks[node]
        self._nodes[node] = None
        self._nodes.move_to_end(node)
        self._first[rack] = node
        self._first.move_to_end(rack)

    def choose(self) -> None:
        """Choose the replicas for the range that the walk has come to; only when all nodes were met."""
        racks, listed, others = self._group
        chosen: list[int] = []
        first = 0
        if others:
            for node in islice(reversed(self._nodes), listed):
                if self._first[racks[node]] == node:
                    first += 1
                elif others:
                    others -= 1
                else:
                    break
                chosen.append(node)
        chosen += islice(reversed(self._first.values()), first, first + listed - len(chosen))
        self.chosen = chosen


class Placement:
    """Places the replicas of all ranges of a ring, some at a time.

    Args:
        nodes: the nodes of the ring, each of which owns a range.
        owners: whose each range is, by their index, in the order of the ring.
        strategy: how replicas are chosen.

    Attributes:
        width: how many replicas each range lists.
        table: the indexes of the nodes, `width` of them a range, the last range first.
    """

    __slots__ = (
        "_ahead",
        "_left",
        "_looked",
        "_met",
        "_owners",
        "_row",
        "_walk_of",
        "_walks",
        "table",
        "width",
    )

    def __init__(self, nodes: Sequence[Node], owners: Sequence[int], strategy: ReplicationStrategy) -> None:
        groups = groups_of(nodes, len(owners), strategy)
        self._walks = [Walk(group) for group in groups]
        self._walk_of: list[Walk | None] = [None] * len(nodes)
        for group, walk in zip(groups, self._walks, strict=True):
            for node in group.racks:
                self._walk_of[node] = walk
        self._owners = owners
        self._ahead: dict[int, int] = {}  # where each node comes first, beginning with the first range
        self._looked = 0
        self._met = [0] * len(nodes)  # where each node comes next, on the way from the range that was come to
        self._row = array("I")
        self.width = sum(group.listed for group in groups)
        self.table = array("I")
        self._left = len(owners) if self.width else 0

    def advance(self, ranges: int) -> bool:
        """Place the replicas of some more ranges. Returns whether there are more to place."""
        if self._left == 0:
            return False
        if self._looked < len(self._owners):
            self._look_ahead(self._looked + ranges)
            return True
        end = max(self._left - ranges, 0)
        for position in range(self._left - 1, end - 1, -1):
            node = self._owners[position]
            walk = self._walk_of[node]
            if walk is not None:
                self._met[node] = position
                walk.meet(node)
                walk.choose()
                self._row = self._merged()
            self.table.extend(self._row)
        self._left = end
        return end > 0

    def _look_ahead(self, end: int) -> None:
        """Walk forward from the first range until each node has come: from the end of the ring on, they come so."""
        for position, node in enumerate(self._owners[self._looked : end], self._looked):
            self._ahead.setdefault(node, position)
        size = len(self._owners)
        self._looked = size if len(self._ahead) == len(self._met) else min(end, size)
        if self._looked == size:
            for node, position in reversed(self._ahead.items()):
                walk = self._walk_of[node]
                if walk is not None:
                    self._met[node] = size + position
                    walk.meet(node)
            for walk in self._walks:
                walk.choose()
            self._row = self._merged()

    def _merged(self) -> array[int]:
        """Return the replicas of all groups in the order in which they come."""
        if len(self._walks) == 1:
            return array("I", self._walks[0].chosen)
        chosen = chain.from_iterable([walk.chosen for walk in self._walks])
        return array("I", sorted(chosen, key=self._met.__getitem__))
