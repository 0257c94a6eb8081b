"""Shards: which one a token has, and to which one a new connection gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

_BIAS, _MASK = 1 << 63, (1 << 64) - 1


def shard_of(token: int, shards: int, ignore_msb: int) -> int:
    """Return the shard of a token on a node ("biased-token-round-robin").

    >>> shard_of(-1, 4, 12), shard_of(0, 12, 0)
    (3, 6)
    """
    return (((token + _BIAS) << ignore_msb & _MASK) * shards) >> 64


class Occupancy:
    """The connections that a node has on its shards, and which shard the next one gets."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._chosen = 0

    def least_loaded(self, shards: int, load: Mapping[int, int]) -> int:
        """Return the shard with the fewest connections, the lowest of these, with others' `load` counted."""
        return min(range(shards), key=lambda shard: self._counts[shard] + load.get(shard, 0))

    def chosen(self, port: int, shards: int, misplace: int) -> int:
        """Return the shard that a client has chosen by its port; each `misplace`-th time the one after it."""
        self._chosen += 1
        wrong = bool(misplace) and self._chosen % misplace == 0
        return (port + wrong) % shards

    def add(self, shard: int) -> None:
        """Count a connection."""
        self._counts[shard] += 1

    def remove(self, shard: int) -> None:
        """Count it no more."""
        self._counts[shard] -= 1
