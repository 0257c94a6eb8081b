"""The Protocols between the rooms of the engine, for calls that go upward: an outcome, what happens on a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from triocql.engine.phase import Phase
    from triocql.metadata.node import Node
    from triocql.policies.balancing import BalancingPolicy


class Sink(Protocol):
    """The receiver of a request's outcome; a `Waiter` is one.

    One that is `bounded` says so by an attribute: whoever made it has only so many under way. Its requests wait in
    queues, however full those are.
    """

    def resolve(self, value: Any) -> None:
        """Called with the value."""

    def reject(self, error: BaseException) -> None:
        """Called with the error."""


class Holder(Protocol):
    """The holder of a request: the streams of a connection, or a queue."""

    def release(self, request: Any, phase: Phase) -> None:
        """Forget `request`, if it is here; `phase` is the one that it was held in."""


class Unfinished(Protocol):
    """A request, as those see it who deliver one outcome to many."""

    @property
    def phase(self) -> Phase:
        """The phase that it is in."""

    @property
    def deadline(self) -> float:
        """The time by which it has to have ended, by the loop's clock."""

    def fail(self, error: BaseException) -> None:
        """End with `error`, once."""

    def time_out(self, now: float, node: Node | None = None) -> None:
        """End because the deadline has passed by `now`, on the connection to `node` or on none."""


class Held(Unfinished, Protocol):
    """A request, as a queue sees it."""

    phase: Phase
    holder: Holder | None
    body: bytes

    def parked(self) -> None:
        """Called when a queue takes it: it is on no connection until `waited`."""

    def waited(self, phase: Phase, seconds: float) -> None:
        """Record a wait in `phase`, on no connection."""

    def leave(self) -> None:
        """Have whoever holds the request let go of it."""


class Source(Protocol):
    """Something that holds what waits until a deadline."""

    def expire(self, now: float) -> tuple[float, int]:
        """End what is due by `now`; return the earliest deadline that is left (or inf) and how many wait."""


class StreamsOwner(Protocol):
    """The connection, as its table of stream ids sees it."""

    name: str
    node: Node

    @property
    def end_error(self) -> Exception:
        """The error that it has ended with."""

    def wake(self) -> None:
        """Called when the first request of a batch is there."""

    def released(self) -> None:
        """Called when a request was let go of without an answer."""

    def pushed(self, flags: int, body: bytes) -> None:
        """Called with an event of the server's. Raises ProtocolError."""


class Owner(Protocol):
    """The owner of a connection, called when something happens on it."""

    def on_reading(self) -> None:
        """Called when responses are about to be given to their requests."""

    def on_read(self) -> None:
        """Called when that is done: stream ids have become free."""

    def on_room(self) -> None:
        """Called when stream ids became free without that."""

    def on_event(self, connection: Any, body: bytes, flags: int) -> None:
        """Called when the server pushed an event. Raises ProtocolError."""

    def on_draining(self, connection: Any) -> None:
        """Called when the connection takes no more requests; it ends when it has none left."""

    def on_lost(self, connection: Any, error: Exception) -> None:
        """Called when the connection has ended; its requests get their error after this."""


class Speculating(Protocol):
    """Has executions send copies of their requests to other nodes."""

    def begin(self, execution: Any) -> None:
        """Called when an execution has been sent that may be executed twice."""


class Admitting(Protocol):
    """Lets executions through, as many as may be under way or start at a time."""

    def admit(self, attempt: Any) -> bool:
        """Return whether a first attempt may be sent now: if not, it is held, or has ended."""

    def give(self) -> None:
        """Called when an execution has ended that was let through."""


class Racing(Protocol):
    """The attempts of an execution beside the one that it knows."""

    def lose(self, attempt: Any, node: Node | None, error: Exception) -> bool:
        """Be without an attempt that has failed, if others are under way: return whether there are any."""

    def resume(self) -> None:
        """Called after a wait on no connection."""

    def win(self, attempt: Any) -> None:
        """Called with the attempt that was answered."""

    def end(self, attempt: Any, error: BaseException | None) -> None:
        """Called when the execution has ended whose attempt this was: by an answer to any of them, or by `error`."""


class Recovering(Protocol):
    """Decides what follows an attempt that did not succeed.

    Attributes:
        balancing: the policy that says where attempts go; None for the session's.
    """

    balancing: BalancingPolicy | None

    def submit(self, request: Any) -> None:
        """Send a first attempt, or queue it, or fail it. Never raises."""

    def now(self) -> float:
        """Return the loop's clock, in seconds."""

    def refused(self, attempt: Any, connection: Any, opcode: int, flags: int, body: bytes) -> None:
        """Called with an answer that is no RESULT."""

    def unreadable(self, attempt: Any, connection: Any, error: BaseException) -> None:
        """Called with what reading the answer raised."""

    def lost(self, attempt: Any, connection: Any, error: Exception, *, written: bool) -> None:
        """Called when the connection ended before the answer came."""

    def overdue(self, attempt: Any, connection: Any, now: float) -> None:
        """Called when the time is up for this attempt, not for the call, on a connection that goes on."""

    def watch(self, deadline: float) -> None:
        """Have what is overdue at `deadline` be found then."""
