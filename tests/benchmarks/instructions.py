"""How many instructions a request takes: counted by valgrind's callgrind, which is the same on a busy machine."""

from __future__ import annotations

import itertools
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.contenders import Order
from tests.benchmarks.harness import started

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.contenders import Contender
    from tests.benchmarks.harness import Cell, Row

REQUESTS, ROUNDS = 1000, 5
"""Answers come in pieces that chance cuts, which costs a few instructions more or less: hence rounds."""

_TOTAL = re.compile(
    r"^totals: (\d+)$", re.MULTILINE
)  # the "summary" is a difference to what was dumped before


def count(
    contender: Contender,
    port: int,
    workloads: Iterable[tuple[Row, Cell]],
    *,
    requests: int = REQUESTS,
    rounds: int = ROUNDS,
) -> list[list[int]]:
    """Return for each workload how many instructions its rounds take, each of so many requests, of all threads of the
    process together.

    Nothing else is counted: not the start, and not what a first round takes, which finds caches empty.
    """
    with tempfile.TemporaryDirectory() as folder:
        valgrind = (
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={folder}/out",
        )
        with started(contender, port, "count", under=valgrind) as process:

            def round_of(row: Row, cell: Cell) -> int:
                process.obey(Order(row.shape, *cell, requests))
                return total(Path(f"{folder}/out.{next(numbers)}").read_text())

            numbers = itertools.count(1)
            return [[round_of(*workload) for _ in range(1 + rounds)][1:] for workload in workloads]


def total(report: str) -> int:
    """Return the number of instructions in a file of callgrind's."""
    found = _TOTAL.search(report)
    if found is None:
        raise ValueError("this is no file of callgrind's: it has no total")
    return int(found[1])
