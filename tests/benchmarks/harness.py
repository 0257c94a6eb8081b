"""Runs rounds: every contender takes its turn in each, so that a noisy machine disturbs all of them alike."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

from tests.benchmarks import child
from tests.benchmarks.contenders import WHAT, Contender, Operation, Order, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MOST_REQUESTS = 50_000  # all results of a round are kept, so that it may not be any length
SETTINGS = 3
"""How often the processes are started anew: chance gives each its layout in memory, and how many requests a round has
decides how often garbage is collected in it."""


class Row(NamedTuple):
    """A line of the table: a contender, called in one way."""

    contender: Contender
    shape: Shape

    def __str__(self) -> str:
        return f"{self.contender}: {WHAT[self.shape]}"


class Cell(NamedTuple):
    """A column of the table."""

    operation: Operation
    in_flight: int

    def __str__(self) -> str:
        return f"{self.operation} {self.in_flight}"


Plan = dict[Cell, list[Row]]
"""Which rows to measure for each cell."""

Quantity = Literal["cpu", "wall"]


class Spent(NamedTuple):
    """What one request cost in one round, in microseconds: of the process's CPU, and of time."""

    cpu: float
    wall: float


@dataclass
class Figures:
    """Everything measured: the rounds of each cell of each row, in the order in which they were run."""

    rounds: dict[tuple[Row, Cell], list[Spent]] = field(default_factory=dict)

    def cpu(self, row: Row, cell: Cell) -> float:
        """Return the median CPU time of a request in microseconds."""
        return median(spent.cpu for spent in self.rounds[row, cell])

    def rate(self, row: Row, cell: Cell) -> float:
        """Return the median number of requests a second."""
        return 1e6 / median(spent.wall for spent in self.rounds[row, cell])

    def ratio(self, row: Row, reference: Row, cell: Cell, quantity: Quantity = "cpu") -> float:
        """Return the median of the rounds' ratios of CPU time or of time: both sides of each ran close together."""
        pairs = zip(self.rounds[row, cell], self.rounds[reference, cell], strict=True)
        if quantity == "cpu":
            return median(ours.cpu / theirs.cpu for ours, theirs in pairs)
        return median(ours.wall / theirs.wall for ours, theirs in pairs)


class Process:
    """A contender at work in a process of its own."""

    def __init__(self, contender: Contender, stdin: IO[str], stdout: IO[str]) -> None:
        self._contender = contender
        self._stdin = stdin
        self._stdout = stdout

    def answer(self) -> Any:
        """Wait for the process's next line. Raises RuntimeError if it ended instead."""
        line = self._stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self._contender} ended; its stderr says why")
        return json.loads(line)

    def obey(self, order: Order) -> Any:
        """Run one round, and return what the process says of it."""
        self._stdin.write(json.dumps(asdict(order)) + "\n")
        self._stdin.flush()
        return self.answer()

    def run(self, order: Order) -> Spent:
        """Run one round by the clocks."""
        cpu, wall = self.obey(order)
        return Spent(cpu / order.requests * 1e6, wall / order.requests * 1e6)


@contextlib.contextmanager
def started(contender: Contender, port: int, *how: str, under: Sequence[str] = ()) -> Iterator[Process]:
    """Run a contender's process while the block lasts, if need be under a command as valgrind's.

    Python looks in the folder first, and finds triocql there. The tests it finds in this checkout always.
    """
    arguments = json.dumps(asdict(contender)), str(port), *how
    environment = {
        "TRIOCQL_IMPL": "python" if contender.pure else "cython",
        "PYTHONPATH": str(child.ROOT),
        "PYTHONHASHSEED": "0",
    }
    with child.running(
        "tests.benchmarks.contenders",
        *arguments,
        environment=environment,
        folder=child.ROOT / contender.folder,
        under=under,
    ) as pipes:
        process = Process(contender, *pipes)
        process.answer()
        yield process


def measure(
    plan: Plan,
    port: int,
    *,
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
) -> Figures:
    """Measure the rows of every cell.

    Args:
        plan: what, and by whom, and how called; rows of the same contender share a process.
        port: the server's.
        rounds: how many rounds each cell gets at least, as many in each setting.
        seconds: about how long each contender works in a round.
        progress: called with a line before each cell.
    """
    figures = Figures()
    for number in range(1, SETTINGS + 1):
        with contextlib.ExitStack() as stack:
            contenders = dict.fromkeys(row.contender for rows in plan.values() for row in rows)
            processes = {contender: stack.enter_context(started(contender, port)) for contender in contenders}
            for cell, rows in plan.items():
                progress(f"{cell} in flight, processes {number} of {SETTINGS}")
                _measure(figures, processes, cell, rows, -(-rounds // SETTINGS), seconds)
    return figures


def _measure(
    figures: Figures,
    processes: Mapping[Contender, Process],
    cell: Cell,
    rows: Sequence[Row],
    rounds: int,
    seconds: float,
) -> None:
    """Run the rounds of a cell in one setting."""
    counts = {row: _requests(processes[row.contender], row, cell, seconds) for row in rows}
    for number in range(rounds):
        for row in rows if number % 2 else reversed(rows):
            spent = processes[row.contender].run(Order(row.shape, *cell, counts[row]))
            figures.rounds.setdefault((row, cell), []).append(spent)


def _requests(process: Process, row: Row, cell: Cell, seconds: float) -> int:
    """Warm up, and return how many requests take about `seconds`: a multiple of those in flight."""
    trial = max(10 * cell.in_flight, 200)
    process.run(Order(row.shape, *cell, trial))
    wall = process.run(Order(row.shape, *cell, trial)).wall
    wanted = min(max(seconds * 1e6 / wall, trial), MOST_REQUESTS)
    return int(wanted) // cell.in_flight * cell.in_flight
