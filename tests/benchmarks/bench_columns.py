"""What reading columns costs: compiled and pure, medians of CPU time, against the goals.

python -m tests.benchmarks.bench_columns
"""

from __future__ import annotations

import random
import sys
import time
import uuid
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from tests.benchmarks.bench_codecs import columns_of
from triocql.codecs.columns import decoder_of
from triocql.codecs.registry import Registry

if TYPE_CHECKING:
    from triocql._impl import Impl

ROWS = 5000
CHANCE = random.Random(14)
VALUES: dict[str, Callable[[], Any]] = {
    "int": lambda: CHANCE.randrange(2**31),
    "bigint": lambda: CHANCE.randrange(2**63),
    "text": lambda: "x" * CHANCE.randrange(4, 20),
    "double": CHANCE.random,
    "timestamp": lambda: CHANCE.randrange(2**40),
    "uuid": lambda: uuid.UUID(int=CHANCE.getrandbits(128)),
    "boolean": lambda: CHANCE.random() < 0.5,
    "list<int>": lambda: [CHANCE.randrange(99) for _ in range(CHANCE.randrange(5))],
    "map<text, int>": lambda: {str(CHANCE.randrange(9999)): i for i in range(CHANCE.randrange(3))},
}
FIXED = ("int", "bigint", "double", "timestamp", "int")


class Goal(NamedTuple):
    """A page, and what it may cost: nanoseconds a value compiled, microseconds a row pure, bytes a row kept."""

    name: str
    types: tuple[str, ...]
    nulls: float
    nanoseconds: float
    microseconds: float
    kept: float


GOALS = (
    Goal("mixed, 10 % null", tuple(VALUES), 0.1, 10, 5, 100),
    Goal("fixed width", FIXED, 0, 3, 5, 100),
    Goal("fixed width, 10 % null", FIXED, 0.1, 3, 5, 100),
)


def page_of(impl: Impl, types: tuple[str, ...], nulls: float) -> Any:
    """Return a page of random values."""
    cols = columns_of(types)
    bind = Registry().binder(cols).bind
    rows = ([None if CHANCE.random() < nulls else VALUES[each]() for each in types] for _ in range(ROWS))
    return Registry(impl=impl).plan(cols).page(b"".join(bind(row)[2:] for row in rows), 0, ROWS)


def cost(impl: Impl, goal: Goal) -> tuple[float, float]:
    """Return the nanoseconds of CPU time that a row takes, and the bytes of it that are kept."""
    page = page_of(impl, goal.types, goal.nulls)
    decoder = decoder_of(page.plan, (), None)
    times = 20 if impl == "cython" else 1
    samples = []
    for _ in range(15):
        start = time.thread_time_ns()
        for _ in range(times):
            decoder.batch(page)
        samples.append((time.thread_time_ns() - start) / times / ROWS)
    return median(samples), pa.record_batch(decoder.batch(page)).nbytes / ROWS


def main() -> int:
    """Print the figures; return 1 if a goal is missed."""
    missed = 0
    for goal in GOALS:
        row, kept = cost("cython", goal)
        pure, _ = cost("python", goal)
        cell = row / len(goal.types)
        passed = cell <= goal.nanoseconds and pure / 1000 <= goal.microseconds and kept <= goal.kept
        missed += not passed
        print(
            f"{goal.name:24} {cell:6.2f} ns a value (<= {goal.nanoseconds})  {kept:6.1f} bytes a row "
            f"(<= {goal.kept})  pure {pure / 1000:6.2f} us a row (<= {goal.microseconds})  {'' if passed else 'MISSED'}"
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
