"""Requests that never stop, to see what becomes of them while nodes come and go.

A `Load` says what each of its workers sends next, and takes note of what became of it; it knows no event loop, and no
session. What leads a session along it is in `running.py`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from uuid import UUID, uuid4

from triocql.errors import RequestError

if TYPE_CHECKING:
    from triocql.results.result import BaseResult

KEYSPACE = "proofs"
SCHEMA = (
    f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}",
    # A coordinator soon asks another replica than one that is paused. (By default it has to learn first what is late,
    # and waits for half of the timeout of reads.)
    f"CREATE TABLE IF NOT EXISTS {KEYSPACE}.texts (key text PRIMARY KEY, v text) WITH speculative_retry = '200ms'",
    # A row an execution: whatever is executed twice has two.
    f"CREATE TABLE IF NOT EXISTS {KEYSPACE}.runs (id uuid, run timeuuid, PRIMARY KEY (id, run))",
)
WRITE = f"INSERT INTO {KEYSPACE}.texts (key, v) VALUES (?, ?)"
READ = f"SELECT v FROM {KEYSPACE}.texts WHERE key = ?"
RUN = f"INSERT INTO {KEYSPACE}.runs (id, run) VALUES (?, now())"
RUNS = f"SELECT id FROM {KEYSPACE}.runs WHERE id = ?"

KEYS = 10
"""Keys of each worker, which nobody else writes."""

REST = 0.02
"""Seconds that a worker rests after an answer, so that nodes have the machine, too."""

NOTHING_YET = (None,)
"""What a read of a key may bring before anything was written there."""

PATIENCE = 120.0
"""Seconds until a test gives up."""

Outcome: TypeAlias = "BaseResult[Any] | RequestError"
Steps: TypeAlias = "Generator[Request, tuple[Outcome, float], None]"


class Request(NamedTuple):
    """One request of a worker: the text of its statement, and its parameters."""

    text: str
    parameters: list[Any]

    @property
    def idempotent(self) -> bool:
        """Whether it may be executed twice."""
        return self.text != RUN


class Failure(NamedTuple):
    """A request that ended with an error; plain data, so that it can be told by another process."""

    idempotent: bool
    error: str
    maybe_executed: bool
    nodes: tuple[str, ...]
    began: float
    seconds: float
    text: str


@dataclass
class Report:
    """What became of the requests of a load.

    Attributes:
        answers: how many were answered.
        failures: those that were not.
        wrong: reads that brought what was not written.
        served: how many were answered by each node.
        slowest: the longest time that a request took, in seconds.
        acknowledged: the ids of the runs that were answered.
        refused: the ids of those that are said not to have been executed.
        unknown: the ids of those that may have been.
    """

    answers: int = 0
    failures: list[Failure] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    served: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    acknowledged: set[UUID] = field(default_factory=set)
    refused: set[UUID] = field(default_factory=set)
    unknown: set[UUID] = field(default_factory=set)

    @property
    def runs(self) -> set[UUID]:
        """The ids of all runs."""
        return self.acknowledged | self.refused | self.unknown

    @property
    def errors(self) -> list[str]:
        """What was not to be: wrong answers, and errors of requests that may be executed twice."""
        return [*self.wrong, *self.failed]

    @property
    def failed(self) -> list[str]:
        """The errors of requests that may be executed twice."""
        return [failure.text for failure in self.failures if failure.idempotent]

    def check_runs(self, rows: Counter[UUID]) -> None:
        """Compare with the rows that are there: none was executed twice, and each as often as its outcome says."""
        assert {each: rows[each] for each in self.runs if rows[each] > 1} == {}
        assert {each for each in self.acknowledged if not rows[each]} == set()
        assert {each for each in self.refused if rows[each]} == set()


class Load:
    """What workers send, and what became of it.

    Attributes:
        name: sets its keys apart from those of other loads on the same table.
        report: what became of its requests so far.
        over: whether the workers are to stop.
        rest: how long a worker rests after an answer, in seconds.
        possible: what a read of each key may bring: more than one text, if a write has failed, and nothing, if the
            first one has.
    """

    def __init__(self, name: str) -> None:
        self.name = f"{name}-{uuid4()}"
        self.report = Report()
        self.over = False
        self.rest = REST
        self.possible: dict[str, set[str | None]] = {}
        self._changed = threading.Condition()

    def work(self, worker: int) -> Steps:
        """Yield the requests of one worker, one after the other, to be sent what became of each, and its seconds."""
        possible = self.possible
        for n in count():
            key, text = f"{self.name}-{worker}-{n % KEYS}", f"text {n}"
            written = yield from self._step(Request(WRITE, [key, text]))
            failed = isinstance(written, RequestError)
            possible[key] = {text, *possible.get(key, NOTHING_YET)} if failed else {text}
            read = yield from self._step(Request(READ, [key]))
            if not isinstance(read, RequestError) and (found := read.scalar()) not in possible[key]:
                self.report.wrong.append(f"{key} is {found!r}, not {possible[key]}")
            id_ = uuid4()
            ran = yield from self._step(Request(RUN, [id_]))
            self._ids(ran).add(id_)

    def _ids(self, outcome: Outcome) -> set[UUID]:
        report = self.report
        if not isinstance(outcome, RequestError):
            return report.acknowledged
        return report.unknown if outcome.maybe_executed else report.refused

    def _step(self, request: Request) -> Generator[Request, tuple[Outcome, float], Outcome]:
        """Have one request executed, and take note of its outcome."""
        outcome, seconds = yield request
        with self._changed:
            self._note(request, outcome, seconds)
            self._changed.notify_all()
        return outcome

    def _note(self, request: Request, outcome: Outcome, seconds: float) -> None:
        report = self.report
        report.slowest = max(report.slowest, seconds)
        if isinstance(outcome, RequestError):
            nodes = tuple(str(attempt.node) for attempt in outcome.attempts)
            kind, text = type(outcome).__name__, f"{type(outcome).__name__}: {outcome}"
            began = time.monotonic() - seconds
            report.failures.append(
                Failure(request.idempotent, kind, outcome.maybe_executed, nodes, began, seconds, text)
            )
        else:
            report.answers += 1
            report.served[str(outcome.coordinator)] += 1

    def take_report(self) -> Report:
        """Return the report so far, and begin a new one."""
        with self._changed:
            report, self.report = self.report, Report()
        return report

    def rest_after(self, outcome: Outcome) -> float:
        """Return how long a worker rests after this, in seconds."""
        return max(self.rest, 0.1) if isinstance(outcome, RequestError) else self.rest

    # --- Waiting, in another thread than the workers' ------------------------------------------------------

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until it is so; asked again whenever there is an outcome, and after a second."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come about; {self.report}"
            with self._changed:
                self._changed.wait(1.0)

    def answered(self, more: int) -> None:
        """Wait for this many more answers."""
        goal = self.report.answers + more
        self.until(lambda: self.report.answers >= goal, f"{more} more answers")

    def failed(self, more: int) -> None:
        """Wait for this many more failures."""
        goal = len(self.report.failures) + more
        self.until(lambda: len(self.report.failures) >= goal, f"{more} more failures")
