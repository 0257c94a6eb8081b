"""The tablets of a table: which replicas have which tokens, and what happens to them."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from .. import wire

MIN_TOKEN, MAX_TOKEN = -(1 << 63), (1 << 63) - 1

Replica = tuple[int, int]
"""The index of a node, and a shard of it."""


class Tablet(NamedTuple):
    """A tablet.

    Attributes:
        first, last: its tokens are those after the first, up to the last.
        replicas: the index of each node and its shard.
        pending: where it is moving to.
    """

    first: int
    last: int
    replicas: tuple[Replica, ...]
    pending: Replica | None = None


class ServedTablets:
    """The tablets of one table: made by `CqlServer.tablets`.

    Attributes:
        hints: how many times clients were told of one.
    """

    def __init__(self, tablets: Iterable[Tablet], host_id: Callable[[int], UUID]) -> None:
        self.hints = 0
        self._all = list(tablets)
        self._host_id = host_id
        self._old: list[Tablet] = []
        self._seen_by: Collection[int] | None = None

    @property
    def all(self) -> list[Tablet]:
        """All tablets, in order."""
        return list(self._all)

    def as_seen_by(self, node: int | None) -> list[Tablet]:
        """Return all tablets, as the node with this index believes that they are."""
        old = node is not None and self._seen_by is not None and node not in self._seen_by
        return self._old if old else self._all

    def find(self, token: int, node: int | None = None) -> Tablet | None:
        """Return the tablet of a token, as the cluster has it, or as the node with this index believes."""
        tablets = self.as_seen_by(node)
        at = bisect_left(tablets, token, key=lambda tablet: tablet.last)
        return tablets[at] if at < len(tablets) and tablets[at].first < token else None

    # --- Changes -------------------------------------------------------------------------------------------

    def move(
        self,
        token: int,
        replicas: Iterable[Replica],
        *,
        pending: Replica | None = None,
        seen_by: Collection[int] | None = None,
    ) -> Tablet:
        """Give the tablet of a token other replicas, and return it.

        Args:
            token: one of its tokens.
            replicas: the index of each node, and its shard.
            pending: where it is still moving to.
            seen_by: the indexes of the only nodes that know of it; the others believe what was before, until `agree`.
        """
        at = self._at(token)
        if seen_by is not None and self._seen_by is None:
            self._old = self._all
        self._seen_by = seen_by
        moved = self._all[at]._replace(replicas=tuple(replicas), pending=pending)
        self._put(at, 1, moved)
        return moved

    def agree(self) -> None:
        """Have all nodes know what only some have seen."""
        self._seen_by = None

    def split(self, token: int | None = None) -> None:
        """Split the tablet of a token, or each of them, in two halves with the same replicas."""
        chosen = range(len(self._all)) if token is None else [self._at(token)]
        for at in reversed(chosen):
            tablet = self._all[at]
            middle = (tablet.first + tablet.last) // 2
            if middle == tablet.first:
                raise ValueError(f"{tablet} has one token only")
            self._put(at, 1, tablet._replace(last=middle), tablet._replace(first=middle))

    def merge(self, token: int | None = None) -> None:
        """Merge the tablet of a token with the next one, or each two of them; it keeps the replicas of the first."""
        chosen = range(0, len(self._all) - 1, 2) if token is None else [self._at(token)]
        for at in reversed(chosen):
            if at + 1 == len(self._all):
                raise ValueError(f"{self._all[at]} has no tablet after it")
            tablet, after = self._all[at : at + 2]
            self._put(at, 2, tablet._replace(last=after.last))

    def set(self, tablets: Iterable[Tablet]) -> None:
        """Have other tablets. Raises ValueError if they overlap, or are not in order."""
        changed = [Tablet(*each) for each in tablets]
        ends = [token for tablet in changed for token in tablet[:2]]
        if ends != sorted(ends) or any(tablet.first >= tablet.last for tablet in changed):
            raise ValueError("tablets are in the order of their tokens, and do not overlap")
        self._all = changed

    def _put(self, at: int, count: int, *tablets: Tablet) -> None:
        """Put tablets in the place of others. The list is another one then, as the server may be using it."""
        self._all = [*self._all[:at], *tablets, *self._all[at + count :]]

    def _at(self, token: int) -> int:
        tablet = self.find(token)
        if tablet is None:
            raise ValueError(f"no tablet has the token {token}")
        return self._all.index(tablet)

    # --- What is told of them --------------------------------------------------------------------------------

    def version(self, token: int) -> int:
        """Return the version of the replicas that the tablet of a token has: 64 bits, unsigned."""
        return self.version_of(self._all[self._at(token)])

    def version_of(self, tablet: Tablet) -> int:
        """Return the version of a tablet's replicas."""
        listed = b"".join(host.bytes + wire.integer(shard) for host, shard in self.hosts(tablet))
        return int.from_bytes(hashlib.md5(listed, usedforsecurity=False).digest()[:8], "big")

    def hosts(self, tablet: Tablet) -> list[tuple[UUID, int]]:
        """Return the replicas of a tablet by their host_ids."""
        return [(self._host_id(node), shard) for node, shard in tablet.replicas]


def even(count: int, replicas: Callable[[int], tuple[Replica, ...]]) -> list[Tablet]:
    """Return so many tablets of about the same size; `replicas` gives those of each, by its number.

    >>> [(each.first, each.last) for each in even(2, lambda number: ((0, 0),))]
    [(-9223372036854775808, -1), (-1, 9223372036854775807)]
    """
    ends = [MIN_TOKEN, *(MIN_TOKEN + ((number + 1) << 64) // count - 1 for number in range(count))]
    return [Tablet(ends[number], ends[number + 1], replicas(number)) for number in range(count)]


def tablet_hint(
    first: int, last: int, replicas: Sequence[tuple[UUID, int]], version: int | None = None
) -> bytes:
    """Return what a node tells of a tablet in the payload of an answer: ``tablets-routing-v1``, or v2 with a version.

    >>> tablet_hint(-100, 100, [(UUID(int=1), 0)])[:12].hex()
    '00000008ffffffffffffff9c'
    """
    each = [wire.value(host.bytes) + wire.value(wire.integer(shard)) for host, shard in replicas]
    listed = wire.integer(len(each)) + b"".join(map(wire.value, each))
    hint = wire.value(_long(first)) + wire.value(_long(last)) + wire.value(listed)
    return hint if version is None else hint + wire.value(version.to_bytes(8, "big"))


def block_of(version: int, index: int) -> int:
    """Return the byte of a version that a client sends: the index of four of its bits, and these.

    >>> [hex(block_of(0x0123456789ABCDEF, index)) for index in (0, 1, 15)]
    ['0xf', '0x1e', '0xf0']
    """
    return index << 4 | (version >> 4 * index & 15)


def _long(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)
