"""What tablets of ScyllaDB cost: to learn all of a table's from hints, one by one, and to look one up by a token.

`python -m tests.benchmarks.bench_tablets`; with `--instructions`, counted by valgrind's callgrind, which is the same on
a busy machine. With TRIOCQL_IMPL=python, in pure Python.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from typing import TYPE_CHECKING
from uuid import UUID

from tests.benchmarks.compiled import load
from tests.benchmarks.instructions import total
from tests.metadata.clusters import node
from tests.metadata.hints import hint, on
from triocql import _impl
from triocql.metadata.tabletstore import Tablets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triocql.metadata.node import Node

COUNTS = (64, 4096)
LOOK_UPS = 5_000
ROUNDS = 15
LOW, HIGH = -(2**63), 2**63 - 1


def cluster(count: int) -> list[Node]:
    """Return nodes that are known by their ids."""
    nodes = [node(str(number)) for number in range(count)]
    for number, each in enumerate(nodes, 1):
        each.host_id = UUID(int=number)
    return nodes


def hints_of(nodes: Sequence[Node], count: int) -> list[bytes]:
    """Return hints about all tablets of a table, of three replicas each, in any order."""
    random = Random(count)
    bounds = [LOW + 2**64 * number // count for number in range(count)] + [HIGH]
    hints = [
        hint(first, last, on(random.sample(nodes, 3), *random.sample(range(16), 3)))
        for first, last in pairwise(bounds)
    ]
    random.shuffle(hints)
    return hints


def works(count: int) -> dict[str, tuple[Callable[[], object], int]]:
    """Return what is measured of a table of so many tablets, and by how much a figure is divided."""
    nodes = cluster(6)
    hints, random = hints_of(nodes, count), Random(1)
    tokens = [random.randrange(LOW + 1, HIGH) for _ in range(LOOK_UPS)]

    def learn() -> Tablets:
        tablets = Tablets()
        tablets.follow(tuple(nodes), {})
        again(tablets)
        return tablets

    def again(tablets: Tablets) -> None:
        for value in hints:
            tablets.take("shop", "carts", value, versioned=False)

    known = learn()
    find = known.table("shop", "carts").find

    def look_up() -> None:
        for token in tokens:
            find(token)

    def nothing() -> None:
        for _ in tokens:
            pass

    return {
        "learn all": (learn, 1),
        "be told what is known": (lambda: again(known), count),
        "look one up": (look_up, LOOK_UPS),
        "(the loop around that)": (nothing, LOOK_UPS),
    }


def by_clock() -> None:
    """Print the CPU time of each: the best round, and the median of all."""
    for count in COUNTS:
        for name, (work, divisor) in works(count).items():
            rounds = []
            for _ in range(ROUNDS):
                before = time.thread_time()
                work()
                rounds.append((time.thread_time() - before) / divisor * 1e6)
            print(f"{count:5} tablets: {name:24} {min(rounds):10,.3f} µs, median {median(rounds):10,.3f}")


def by_instructions() -> None:
    """Print the instructions of each, counted in a process under valgrind."""
    names = [(count, name, divisor) for count in COUNTS for name, (_, divisor) in works(count).items()]
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ("valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no")
        out = f"--callgrind-out-file={folder}/out"
        command = [*valgrind, out, sys.executable, "-m", "tests.benchmarks.bench_tablets", "--counted"]
        subprocess.run(command, check=True)
        for number, (count, name, divisor) in enumerate(names, 1):
            found = total(Path(f"{folder}/out.{number}").read_text()) / divisor
            print(f"{count:5} tablets: {name:24} {found:14,.0f} instructions")


def counted() -> None:
    """Do each once to warm up, and once to be counted."""
    counter = load("callgrind").Counter()
    for count in COUNTS:
        for work, _ in works(count).values():
            work()
            counter.start()
            work()
            counter.stop()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--counted", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.counted:
        counted()
        return
    print(f"{_impl.impl}; three replicas")
    if options.instructions:
        by_instructions()
    else:
        by_clock()


if __name__ == "__main__":
    main()
