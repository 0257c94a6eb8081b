"""The history of a request: the attempts that failed, and where its time went."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from triocql.engine.phase import Phase
from triocql.errors import FIRST, LAST, Attempt, Error, Spent

if TYPE_CHECKING:
    from triocql.metadata.node import Node


class History:
    """The past of one request; made when there is one, which most requests have not. It is bounded, however long it is.

    Attributes:
        retries: how many attempts have failed that another one followed.
        maybe_executed: whether one of them may have been carried out.
        unprepared: how often a node has answered UNPREPARED, by node and the statement's text.
    """

    __slots__ = ("_first", "_last", "_spent", "maybe_executed", "retries", "unprepared")

    def __init__(self) -> None:
        self.retries = 0
        self.maybe_executed = False
        self.unprepared: dict[tuple[Node, str], int] = {}
        self._first: list[Attempt] = []
        self._last: deque[Attempt] = deque(maxlen=LAST)
        self._spent: dict[tuple[Phase, Node | None], float] = {}

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts that failed, of very many the first ones and the last ones."""
        return (*self._first, *self._last)

    @property
    def attempts_left_out(self) -> int:
        """How many attempts are not among `attempts`."""
        return self.retries - len(self._first) - len(self._last)

    def since(self, elapsed: float) -> float:
        """Return how many of the `elapsed` seconds of the request are not accounted for: an attempt begins where the
        wait, or the attempt, before it ended.
        """
        return max(0.0, elapsed - sum(self._spent.values()))

    def waited(self, phase: Phase, seconds: float, node: Node | None = None) -> None:
        """Record that `phase` took so long, on the connection to `node` or on none."""
        key = phase, node
        self._spent[key] = self._spent.get(key, 0.0) + seconds

    def failed(self, node: Node, error: Exception, elapsed: float, decision: str) -> None:
        """Record an attempt that took `elapsed` seconds by itself, and what was decided then."""
        attempt = Attempt(node, error, elapsed, decision)
        if len(self._first) < FIRST:
            self._first.append(attempt)
        else:
            self._last.append(attempt)
        self.retries += 1
        self.maybe_executed = self.maybe_executed or getattr(error, "maybe_executed", False)
        self.waited(Phase.WAITING, elapsed, node)

    def phases(self, elapsed: float, phase: Phase, node: Node | None) -> tuple[Spent, ...]:
        """Return where the `elapsed` seconds went, of which `phase`, on `node` or on no connection, is the last."""
        spent = dict(self._spent)
        spent[phase, node] = spent.get((phase, node), 0.0) + self.since(elapsed)
        return tuple(Spent(phase.value, seconds, node) for (phase, node), seconds in spent.items())

    def count_unprepared(self, node: Node, text: str) -> int:
        """Record that `node` does not know a statement; return how often it has said so, this time included."""
        count = self.unprepared[node, text] = self.unprepared.get((node, text), 0) + 1
        return count

    def explain(self, error: Error) -> None:
        """Let the last error of a request know of those before it."""
        if not error.attempts:
            error.attempts, error.attempts_left_out = self.attempts, self.attempts_left_out
        error.maybe_executed = error.maybe_executed or self.maybe_executed
