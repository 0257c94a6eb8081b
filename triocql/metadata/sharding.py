"""The shards of a node of ScyllaDB: which one has a partition; `_sharding.pxd` has the compiled twin."""

from __future__ import annotations

from typing import NamedTuple


def shard_of(token: int, shard_count: int, ignore_msb: int) -> int:
    """Return the shard that has the partitions with `token`.

    The numbers of 64 bits, without the first `ignore_msb` bits, are divided evenly among the shards: so each shard has
    many short ranges of tokens, not a long one.

    >>> shard_of(-1, 4, 12), shard_of(0, 12, 0)
    (3, 6)
    """
    return (((token + 2**63) << ignore_msb) % 2**64 * shard_count) >> 64


class Sharder(NamedTuple):
    """How a node divides its partitions among its shards.

    Attributes:
        shard_count: how many shards it has.
        ignore_msb: how many of the first bits of tokens say nothing.

    >>> Sharder(4, 12).shard_of(-1)
    3
    """

    shard_count: int
    ignore_msb: int

    def shard_of(self, token: int) -> int:
        """Return the shard that has the partitions with `token`."""
        return shard_of(token, self.shard_count, self.ignore_msb)
