"""What rings and replicas cost: to build them, the longest step of it, and to look replicas up; CPU time.

python -m tests.benchmarks.bench_rings
TRIOCQL_IMPL=python python -m tests.benchmarks.bench_rings
"""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, TypeVar

from tests.metadata.clusters import node
from triocql import _impl
from triocql.metadata.building import Steps, build_replicas, build_ring
from triocql.metadata.partitioners import MURMUR3
from triocql.metadata.replication import strategy_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.metadata.node import Node

T = TypeVar("T")

CLUSTERS = ((3, 16), (100, 256), (1_000, 256))
THREE_TWICE = strategy_of({"class": "NetworkTopologyStrategy", "dc0": "3", "dc1": "3"})
KEY_SIZES = (4, 8, 16, 30)
KEYS = 5_000
ROUNDS = 7


def cluster(nodes: int, tokens: int) -> list[Node]:
    """Return nodes in two data centres of three racks each, with random tokens."""
    random = Random(nodes)
    return [
        node(
            str(i),
            *(random.randrange(-(2**63), 2**63) for _ in range(tokens)),
            dc=f"dc{i % 2}",
            rack=f"r{i % 3}",
        )
        for i in range(nodes)
    ]


def stepped(steps: Steps[T]) -> tuple[T, list[float]]:
    """Return what is built, and what each step took, in milliseconds."""
    took = []
    while True:
        before = time.thread_time()
        try:
            next(steps)
        except StopIteration as end:
            took.append((time.thread_time() - before) * 1e3)
            return end.value, took
        took.append((time.thread_time() - before) * 1e3)


def per_call(call: Callable[[bytes], object], keys: list[bytes]) -> float:
    """Return microseconds a call, in the best of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        before = time.thread_time()
        for _ in keys:
            pass
        empty = time.thread_time()
        for key in keys:
            call(key)
        rounds.append(time.thread_time() - empty - (empty - before))
    return min(rounds) / len(keys) * 1e6


def main() -> None:
    """Measure, and print."""
    print(f"{_impl.impl}; two data centres of three racks, 3 replicas in each")
    random = Random(1)
    for nodes, tokens in CLUSTERS:
        ring, of_ring = stepped(build_ring(MURMUR3, cluster(nodes, tokens)))
        replicas, of_map = stepped(build_replicas(ring, THREE_TWICE))
        print(
            f"{nodes:5} nodes of {tokens:3} tokens: ring {sum(of_ring):6.1f} ms, replicas {sum(of_map):6.1f} ms,"
            f" the longest of {len(of_ring) + len(of_map)} steps {max(of_ring + of_map):.1f} ms"
        )
        for size in KEY_SIZES:
            keys = [random.randbytes(size) for _ in range(KEYS)]
            print(f"      a look-up by a key of {size:2} bytes: {per_call(replicas.replicas, keys):.3f} µs")


if __name__ == "__main__":
    main()
