# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False, nonecheck=True
# cython: freethreading_compatible=False, auto_pickle=False
"""One request and where it stands: the only state machine that requests have.

    PREPARING / THROTTLED / CONNECTING / QUEUED / BACKING_OFF  --send-->  SENDING  --pulled-->  WAITING  -->  DONE

In the first five a `RequestQueue` holds the request, in the next two the streams of a connection do. Whoever holds it
can be told to `release` it, by identity, at any moment: that is all that cancellation is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql.engine.phase import Phase
from triocql.engine.requests.telling import as_error, refuse, report
from triocql.policies.balancing import RoutedRequest

if TYPE_CHECKING:
    from triocql.codecs.rows import Page
    from triocql.engine.contracts import Holder, Sink
    from triocql.engine.history import History
    from triocql.metadata.node import Node
    from triocql.observability.meters import NodeMeter
    from triocql.policies.balancing import BalancingPolicy
    from triocql.protocol.responses import Extras

# Looked up once: in Python 3.11 that is a call, which fails where the stack ends.
_NEW, _DONE = Phase.NEW, Phase.DONE


class Response:
    """The answer to one request: a page of rows, or none, and what comes beside it."""

    __slots__ = ("coordinator", "extras", "page", "paging_state")

    def __init__(
        self,
        page: Page | None = None,
        paging_state: bytes | None = None,
        extras: Extras | None = None,
        coordinator: Node | None = None,
    ) -> None:
        self.page = page
        self.paging_state = paging_state
        self.extras = extras
        self.coordinator = coordinator


class Completion:
    """A `Sink` of the engine's own: compiled, it is called without a look-up of its methods."""

    __slots__ = ()

    def resolve(self, value: Any) -> None:
        """Called with the value (`Sink`)."""
        raise NotImplementedError

    def reject(self, error: BaseException) -> None:
        """Called with the error (`Sink`)."""
        raise NotImplementedError


def give(sink: Sink, value: Any) -> None:
    """Resolve `sink`. If it cannot take the value, it gets an error instead."""
    try:
        if isinstance(sink, Completion):
            completion = sink
            completion.resolve(value)
        else:
            sink.resolve(value)
    except Exception as bug:
        refuse(sink, as_error(bug))
        report(bug)


def has_gone(sink: Sink | None) -> bool:
    """Return whether `sink` is a waiter whose consumer was cancelled, though the loop has not said so (`is_gone`)."""
    if isinstance(sink, Completion):
        return False
    return bool(getattr(sink, "is_gone", False))


def is_bounded(sink: Sink | None) -> bool:
    """Return whether there are only so many like `sink` at a time (`Sink`)."""
    return getattr(sink, "bounded", False)


class Request:
    """A message on its way to one connection. Subclasses say what its answer, and the connection's end, lead to.

    Attributes:
        sent: when it was written, in seconds of the loop's clock.
        at: the meter of the node that it was given to, until it is counted how that has ended.
        layout: what its body has more than usual, in bits: see `Features.layout`.
    """

    __slots__ = ("at", "body", "deadline", "flags", "holder", "layout", "opcode", "phase", "sent", "stream")

    def __init__(self) -> None:
        self.phase = Phase.NEW
        self.holder: Holder | None = None
        self.at: NodeMeter | None = None
        self.deadline = 0.0
        self.sent = 0.0
        self.stream = -1
        self.opcode = 0
        self.flags = 0
        self.layout = 0
        self.body = b""

    @property
    def plan(self) -> Any:
        """The nodes that come next; None for a first attempt, which goes to the node whose turn it is."""
        return None

    @property
    def node(self) -> Node | None:
        """The only node that it may go to; None for any."""
        return None

    @property
    def balancing(self) -> BalancingPolicy | None:
        """The policy that says where it goes; None for the session's."""
        return None

    @property
    def has_key(self) -> bool:
        """Whether it is about a partition that is known, so that some nodes are better than others."""
        return False

    @property
    def bounded(self) -> bool:
        """Whether there are only so many like it at a time: then it waits, however full the queue is."""
        return False

    def routed(self) -> RoutedRequest:
        """Return what a balancing policy is told of it."""
        return RoutedRequest("")

    def past(self) -> History | None:
        """Return the waits and attempts of the past, None while there are none."""
        return None

    def answered(self, connection: Any, opcode: int, flags: int, body: bytes) -> None:
        """Called with the response. The connection has let go of the request."""
        raise NotImplementedError

    def lost(self, connection: Any, error: Exception, *, written: bool) -> None:
        """Called when the connection has ended. It has let go of the request."""
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        """End with `error`, once."""
        raise NotImplementedError

    def abandon(self) -> None:
        """End without telling anybody: whoever waited is gone. What was not written will not be sent."""
        raise NotImplementedError

    def time_out(self, now: float, node: Node | None = None) -> None:
        """End because the deadline has passed by `now`, on the connection to `node` or on none."""
        raise NotImplementedError

    def parked(self) -> None:
        """Called when a queue takes it: it is on no connection until `waited`."""

    def waited(self, phase: Phase, seconds: float) -> None:
        """Record a wait in `phase`, on no connection; what comes after that needs no clock to be asked."""
        raise NotImplementedError

    def is_unwanted(self) -> bool:
        """Return whether the consumer was cancelled, though the loop has not said so yet."""
        return False

    def fit(self, layout: int) -> None:
        """Say the same by a body for connections of this layout: it goes to one of these."""
        self.layout = layout

    def leave(self) -> None:
        """Have whoever holds the request let go of it."""
        holder, self.holder = self.holder, None
        if holder is not None:
            holder.release(self, self.phase)

    def finish(self) -> None:
        """Be done. That is so before the holder lets go: it may have others told, who may tell this one."""
        holder, phase = self.holder, self.phase
        self.phase = _DONE
        if holder is not None:
            self.holder = None
            try:
                holder.release(self, phase)
            except Exception as bug:
                report(bug)
