"""Requests of one attempt, with a sink of their own: those of triocql itself, and waits for what others bring about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.engine.history import History
from triocql.engine.phase import Phase
from triocql.engine.requests import Request, give, has_gone
from triocql.engine.requests.overdue import timed_out
from triocql.engine.requests.telling import refuse

if TYPE_CHECKING:
    from triocql.engine.contracts import Sink
    from triocql.metadata.node import Node


class SingleRequest(Request):
    """A request with one attempt, whose outcome goes to its sink."""

    __slots__ = ("history", "sink", "timeout")

    def __init__(self, sink: Sink, deadline: float, timeout: float) -> None:
        Request.__init__(self)
        self.sink: Sink | None = sink
        self.deadline = deadline
        self.timeout = timeout
        self.history: History | None = None

    @property
    def statement(self) -> str:
        """The text of the statement that it is about, "" if there is none."""
        return ""

    def succeed(self, value: Any) -> None:
        """End with `value`, once."""
        if self.sink is not None:
            give(self._end(), value)

    def fail(self, error: BaseException) -> None:
        """End with `error`, once."""
        if self.sink is not None:
            refuse(self._end(), error)

    def abandon(self) -> None:
        """End without telling anybody."""
        if self.sink is not None:
            self._end()

    def time_out(self, now: float, node: Node | None = None) -> None:
        """End: the deadline has passed by `now`, on the connection to `node` or on none."""
        self.fail(timed_out(self, self.phase, now, node))

    def waited(self, phase: Phase, seconds: float) -> None:
        """Record a wait in `phase`, on no connection."""
        if self.history is None:
            self.history = History()
        self.history.waited(phase, seconds)

    def is_unwanted(self) -> bool:
        """Return whether the consumer was cancelled, though the loop has not said so yet."""
        return has_gone(self.sink)

    def _end(self) -> Sink:
        sink, self.sink = self.sink, None
        assert sink is not None, "what has not ended has one"
        self.finish()
        return sink


class Wait(SingleRequest):
    """A wait for what other requests bring about, with a deadline of its own; held by a queue.

    It is a sink, so that it can stand where the outcome is given.
    """

    __slots__ = ("_statement",)

    def __init__(self, sink: Sink, deadline: float, timeout: float, statement: str) -> None:
        SingleRequest.__init__(self, sink, deadline, timeout)
        self._statement = statement

    @property
    def statement(self) -> str:
        """The text that it waits for (`SingleRequest`)."""
        return self._statement

    def resolve(self, value: Any) -> None:
        """End with `value`."""
        self.succeed(value)

    def reject(self, error: BaseException) -> None:
        """End with `error`."""
        self.fail(error)
