"""Building a ring and its maps of replicas, in slices: a large cluster's would keep a loop busy for too long.

What builds is a generator. It yields when it has worked for a while, and returns what it has built:

    ring = yield from build_ring(MURMUR3, nodes)
    replicas = yield from build_replicas(ring, strategy)
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from triocql._impl import compiled
from triocql.metadata import Placement, ReplicaMap, Ring
from triocql.metadata.partitioners import MURMUR3

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, MutableSequence, Sequence

    from triocql.metadata.node import Node
    from triocql.metadata.partitioners import Partitioner
    from triocql.metadata.replication import ReplicationStrategy

T = TypeVar("T")
Steps: TypeAlias = "Generator[None, None, T]"

SLICE: Final = 512
"""How many tokens are read or sorted until a step ends: less than a millisecond's work, as far as one can say."""

SAMPLED: Final = SLICE // 8
"""How many tokens there are for each by which all of them are divided."""

PLACED: Final = 16_384 if compiled else 512
"""How many replicas are placed until a step ends: likewise."""


def finish(steps: Steps[T]) -> T:
    """Take all steps at once, and return what they build."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            built: T = end.value
            return built


def build_ring(partitioner: Partitioner, nodes: Iterable[Node]) -> Steps[Ring]:
    """Build the ring of some nodes. Those without tokens have no part in it. Tokens that cannot be read, or that a
    node before has, too, are left out: `Ring.problems` tells of them.
    """
    problems: list[str] = []
    samples: list[Any] = []
    runs = yield from _read(partitioner, nodes, samples, problems)
    owning: list[Node] = []
    parts = yield from _parted(runs, sorted(samples)[8::8], owning, problems)
    tokens: MutableSequence[Any] = array("q") if partitioner is MURMUR3 else []
    owners = array("I")
    for part in _drained(parts):
        ordered = sorted(part)
        tokens.extend(ordered)
        owners.extend(map(part.__getitem__, ordered))
        yield
    return Ring(partitioner, tuple(owning), tokens, owners, tuple(problems))


def build_replicas(ring: Ring, strategy: ReplicationStrategy) -> Steps[ReplicaMap]:
    """Build the map of all replicas for keyspaces of a strategy."""
    placement = Placement(ring.nodes, ring.owners, strategy)
    ranges = max(PLACED // (placement.width + 1), 1)
    while placement.advance(ranges):
        yield
    return ReplicaMap(ring, strategy, placement.table, placement.width)


def _read(
    partitioner: Partitioner, nodes: Iterable[Node], samples: list[Any], problems: list[str]
) -> Steps[list[tuple[Node, list[Any]]]]:
    """Return the nodes that have tokens, with these; each `SAMPLED`-th of them goes into `samples`, too."""
    runs = []
    worked = read = 0
    for node in nodes:
        tokens: list[Any] = []
        for first in range(0, len(node.tokens), SLICE):
            texts = node.tokens[first : first + SLICE]
            tokens += _parsed(partitioner, texts)
            worked += len(texts)
            if worked >= SLICE:
                worked = 0
                yield
        if len(tokens) < len(node.tokens):
            count = len(node.tokens) - len(tokens)
            problems.append(f"{count} tokens of node {node} are none of the {partitioner.name}")
        if tokens:
            runs.append((node, tokens))
            samples += tokens[-(read % SAMPLED) % SAMPLED :: SAMPLED]
            read += len(tokens)
    return runs


def _parsed(partitioner: Partitioner, texts: Sequence[str]) -> list[Any]:
    """Return the tokens of some texts, without those that are none."""
    try:
        return list(map(partitioner.parse, texts))
    except ValueError:
        pass
    tokens = []
    for text in texts:
        with suppress(ValueError):
            tokens.append(partitioner.parse(text))
    return tokens


def _parted(
    runs: list[tuple[Node, list[Any]]], bounds: list[Any], owning: list[Node], problems: list[str]
) -> Steps[list[dict[Any, int]]]:
    """Return the index among `owning`, which is filled, of the node of each token, in parts that are in order, though
    the tokens of a part are not yet: to sort all of them at once takes too long.
    """
    parts: list[dict[Any, int]] = [{} for _ in range(len(bounds) + 1)]
    worked = 0
    for node, tokens in _drained(runs):
        index, taken = len(owning), 0
        for token in tokens:
            part = parts[bisect_right(bounds, token)]
            taken += token in part
            part.setdefault(token, index)
            worked += 1
            if worked % SLICE == 0:
                yield
        if taken:
            problems.append(f"{taken} tokens of node {node} are those of nodes before it, or told twice")
        if taken < len(tokens):
            owning.append(node)
    return parts


def _drained(items: list[T]) -> Iterator[T]:
    """Yield each, and let go of it: to free all of them at once takes too long, too."""
    items.reverse()
    while items:
        yield items.pop()
