# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False, nonecheck=True
# cython: freethreading_compatible=False
"""Tablets of ScyllaDB: the parts that it divides a table into, and moves from node to node."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import cython

    from triocql.metadata.node import Node
else:
    from triocql import _cython as cython

if not cython.compiled:  # where it is, this function is that of `_searching.pxd`
    first_not_less = bisect_left


def _numbers(numbers: list[int]) -> Any:
    """Return numbers, to be searched: in pure Python a list is faster, as it has its objects already."""
    return array("q", numbers) if cython.compiled else numbers


class Tablet:
    """A part of a table: the partitions with these tokens. What is known of it never changes.

    Attributes:
        first, last: its tokens: those behind `first`, up to and with `last`.
        replicas: the nodes that have it, as far as they are known; the leader first, if it has one.
        shards: the shard of each of them that has it.
        version: what stands for its replicas, from 0 up to 2**64 - 1; None if the cluster tells none, or if some of the
            replicas are not known.
    """

    __slots__ = ("_turn", "first", "last", "replicas", "shards", "version")

    def __init__(
        self,
        first: int,
        last: int,
        replicas: tuple[Node, ...],
        shards: tuple[int, ...],
        version: int | None = None,
    ) -> None:
        if len(replicas) != len(shards):
            raise ValueError("each replica is on one shard")
        self.first = first
        self.last = last
        self.replicas = replicas
        self.shards = shards
        self.version = version
        self._turn = 0

    def next_block(self) -> int:
        """Return the next four bits of the version, as the lower half of a byte whose upper half says which they are:
        in turn, so that 16 of them tell all of it.

        >>> tablet = Tablet(0, 10, (), (), version=0x0123456789ABCDEF)
        >>> [f"{tablet.next_block():02x}" for _ in range(3)]
        ['0f', '1e', '2d']
        """
        turn = self._turn
        self._turn = turn + 1 & 15
        return turn << 4 | ((self.version or 0) >> 4 * turn & 15)

    def shard_of(self, node: Node) -> int:
        """Return the shard of `node` that has it; -1 if the node is no replica."""
        for at in range(len(self.replicas)):
            if self.replicas[at] is node:
                return self.shards[at]
        return -1

    def says_the_same(self, other: Tablet) -> bool:
        """Return whether `other` is the same, in all that is known of it."""
        return (
            self.first == other.first
            and self.last == other.last
            and self.replicas == other.replicas
            and self.shards == other.shards
            and self.version == other.version
        )

    def is_where(self, other: Tablet) -> bool:
        """Return whether `other` has the same tokens and is in the same places, in whichever order these are told."""
        return (
            self.first == other.first
            and self.last == other.last
            and set(zip(self.replicas, self.shards, strict=True))
            == set(zip(other.replicas, other.shards, strict=True))
        )

    def __repr__(self) -> str:
        where = ", ".join(
            f"{node.name} shard {shard}" for node, shard in zip(self.replicas, self.shards, strict=True)
        )
        return f"<Tablet ({self.first}, {self.last}] on {where}>"


class TableTablets:
    """What is known of the tablets of one table: none overlaps another; there may be gaps. It changes on the loop, in
    place, as many are learnt one by one; any thread may look something up, and at worst does not find what is new.

    Attributes:
        keyspace, table: the name of the table.
        weight: how much is known: a replica counts for one, and a tablet for three more.
    """

    __slots__ = ("_lasts", "_tablets", "keyspace", "table", "weight")

    def __init__(self, keyspace: str, table: str) -> None:
        self.keyspace = keyspace
        self.table = table
        self.weight = 0
        self._lasts = _numbers([])
        self._tablets: list[Tablet] = []

    def __len__(self) -> int:
        return len(self._tablets)

    def __repr__(self) -> str:
        return f"<TableTablets of {self.keyspace}.{self.table}: {len(self)}>"

    @property
    def tablets(self) -> tuple[Tablet, ...]:
        """The tablets, in the order of their tokens."""
        return tuple(self._tablets)

    def find(self, token: int) -> Tablet | None:
        """Return the tablet that has a token; None if it is not known."""
        # Before the tokens, for other threads: these never are more than there are tablets.
        tablets = self._tablets
        at = first_not_less(self._lasts, token)
        if at >= len(tablets):
            return None
        tablet = tablets[at]
        return tablet if tablet.first < token <= tablet.last else None

    def put(self, tablet: Tablet) -> bool:
        """Add a tablet, in place of those that it overlaps; return whether it is news."""
        first, last = tablet.first, tablet.last
        lasts, tablets = self._lasts, self._tablets
        low = high = first_not_less(lasts, last)
        if high < len(tablets):
            after = tablets[high]
            if after.first < last:
                if after.says_the_same(tablet):  # many requests may have asked at a time
                    return False
                high += 1
        if low > 0:
            before = tablets[low - 1]
            if before.last > first:
                low = first_not_less(lasts, first + 1)
        self.weight += 3 + len(tablet.replicas)
        if low == high:
            lasts.insert(low, last)
            tablets.insert(low, tablet)
            return True
        for replaced in tablets[low:high]:
            self.weight -= 3 + len(replaced.replicas)
        if high - low > 1:  # other threads see no list become shorter
            lasts, tablets = lasts[:], tablets.copy()
            del lasts[low + 1 : high], tablets[low + 1 : high]
        lasts[low] = last
        tablets[low] = tablet
        self._lasts = lasts
        self._tablets = tablets
        return True

    def keep(self, is_kept: Callable[[Tablet], bool]) -> None:
        """Forget those tablets that are not to be kept."""
        kept = [tablet for tablet in self._tablets if is_kept(tablet)]
        if len(kept) < len(self._tablets):
            self.weight = sum([3 + len(tablet.replicas) for tablet in kept])
            self._lasts = _numbers([tablet.last for tablet in kept])
            self._tablets = kept
