# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False, nonecheck=True
# cython: freethreading_compatible=False
"""The ring of a cluster, and the replicas of its ranges. Neither of them changes."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

from triocql.metadata.partitioners import MURMUR3

if TYPE_CHECKING:
    from collections.abc import Sequence

    import cython

    from triocql.metadata.node import Node
    from triocql.metadata.partitioners import Partitioner, Token
    from triocql.metadata.replication import ReplicationStrategy
else:
    from triocql import _cython as cython

if not cython.compiled:  # where it is, these functions are those of `_searching.pxd`
    token_of = MURMUR3.token

    def divided(tokens: Sequence[Token], shift: int) -> Sequence[int]:
        """Return nothing: `bisect_left` needs no parts."""
        return ()

    def first_in_part(tokens: Sequence[Token], begins: Sequence[int], shift: int, token: Token) -> int:
        """Return the number of the first token that is not less."""
        return bisect_left(tokens, token)


_MOST_PART_BITS = 16


class Ring:
    """The tokens of a cluster, in order, and whose they are. A range of partitions begins behind one token, and ends
    with the next one; it belongs to the node of that.

    It is made by `triocql.metadata.building.build_ring`, and does not change.

    Attributes:
        partitioner: what makes tokens of keys.
        nodes: the nodes that have tokens.
        tokens: the tokens of all nodes, each one once, in order.
        owners: the index of the node that has the token, for each.
        problems: what was left out, and why: a line for each.
        has_numbers: whether its tokens are numbers of 64 bits, as those of Cassandra's default partitioner.
    """

    __slots__ = (
        "_begins",
        "_shift",
        "_size",
        "has_numbers",
        "nodes",
        "owners",
        "partitioner",
        "problems",
        "tokens",
    )

    def __init__(
        self,
        partitioner: Partitioner,
        nodes: tuple[Node, ...],
        tokens: Sequence[Token],
        owners: Sequence[int],
        problems: tuple[str, ...] = (),
    ) -> None:
        self.partitioner = partitioner
        self.nodes = nodes
        self.tokens = tokens
        self.owners = owners
        self.problems = problems
        self._size = len(tokens)
        self.has_numbers = partitioner is MURMUR3 and isinstance(tokens, array) and tokens.typecode == "q"
        # All tokens there can be are divided into equal parts, more than there are tokens here, up to as many as are
        # found in no time: the few of a part are looked through as fast in a large ring as in a small one.
        self._shift = max(63 - self._size.bit_length(), 64 - _MOST_PART_BITS)
        self._begins = divided(tokens, self._shift) if self.has_numbers else ()

    def __repr__(self) -> str:
        return f"<Ring of {len(self.nodes)} nodes, {len(self.tokens)} tokens>"

    def position(self, token: Token) -> int:
        """Return which range a token is in: the number of the first token that is not less, or else of the first."""
        if self.has_numbers:
            return self.position_at(token)
        at = bisect_left(self.tokens, token)
        return at if at < self._size else 0

    def position_of(self, routing_key: bytes) -> int:
        """Return which range a partition is in.

        Args:
            routing_key: its key, serialized as nodes hash it.
        """
        if not self.has_numbers:
            return self.position(self.partitioner.token(routing_key))
        return self.position_at(token_of(routing_key))

    def position_at(self, token: Token) -> int:
        """Return which range a token is in, if tokens are numbers."""
        if not self.has_numbers:
            return self.position(token)
        at = first_in_part(self.tokens, self._begins, self._shift, token)
        return at if at < self._size else 0

    def owner(self, token: Token) -> Node | None:
        """Return the node whose range a token is in; None if no node has any."""
        return self.nodes[self.owners[self.position(token)]] if self.nodes else None


class ReplicaMap:
    """The replicas of each range of a ring, for keyspaces that are replicated equally.

    It is made by `triocql.metadata.building.build_replicas`. Equal replicas are the same tuple as long as the map
    lives, so that what was found for them may be kept by it.

    Attributes:
        ring: the ring.
        strategy: how replicas are chosen.
        table: the replicas of all ranges, as indexes of the ring's nodes: what is read for each request lies together.
        width: how many of them each range has.
    """

    __slots__ = ("_found", "_shared", "ring", "strategy", "table", "width")

    def __init__(self, ring: Ring, strategy: ReplicationStrategy, table: Sequence[int], width: int) -> None:
        self.ring = ring
        self.strategy = strategy
        self.table = table
        self.width = width
        # A tuple is made when it is first asked for: of a large ring they take long to make, and much memory.
        self._found: list[tuple[Node, ...] | None] = [None if width else ()] * max(len(ring.tokens), 1)
        self._shared: dict[tuple[Node, ...], tuple[Node, ...]] = {}

    def __repr__(self) -> str:
        return f"<ReplicaMap of {self.ring!r}, {self.strategy}>"

    def find(self, token: Token) -> tuple[Node, ...]:
        """Return the replicas of the partitions with a token, each once: first the owner of the range, or who is next
        on the ring. Transient replicas are left out.
        """
        return self._at(self.ring.position(token))

    def replicas(self, routing_key: bytes) -> tuple[Node, ...]:
        """Return the replicas of a partition, as `find`.

        Args:
            routing_key: its key, serialized as nodes hash it.
        """
        return self._at(self.ring.position_of(routing_key))

    def begin_of(self, routing_key: bytes) -> int:
        """Return where in `table` the replicas of a partition begin.

        Args:
            routing_key: its key, serialized as nodes hash it.
        """
        return self._begin(self.ring.position_of(routing_key))

    def begin_at(self, token: int) -> int:
        """Return where in `table` the replicas of the partitions with a token begin, if it is a number (`Ring`)."""
        return self._begin(self.ring.position_at(token))

    def weighed(self, weights: bytes) -> array[int]:
        """Return the sum of the weights of the replicas of each range, in no particular order.

        Args:
            weights: of the ring's nodes: up to 65,535 for the replicas of a range together.
        """
        width, ranges = self.width, len(self._found)
        if not width:
            return array("H", bytes(2 * ranges))
        table = self.table
        if cython.compiled:
            # Written out, for a map of a large ring has more than a million replicas.
            sums = array("H", bytes(2 * ranges))
            listed, by_node, by_range = table, weights, sums
            for position in range(ranges):
                weight = 0
                for place in range(position * width, (position + 1) * width):
                    weight += by_node[listed[place]]
                by_range[position] = weight
            return sums
        total = 0
        for place in range(width):
            column = array("H", map(weights.__getitem__, table[place::width]))
            total += int.from_bytes(column.tobytes(), sys.byteorder)  # all ranges at once: no sum has a carry
        return array("H", total.to_bytes(2 * ranges, sys.byteorder))

    def _begin(self, position: int) -> int:
        """Return where in the table a range begins: the last range comes first."""
        return (len(self._found) - 1 - position) * self.width

    def _at(self, position: int) -> tuple[Node, ...]:
        replicas = self._found[position]
        return self._make(position) if replicas is None else replicas

    def _make(self, position: int) -> tuple[Node, ...]:
        """Make the replicas of a range. Two threads may do so at once: `setdefault` has one result for both."""
        begin = self._begin(position)
        nodes = self.ring.nodes
        replicas = tuple([nodes[node] for node in self.table[begin : begin + self.width]])
        replicas = self._shared.setdefault(replicas, replicas)
        self._found[position] = replicas
        return replicas
