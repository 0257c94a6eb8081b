"""The rows, the columns and the gates."""

from __future__ import annotations

from typing import NamedTuple

from tests.benchmarks.contenders import Contender, Operation
from tests.benchmarks.harness import Cell, Figures, Row

TRIO, ASYNCIO, UVLOOP = (Contender("triocql", loop) for loop in ("trio", "asyncio", "uvloop"))
THREAD, CASSANDRA = Contender("triocql", "thread"), Contender("cassandra-driver", "blocking")
ACSYLLA = Row(Contender("acsylla", "asyncio", version=4), "tasks")

OURS = [
    Row(TRIO, "concurrent"),
    Row(TRIO, "tasks"),
    Row(ASYNCIO, "concurrent"),
    Row(ASYNCIO, "tasks"),
    Row(UVLOOP, "concurrent"),
    Row(UVLOOP, "tasks"),
    Row(THREAD, "concurrent"),
    Row(THREAD, "futures"),
    Row(Contender("triocql", "trio", version=4), "concurrent"),
    Row(Contender("triocql", "trio", version=4), "tasks"),
    Row(Contender("triocql", "trio", lz4=True), "concurrent"),
    Row(Contender("triocql", "trio", lz4=True), "tasks"),
    Row(Contender("triocql", "trio", pure=True), "concurrent"),
    Row(Contender("triocql", "trio", pure=True), "tasks"),
    Row(Contender("triocql", "asyncio", pure=True), "tasks"),
]
OTHERS = [
    ACSYLLA,
    Row(Contender("acsylla", "uvloop", version=4), "tasks"),
    Row(CASSANDRA, "concurrent"),
    Row(CASSANDRA, "futures"),
    Row(Contender("cassandra-driver", "blocking", version=4), "concurrent"),
    Row(Contender("raw socket", "blocking", version=4), "windows"),
    Row(Contender("raw socket", "trio", version=4), "windows"),
    Row(Contender("raw socket", "asyncio", version=4), "windows"),
]
OPERATIONS: tuple[Operation, ...] = ("INSERT", "SELECT")
CELLS = [Cell(operation, in_flight) for operation in OPERATIONS for in_flight in (1, 32, 100, 256)]
THREADS = [
    Row(THREAD, "threads"),
    Row(CASSANDRA, "threads"),
    Row(Contender("raw socket", "blocking", version=4), "windows"),
]
THREAD_CELLS = [Cell(operation, threads) for operation in OPERATIONS for threads in (1, 8, 32)]
GATE_CELLS = [cell for cell in CELLS if cell.in_flight == 100]


class Gate(NamedTuple):
    """The largest ratio to acsylla's CPU time, in the same rounds, that a row may have."""

    row: Row
    cell: Cell
    most: float

    def line(self, figures: Figures) -> str:
        """Return the verdict as a line of text."""
        verdict, ratio = (
            "ok  " if self.passed(figures) else "FAIL",
            figures.ratio(self.row, ACSYLLA, self.cell),
        )
        return f"{verdict} {ratio:5.2f} (most {self.most:.2f})  {self.cell}  {self.row}"

    def passed(self, figures: Figures) -> bool:
        """Say whether the row is fast enough."""
        return figures.ratio(self.row, ACSYLLA, self.cell) <= self.most


_INSERT, _SELECT = GATE_CELLS
GATES = [
    Gate(Row(TRIO, "concurrent"), _INSERT, 0.45),
    Gate(Row(TRIO, "concurrent"), _SELECT, 0.7),
    Gate(Row(TRIO, "tasks"), _INSERT, 1.5),
    Gate(Row(TRIO, "tasks"), _SELECT, 1.5),
    Gate(Row(ASYNCIO, "tasks"), _INSERT, 1.2),
    Gate(Row(ASYNCIO, "tasks"), _SELECT, 1.2),
]
GATE_ROWS = [*dict.fromkeys(gate.row for gate in GATES), ACSYLLA]
