"""The rows, the columns and the gates."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from tests.benchmarks.contenders import Contender, Operation, Shape
from tests.benchmarks.harness import Cell, Figures, Plan, Quantity, Row

TRIO, ASYNCIO, UVLOOP = (Contender("triocql", loop) for loop in ("trio", "asyncio", "uvloop"))
THREAD, THREAD_V4 = Contender("triocql", "thread"), Contender("triocql", "thread", version=4)
CASSANDRA = Contender("cassandra-driver", "blocking")
RAW = Row(Contender("raw socket", "blocking", version=4), "windows")
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
    RAW,
    Row(Contender("raw socket", "trio", version=4), "windows"),
    Row(Contender("raw socket", "asyncio", version=4), "windows"),
]
OPERATIONS: tuple[Operation, ...] = ("INSERT", "SELECT")
CELLS = [Cell(operation, in_flight) for operation in OPERATIONS for in_flight in (1, 32, 100, 256)]
THREADS = [
    Row(THREAD, "threads"),
    Row(THREAD_V4, "threads"),
    Row(CASSANDRA, "threads"),
    RAW,
]
THREAD_CELLS = [Cell(operation, threads) for operation in OPERATIONS for threads in (1, 8, 32)]
# Of three nodes, each row of a table has one replica, and each of these drivers sends a request there.
NODES = 3
OF_NODES = [
    Row(TRIO, "concurrent"),
    Row(TRIO, "tasks"),
    Row(ASYNCIO, "concurrent"),
    Row(ASYNCIO, "tasks"),
    Row(UVLOOP, "concurrent"),
    Row(UVLOOP, "tasks"),
    Row(THREAD, "concurrent"),
    Row(Contender("triocql", "trio", pure=True), "concurrent"),
    Row(Contender("triocql", "trio", pure=True), "tasks"),
    ACSYLLA,
]
QUICK_CELLS = [cell for cell in CELLS if cell.in_flight == 100]


class Gate(NamedTuple):
    """The largest ratio of a row to another one, in the same rounds: of CPU time, or of time."""

    quantity: Quantity
    row: Row
    reference: Row
    cell: Cell
    most: float

    def line(self, figures: Figures) -> str:
        """Return the verdict as a line of text."""
        verdict = "ok  " if self.passed(figures) else "FAIL"
        what = {"cpu": "CPU time", "wall": "time"}[self.quantity]
        return (
            f"{verdict} {self._ratio(figures):5.2f} (most {self.most:.2f})  {self.cell}  "
            f"{what}: {self.row} / {self.reference}"
        )

    def passed(self, figures: Figures) -> bool:
        """Say whether the row is fast enough."""
        return self._ratio(figures) <= self.most

    def measured(self, figures: Figures) -> bool:
        """Say whether both rows were measured."""
        return {(self.row, self.cell), (self.reference, self.cell)} <= figures.rounds.keys()

    def _ratio(self, figures: Figures) -> float:
        return figures.ratio(self.row, self.reference, self.cell, self.quantity)


_Peers: TypeAlias = tuple[tuple[Contender, Shape, Operation, float], ...]


def _against_acsylla(peers: _Peers) -> list[Gate]:
    return [
        Gate("cpu", Row(contender, shape), ACSYLLA, Cell(operation, 100), most)
        for contender, shape, operation, most in peers
    ]


_PEERS: _Peers = (
    (TRIO, "concurrent", "INSERT", 0.45),
    (TRIO, "concurrent", "SELECT", 0.7),
    (TRIO, "tasks", "INSERT", 1.5),
    (TRIO, "tasks", "SELECT", 1.5),
    (ASYNCIO, "tasks", "INSERT", 1.2),
    (ASYNCIO, "tasks", "SELECT", 1.2),
)
GATES = [
    *_against_acsylla(_PEERS),
    *(
        Gate("cpu", Row(THREAD, "concurrent"), Row(TRIO, "concurrent"), Cell(operation, 100), 1.33)
        for operation in OPERATIONS
    ),
    *(Gate("wall", Row(THREAD_V4, "threads"), RAW, Cell(operation, 1), 2.0) for operation in OPERATIONS),
]
_NODES_PEERS: _Peers = (
    (TRIO, "concurrent", "INSERT", 0.45),
    (TRIO, "concurrent", "SELECT", 0.6),
    (TRIO, "tasks", "INSERT", 1.25),
    (TRIO, "tasks", "SELECT", 1.25),
    (ASYNCIO, "tasks", "INSERT", 1.0),
    (ASYNCIO, "tasks", "SELECT", 1.0),
)
GATES_OF_NODES = _against_acsylla(_NODES_PEERS)


def plan(*, gates: bool, quick: bool) -> Plan:
    """Return which rows to measure for each cell: all, or only what the gates need, or only 100 in flight."""
    rows: Plan = {}
    if gates:
        rows = _gated(GATES)
    else:
        for cell in QUICK_CELLS if quick else CELLS:
            rows.setdefault(cell, []).extend(OURS + OTHERS)
        for cell in () if quick else THREAD_CELLS:
            rows.setdefault(cell, []).extend(THREADS)
    return {cell: list(dict.fromkeys(rows)) for cell, rows in rows.items()}


def plan_of_nodes(*, gates: bool) -> Plan:
    """Return what to measure on several nodes: all, or only what their gates need."""
    return _gated(GATES_OF_NODES) if gates else dict.fromkeys(QUICK_CELLS, OF_NODES)


def _gated(gates: list[Gate]) -> Plan:
    rows: Plan = {}
    for gate in gates:
        rows.setdefault(gate.cell, []).extend((gate.row, gate.reference))
    return {cell: list(dict.fromkeys(rows)) for cell, rows in rows.items()}
