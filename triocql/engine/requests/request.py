"""One request and where it stands: the only state machine that requests have.

    PREPARING / CONNECTING / QUEUED  --send-->  SENDING  --pulled by the transport-->  WAITING  -->  DONE

In the first four a `RequestQueue` holds the request, in the next two a `Connection` does. Whoever holds it can be told
to `release` it, by identity, at any moment: that is all that cancellation is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from triocql.engine.requests.overdue import timed_out
from triocql.engine.requests.phase import Phase
from triocql.engine.requests.telling import give, refuse, report

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.engine.connections.connection import Connection

_DONE = Phase.DONE  # looked up once: in Python 3.11 that is a call, which fails where the stack ends


class Holder(Protocol):
    """What a request is in: a connection or a parking."""

    def release(self, request: Request, phase: Phase) -> None:
        """Forget `request`, if it is here; `phase` is the one that it was held in."""


class Sink(Protocol):
    """Where the outcome of a request goes; a `Waiter` is one."""

    def resolve(self, value: Any) -> None:
        """Take the value."""

    def reject(self, error: BaseException) -> None:
        """Take the error."""


def is_gone(sink: Sink | None) -> bool:
    """Whether `sink` is a waiter whose consumer was cancelled, which the loop has not told yet (`Waiter.is_gone`)."""
    check: Callable[[], bool] | None = getattr(sink, "is_gone", None)
    return check is not None and check()


class Request:
    """A message on its way, with one outcome at the end.

    Subclasses say what an answer means (`answered`) and what to do when the connection ends first (`lost`).
    Pure twin of `_hot`.
    """

    __slots__ = (
        "body",
        "deadline",
        "flags",
        "holder",
        "opcode",
        "phase",
        "sink",
        "stream",
        "timeout",
        "waited",
    )

    def __init__(self, sink: Sink, deadline: float, timeout: float) -> None:
        self.sink: Sink | None = sink
        self.deadline = deadline
        self.timeout = timeout
        self.phase = Phase.NEW
        self.holder: Holder | None = None
        self.stream = -1
        self.opcode = 0
        self.flags = 0
        self.body = b""
        self.waited: tuple[tuple[str, float], ...] | None = None

    def answered(self, connection: Connection, opcode: int, flags: int, body: bytes) -> None:
        """Take the response. The connection has let go of the request."""
        raise NotImplementedError

    def lost(self, connection: Connection, error: Exception, *, written: bool) -> None:
        """Take note that the connection ended. The connection has let go of the request."""
        raise NotImplementedError

    def succeed(self, value: Any) -> None:
        """End with `value`, once."""
        if self.phase is not _DONE:
            give(self._end(), value)

    def fail(self, error: BaseException) -> None:
        """End with `error`, once."""
        if self.phase is not _DONE:
            refuse(self._end(), error)

    def abandon(self) -> None:
        """End without telling anybody: whoever waited is gone. What was not written will not be sent."""
        if self.phase is not _DONE:
            self._end()

    @property
    def statement(self) -> str:
        """The text of the statement that it is about, "" if there is none."""
        return ""

    def time_out(self, now: float, node: str = "") -> None:
        """End because the deadline passed by `now`, on the connection to `node` or on none."""
        self.fail(timed_out(self, now, node))

    def leave(self) -> None:
        """Have whoever holds the request let go of it."""
        holder, self.holder = self.holder, None
        if holder is not None:
            holder.release(self, self.phase)

    def _end(self) -> Sink:
        """Be done, and return the sink: it is forgotten, for waiters know their request, and the two would be garbage
        that waits for a collection.

        What is done is so before its holder lets go of it: that may have others told, who may tell this one.
        """
        sink, holder, phase = self.sink, self.holder, self.phase
        self.sink = self.holder = None
        self.phase = _DONE
        if holder is not None:
            try:
                holder.release(self, phase)
            except Exception as bug:
                report(bug)
        assert sink is not None, "what was not done has one"
        return sink
