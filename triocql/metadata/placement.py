# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
# cython: freethreading_compatible=False
"""Which nodes are the replicas of each range of a ring."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triocql.metadata.node import Node
    from triocql.metadata.replication import ReplicationFactor, ReplicationStrategy

MOST_LISTED: Final = 2**24
"""How many replicas a map lists in all: of rings so large that they would have more, each range lists fewer."""


class Group:
    """The nodes that replicas are chosen from independently of others, such as a data centre's, as they come when one
    walks along the ring from some range on.

    The server walks from each range on, until it has enough nodes: the first one of each rack, and, if there are fewer
    racks than replicas are wanted, as many others as are lacking, whichever come first. That may be a long way. Here
    the ring is walked backwards, once, and both orders, that of the nodes and that of the racks, change by one that
    comes to the front.

    Args:
        rack_of: the nodes, by their index, with their racks.
        factor: how many replicas are wanted.
        most: how many are listed for a range at most.

    Attributes:
        rack_of: likewise.
        listed: how many nodes are chosen for each range.
        chosen: these nodes, for the range that the walk has come to.
    """

    __slots__ = ("_first", "_nodes", "_others", "chosen", "listed", "rack_of")

    def __init__(self, rack_of: dict[int, str | None], factor: ReplicationFactor, most: int) -> None:
        replicas = min(factor.all, len(rack_of))
        full = min(factor.all - factor.transient, replicas)  # the transient ones are the last
        self.rack_of = rack_of
        self.listed = min(full, most)
        self._others = max(factor.all - len(set(rack_of.values())), 0)
        self._nodes: OrderedDict[int, None] = OrderedDict()  # the first one to come is the last one here
        self._first: OrderedDict[str | None, int] = OrderedDict()  # the first node of each rack, likewise
        self.chosen: list[int] = []

    def meet(self, node: int) -> None:
        """Go a step back on the ring, to a node of the group."""
        rack = self.rack_of[node]
        self._nodes[node] = None
        self._nodes.move_to_end(node)
        self._first[rack] = node
        self._first.move_to_end(rack)

    def choose(self) -> None:
        """Choose the nodes for the range that the walk has come to. Only when all nodes were met."""
        self.chosen = self._choose()

    def _choose(self) -> list[int]:
        chosen: list[int] = []
        racks = 0
        if self._others:
            others = self._others
            for node in reversed(self._nodes):
                if self._first[self.rack_of[node]] == node:
                    racks += 1
                elif others:
                    others -= 1
                else:
                    break
                chosen.append(node)
                if len(chosen) == self.listed:
                    return chosen
        left = self.listed - len(chosen)
        chosen.extend(islice(reversed(self._first.values()), racks, racks + left))
        return chosen


class Placement:
    """Places the replicas of all ranges of a ring, some at a time.

    Args:
        nodes: the nodes of the ring.
        owners: whose each range is, by their index, in the order of the ring.
        strategy: how replicas are chosen.

    Attributes:
        width: how many replicas each range lists.
        table: the indexes of the nodes, `width` of them a range, the last range first.
    """

    __slots__ = ("_group_of", "_groups", "_left", "_met", "_owners", "_row", "table", "width")

    def __init__(self, nodes: Sequence[Node], owners: Sequence[int], strategy: ReplicationStrategy) -> None:
        groups = _groups(nodes, strategy, MOST_LISTED // max(len(owners), 1))
        self._groups = groups
        self._group_of: list[Group | None] = [None] * len(nodes)
        for group in groups:
            for node in group.rack_of:
                self._group_of[node] = group
        self._owners = owners
        self._met = [0] * len(nodes)  # how far from the end of the walk
        self._row = array("I")
        self.width = sum(group.listed for group in self._groups)
        self.table = array("I")
        self._left = 2 * len(owners) if groups else 0  # once around to meet all, once to place

    def advance(self, ranges: int) -> bool:
        """Place the replicas of some more ranges. Returns whether there are more to place."""
        size = len(self._owners)
        end = max(self._left - ranges, 0)
        while self._left > end:
            self._left -= 1
            node = self._owners[self._left % size]
            group = self._group_of[node]
            if group is not None:
                self._met[node] = self._left
                group.meet(node)
            if self._left < size:
                if group is not None:
                    group.choose()
                    self._row = self._merged()
                self.table.extend(self._row)
            elif self._left == size:
                for each in self._groups:
                    each.choose()
                self._row = self._merged()
        return self._left > 0

    def _merged(self) -> array[int]:
        """Return the nodes of all groups in the order in which they come."""
        if len(self._groups) == 1:
            return array("I", self._groups[0].chosen)
        chosen = chain.from_iterable([group.chosen for group in self._groups])
        return array("I", sorted(chosen, key=self._met.__getitem__))


def _groups(nodes: Sequence[Node], strategy: ReplicationStrategy, most: int) -> list[Group]:
    """Return the groups that have replicas; they list at most so many together."""
    racks: dict[str, dict[int, str | None]] = {}
    for index, node in enumerate(nodes):
        place = strategy.place(node)
        if place is not None:
            racks.setdefault(place.group, {})[index] = place.rack
    factors = {name: factor for name in sorted(racks) if (factor := strategy.factor(name)).all}
    names = list(factors)[: max(most, 1)]
    return [Group(racks[name], factors[name], max(most // len(names), 1)) for name in names]
