"""The history of a request: the waits on no connection, the attempts that failed, and how long both took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.errors import Attempt, Error, RequestError

if TYPE_CHECKING:
    from triocql.engine.phase import Phase
    from triocql.metadata.node import Node


class History:
    """The past of one request; made when there is one, which most requests have not.

    Attributes:
        waits: phases without a connection and the seconds that they took, in order.
        attempts: the attempts that failed and that another one followed.
        maybe_executed: whether one of them may have been carried out.
        unprepared: how often a node has answered UNPREPARED, by node and statement id.
    """

    __slots__ = ("attempts", "maybe_executed", "unprepared", "waits")

    def __init__(self) -> None:
        self.waits: tuple[tuple[str, float], ...] = ()
        self.attempts: tuple[Attempt, ...] = ()
        self.maybe_executed = False
        self.unprepared: dict[tuple[Node, bytes], int] = {}

    @property
    def seconds(self) -> float:
        """The seconds that are accounted for: an attempt begins where the wait, or the attempt, before it ended."""
        return sum(seconds for _, seconds in self.waits) + sum(each.elapsed for each in self.attempts)

    def waited(self, phase: Phase, seconds: float) -> None:
        """Record a wait; what comes after it needs no clock to be asked."""
        self.waits += ((phase.value, seconds),)

    def failed(self, node: Node, error: RequestError, elapsed: float) -> None:
        """Record an attempt that another one follows; `elapsed` is the time of all of the request, in seconds."""
        self.attempts += (Attempt(node, error, elapsed - self.seconds),)
        self.maybe_executed = self.maybe_executed or error.maybe_executed

    def count_unprepared(self, node: Node, statement_id: bytes) -> int:
        """Record that `node` does not know a statement; return how often it has said so, this time included."""
        count = self.unprepared[node, statement_id] = self.unprepared.get((node, statement_id), 0) + 1
        return count

    def explain(self, error: Error) -> None:
        """Let the last error of a request know of those before it."""
        error.attempts = error.attempts or self.attempts
        error.maybe_executed = error.maybe_executed or self.maybe_executed
