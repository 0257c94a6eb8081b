"""`python -m tests.benchmarks.compare BASE`: what triocql costs now, in terms of what it cost in another revision."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
from dataclasses import replace
from math import comb
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks import instructions, lineup, report, revisions, server
from tests.benchmarks.contenders import Contender
from tests.benchmarks.harness import Cell, Row, measure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.benchmarks.harness import Plan

MOST = 1.03
ROUNDS = 9

PURE = Contender("triocql", "trio", pure=True)
MANY = [
    *(
        Row(contender, "concurrent")
        for contender in (lineup.TRIO, lineup.ASYNCIO, lineup.UVLOOP, lineup.THREAD)
    ),
    *(Row(contender, "tasks") for contender in (lineup.TRIO, lineup.ASYNCIO, lineup.UVLOOP)),
    *(Row(PURE, shape) for shape in ("concurrent", "tasks")),
]
ONE = [Row(lineup.TRIO, "tasks"), Row(lineup.THREAD_V4, "threads")]
WORKLOADS = [
    (row, Cell(operation, in_flight))
    for rows, in_flight in ((MANY, 100), (ONE, 1))
    for row in rows
    for operation in lineup.OPERATIONS
]


class Ratios(NamedTuple):
    """What a workload costs, by what it cost before: one ratio for each round."""

    values: Sequence[float]

    def median(self) -> float:
        """Return the verdict of the rounds."""
        return median(self.values)

    def interval(self) -> tuple[float, float]:
        """Return between what the median would be if there were very many rounds.

        Half of the rounds would be below, so that by chance, as of coins, the second smallest of nine is above it, or
        the second largest below it, in 4 of 100 cases: the least that is not above 5. No shape of the noise is assumed.
        """
        ordered, rounds = sorted(self.values), len(self.values)
        cut, cases = 0, 1 + rounds
        while 2 * cases <= 0.05 * 2**rounds:
            cut += 1
            cases += comb(rounds, cut + 1)
        return ordered[cut], ordered[-1 - cut]

    def verdict(self) -> str:
        """Say whether it has become worse: "WORSE" is beyond noise, "noisy" leaves it open."""
        if self.interval()[0] > MOST:
            return "WORSE"
        return "noisy" if self.median() > MOST else "ok"

    def line(self, row: Row, cell: Cell) -> str:
        """Return the verdict as a line of text."""
        low, high = self.interval()
        return f"{self.verdict():5} {self.median():.3f} ({low:.3f} to {high:.3f})  {cell}  {row}"


def of_rounds(new: Sequence[float], old: Sequence[float]) -> Ratios:
    """Return the ratios of rounds that ran close together."""
    return Ratios([now / before for now, before in zip(new, old, strict=True)])


def by_clocks(new: Path, old: Path, port: int, workloads: Sequence[tuple[Row, Cell]]) -> list[Ratios]:
    """Run rounds of new and old in turn."""
    pairs = [((_in(new, row), cell), (_in(old, row), cell)) for row, cell in workloads]
    plan: Plan = {}
    for row, cell in itertools.chain(*pairs):
        plan.setdefault(cell, []).append(row)
    figures = measure(plan, port, rounds=ROUNDS, seconds=0.15, progress=report.say)
    cpu = {workload: [spent.cpu for spent in rounds] for workload, rounds in figures.rounds.items()}
    return [of_rounds(cpu[now], cpu[before]) for now, before in pairs]


def by_instructions(new: Path, old: Path, port: int, workloads: Sequence[tuple[Row, Cell]]) -> list[Ratios]:
    """Count the instructions of new and old."""
    ratios = {}
    for contender in dict.fromkeys(row.contender for row, _ in workloads):
        report.say(f"{contender}, new and old")
        own = [workload for workload in workloads if workload[0].contender == contender]
        counts = [
            instructions.count(replace(contender, folder=str(folder)), port, own) for folder in (new, old)
        ]
        for workload, now, before in zip(own, *counts, strict=True):
            ratios[workload] = of_rounds(now, before)
    return [ratios[workload] for workload in workloads]


def _in(folder: Path, row: Row) -> Row:
    return row._replace(contender=replace(row.contender, folder=str(folder)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.compare", description=__doc__)
    parser.add_argument("base", help="the revision to compare with")
    parser.add_argument("new", nargs="?", help="the revision to judge (default: the files as they are)")
    parser.add_argument("--instructions", action="store_true", help="count instructions, under valgrind")
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="only workloads whose line has this pattern"
    )
    return parser.parse_args()


def main() -> int:
    options = arguments()
    new = revisions.tree_of(options.new) if options.new else revisions.tree_of_checkout()
    report.say("building")
    new_folder, old_folder = revisions.built(new, revisions.tree_of(options.base))
    workloads = [
        (row, cell)
        for row, cell in WORKLOADS
        if re.search(options.only, f"{cell}  {row}") and not (options.instructions and row.contender.pure)
    ]
    if not options.instructions:
        print(f"load {os.getloadavg()[0]:.1f}; figures of CPU time are worth little unless it is below 1\n")
    with server.running() as port:
        judge = by_instructions if options.instructions else by_clocks
        ratios = judge(new_folder, old_folder, port, workloads)
    what = "instructions" if options.instructions else "CPU time"
    print(f"{what}, new / {options.base}: medians of rounds (and between what they are); most {MOST:.2f}\n")
    for judged, workload in zip(ratios, workloads, strict=True):
        print(judged.line(*workload))
    return int(any(judged.verdict() == "WORSE" for judged in ratios))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except RuntimeError as error:
        sys.exit(str(error))
