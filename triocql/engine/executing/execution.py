# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False, nonecheck=True
# cython: freethreading_compatible=False
"""A user's request, from its start to its outcome, and the attempts that it takes.

The *execution* has what all of it has in common: who waits, until when, what is said, which nodes come next. An
*attempt* is one try at it on one connection, and is what queues and connections hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql import errors
from triocql.engine.history import History
from triocql.engine.phase import Phase
from triocql.engine.requests.overdue import timed_out
from triocql.engine.requests.telling import refuse
from triocql.errors import Abandoned, RequestError, SessionClosed
from triocql.observability.tracker import IGNORED, About, Tracked
from triocql.protocol.constants import MAX_FRAME, Opcode, ResultKind
from triocql.protocol.frames import check_body

if TYPE_CHECKING:
    import cython

    from triocql.engine.connections.connection import Connection
    from triocql.engine.contracts import Admitting, Racing, Recovering, Sink
    from triocql.engine.routing.plan import Plan
    from triocql.metadata.node import Node
    from triocql.observability.meters import RequestMeter
    from triocql.observability.tracker import GuardedTracker
    from triocql.policies.balancing import BalancingPolicy, RoutedRequest
else:
    from triocql import _cython as cython

if not cython.compiled:
    from triocql.engine.messages.message import Message
    from triocql.engine.requests.request import Request, give, has_gone, is_bounded

_NEW, _SENDING, _WAITING, _DONE = Phase.NEW, Phase.SENDING, Phase.WAITING, Phase.DONE
_RESULT = int(Opcode.RESULT)
_VOID = int(ResultKind.VOID).to_bytes(4, "big")


class Attempt(Request):
    """One try at an execution, on one connection."""

    __slots__ = ("execution",)

    def __init__(self, execution: Execution) -> None:
        Request.__init__(self)
        self.execution = execution
        self.deadline = execution.deadline

    @property
    def message(self) -> Message:
        """The message of the execution, which has one once it is sent."""
        message = self.execution.message
        assert message is not None, "what was sent has one"
        return message

    def encode(self) -> None:
        """Say what the message says by now: a statement in it may have been prepared again."""
        self.body = self.message.body()
        self.layout = 0

    def fit(self, layout: int) -> None:
        """Say the same by a body for connections of this layout (`Request`)."""
        self.body = self.message.fitted(self.body, self.layout, layout)
        self.layout = layout

    @property
    def plan(self) -> Plan | None:
        """The plan of the execution (`Request`)."""
        return self.execution.plan

    @property
    def node(self) -> Node | None:
        """The only node that it may go to (`Request`)."""
        return self.message.node

    @property
    def balancing(self) -> BalancingPolicy | None:
        """The policy of the execution's profile (`Request`)."""
        return self.execution.recovery.balancing

    @property
    def has_key(self) -> bool:
        """Whether it is about a partition that is known (`Request`)."""
        return self.message.has_key

    @property
    def bounded(self) -> bool:
        """Whether its sink is (`Request`)."""
        return is_bounded(self.execution.sink)

    def routed(self) -> RoutedRequest:
        """Return what a balancing policy is told of it (`Request`)."""
        return self.message.routed(self.execution.idempotent)

    def past(self) -> History | None:
        """Return the past of the execution (`Request`)."""
        return self.execution.history

    def answered(self, connection: Connection, opcode: int, flags: int, body: bytes) -> None:
        """End the execution with the response, or have recovery decide about the error."""
        execution = self.execution
        if opcode != _RESULT:
            execution.recovery.refused(self, connection, opcode, flags, body)
            return
        race = execution.race
        message = execution.message if race is None else self.message
        assert message is not None, "what was sent has one"
        if not flags and body == _VOID and message.may_be_void:
            response: Any = connection.void
        else:
            try:
                response = message.read(flags, body, connection)
            except BaseException as error:  # a class or a codec of the caller's may have raised it
                execution.recovery.unreadable(self, connection, error)
                return
        if race is not None:
            self.over(None)
            race.win(self)
            execution.message = message  # which the next page is asked for by
        execution.succeed(response)

    def over(self, error: BaseException | None) -> None:
        """Count, and tell the tracker if there is one, that what a connection was given has ended: by a good answer, or
        by `error`. Only the first time counts, until a connection is given it again.
        """
        at = self.at
        if at is None:
            return
        self.at = None
        execution = self.execution
        if error is None:
            seconds = at.succeeded(self.sent)
        else:
            seconds = execution.recovery.now() - self.sent if self.phase is _WAITING else 0.0
            at.failed(error, seconds)
        if execution.tracker is not None:
            execution.tracker.attempt(execution.token, at.node, seconds, error)

    def lost(self, connection: Connection, error: Exception, *, written: bool) -> None:
        """Have recovery decide."""
        self.execution.recovery.lost(self, connection, error, written=written)

    def fail(self, error: BaseException) -> None:
        """End the execution with `error`, if this attempt still counts, unless others are under way."""
        if self.phase is not _DONE and not self.lose(None, error):
            self.execution.fail(error)

    def lose(self, node: Node | None, error: BaseException) -> bool:
        """Return whether other attempts are under way; if so, this one has ended by `error`, and they decide."""
        race = self.execution.race
        return race is not None and isinstance(error, Exception) and race.lose(self, node, error)

    def abandon(self) -> None:
        """Abandon the execution, if this attempt still counts."""
        if self.phase is not _DONE:
            self.execution.abandon()

    def time_out(self, now: float, node: Node | None = None) -> None:
        """End the execution if its deadline has passed by `now`, on the connection to `node` or on none; else have
        recovery decide about what took too long for one attempt.
        """
        if self.phase is not _DONE:
            execution = self.execution
            if now < execution.deadline and self.phase in (_SENDING, _WAITING):
                holder: Any = self.holder  # what is in these phases is held by the streams of a connection
                execution.recovery.overdue(self, holder.connection, now)
            else:
                execution.fail(timed_out(execution, self.phase, now, node))

    def parked(self) -> None:
        """Have all the time that is left: it takes none of a node's."""
        self.deadline = self.execution.deadline

    def waited(self, phase: Phase, seconds: float) -> None:
        """Record a wait in `phase`, on no connection. The time of an attempt begins after it."""
        execution = self.execution
        execution.recall().waited(phase, seconds)
        if execution.attempt_timeout:
            self.deadline = execution.until(execution.recovery.now())
            execution.recovery.watch(self.deadline)
        if execution.race is not None:
            execution.race.resume()

    def is_unwanted(self) -> bool:
        """Return whether the consumer was cancelled, though the loop has not said so yet."""
        return has_gone(self.execution.sink)


class Execution:
    """A user's request. It ends once, with a value or an error for its sink, or abandoned.

    Attributes:
        sink: where the outcome goes; None once it has ended.
        attempt: the attempt that is under way; None once the execution has ended.
        message: what is said; None while a statement is still being prepared for it.
        history: the waits and the attempts of the past; None while there are none.
        plan: the nodes that come next; None up to the second attempt.
        permit: what lets so many executions through at a time, and did this one; None where nothing does.
        race: the other attempts that are under way, and when one will be; None for most, which have one at a time.
        meter: counts it when it ends; None if it is not to be counted.
        tracker: follows it; None if there is none, and once the execution has ended.
        token: what the tracker knows it by.
        started, timeout, deadline: seconds, by the loop's clock.
        attempt_timeout: the most seconds of one attempt on a connection; 0.0 for no bound.
    """

    __slots__ = (
        "attempt",
        "attempt_timeout",
        "deadline",
        "history",
        "idempotent",
        "message",
        "meter",
        "permit",
        "plan",
        "race",
        "recovery",
        "sink",
        "started",
        "timeout",
        "token",
        "tracker",
    )

    def __init__(
        self, sink: Sink, recovery: Recovering, started: float, timeout: float, idempotent: bool
    ) -> None:
        attempt = self.fill(sink, recovery, started, timeout, idempotent)
        attempt.opcode = attempt.flags = 0
        attempt.body = b""

    def fill(
        self, sink: Sink, recovery: Recovering, started: float, timeout: float, idempotent: bool
    ) -> Attempt:
        """Set everything and return the first attempt, which says nothing yet: called instead of `__init__` where it
        counts.
        """
        self.sink: Sink | None = sink
        self.recovery = recovery
        self.started = started
        self.timeout = timeout
        self.deadline = started + timeout
        self.idempotent = idempotent
        attempt = Attempt.__new__(Attempt)
        attempt.execution = self
        attempt.deadline = self.deadline
        attempt.phase = _NEW
        attempt.stream = -1
        if not cython.compiled:  # where it is, they begin like this
            self.message: Message | None = None
            self.plan: Plan | None = None
            self.history: History | None = None
            self.meter: RequestMeter | None = None
            self.tracker: GuardedTracker | None = None
            self.token: Any = None
            self.race: Racing | None = None
            self.permit: Admitting | None = None
            self.attempt_timeout = 0.0
            attempt.holder = attempt.at = None
            attempt.sent = 0.0
            attempt.layout = 0
        self.attempt: Attempt | None = attempt
        return attempt

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self.sink is None

    @property
    def phase(self) -> Phase:
        """The phase of its attempt."""
        attempt = self.attempt
        return _DONE if attempt is None else attempt.phase

    @property
    def statement(self) -> str:
        """The text of the statement that it is about, "" if there is none."""
        return "" if self.message is None else self.message.text

    @property
    def attempts(self) -> tuple[errors.Attempt, ...]:
        """The attempts that failed before the one that is under way."""
        return () if self.history is None else self.history.attempts

    @property
    def retries(self) -> int:
        """How many attempts failed before the one that is under way."""
        return 0 if self.history is None else self.history.retries

    def recall(self) -> History:
        """Return the history, which begins now if there was none."""
        history = self.history
        if history is None:
            history = self.history = History()
        return history

    def extend(self, deadline: float) -> None:
        """Let it last until `deadline` at least."""
        self.deadline = max(self.deadline, deadline)
        attempt = self.attempt
        if attempt is not None:
            begun = attempt.sent if attempt.phase is _WAITING else self.recovery.now()
            is_parked = attempt.phase not in (_NEW, _SENDING, _WAITING)
            attempt.deadline = self.deadline if is_parked else self.until(begun)

    def limit(self, attempt_timeout: float) -> None:
        """Bound each attempt: to be called before the first one is sent."""
        self.attempt_timeout = attempt_timeout
        if self.attempt is not None:
            self.attempt.deadline = self.until(self.started)

    def until(self, begun: float) -> float:
        """Return the deadline of an attempt that has begun then."""
        return min(self.deadline, begun + self.attempt_timeout) if self.attempt_timeout else self.deadline

    def track(
        self, tracker: GuardedTracker, statement: str, about: About, *, is_internal: bool = False
    ) -> None:
        """Have `tracker` follow it from now on, which is its start, unless it says that it ignores it."""
        if tracker.wants is not None and not tracker.wants():
            return
        # Made by what its own constructor, which is Python, comes to: it is most of what ignored requests pay for.
        told = (statement, self.started, self.idempotent, is_internal, about)
        token = tracker.start(tuple.__new__(Tracked, told))
        if token is not IGNORED:
            self.tracker, self.token = tracker, token

    def carry_told(self, message: Message) -> None:
        """Have `message` say what the tracker tells nodes. It may have anything ended meanwhile."""
        if self.tracker is not None and self.tracker.tells_nodes:
            self.tracker.tell_nodes(self.token, message.carry)

    # --- What is said, and sent ----------------------------------------------------------------------------

    def set_message(self, message: Message) -> None:
        """Set the message. Raises UsageError if it is too long for a frame."""
        body = message.body()
        if len(body) > MAX_FRAME:
            check_body(len(body))
        self.message = message
        attempt = self.attempt
        assert attempt is not None, "what has ended says nothing"
        attempt.opcode = message.opcode
        attempt.flags = message.flags
        attempt.body = body
        attempt.layout = 0

    def send(self, message: Message) -> None:
        """Set the message and send it, from wherever the attempt is held, unless the execution has ended."""
        if self.tracker is not None:
            self.carry_told(message)
        attempt = self.attempt
        if attempt is not None:
            self.set_message(message)
            attempt.leave()
            self.recovery.submit(attempt)

    def retry(self, attempt: Attempt, node: Node, error: RequestError, now: float, decision: str) -> None:
        """Have `attempt` in place of the one that has failed on `node` because of `error`."""
        former = self.attempt
        assert former is not None, "what has ended is not tried again"
        former.finish()
        history = self.recall()
        history.failed(node, error, history.since(now - self.started), decision)
        self.attempt = attempt
        if self.tracker is not None:  # who may end it: then the new attempt has ended, too, and is not sent
            self.tracker.retry(self.token, error)

    # --- Its end -------------------------------------------------------------------------------------------

    def succeed(self, value: Any) -> None:
        """End with `value`, once."""
        if self.sink is not None:
            sink = self._end(None, value)
            give(sink, value)

    def fail(self, error: BaseException) -> None:
        """End with `error`, once; it gets to know the attempts before it."""
        if self.sink is not None:
            if self.history is not None and isinstance(error, (RequestError, SessionClosed)):
                self.history.explain(error)
            refuse(self._end(error, None), error)

    def decline(self, error: BaseException) -> None:
        """End with `error`, which is a mistake of the caller's that was found late: it is not counted, as nothing was
        sent."""
        self.meter = None
        self.fail(error)

    def abandon(self) -> None:
        """End without telling anybody: whoever waited is gone. What was not written will not be sent."""
        if self.sink is not None:
            self._end(Abandoned("nobody waits for it any more"), None)

    def withdraw(self, error: BaseException) -> None:
        """End because of `error`, which kept it from being started and is raised to the caller: it is not counted."""
        if self.sink is not None:
            self.meter = None
            self._end(error, None)

    def _end(self, error: BaseException | None, value: Any) -> Sink:
        """Be done, and return the sink. It is forgotten, as the attempt and the token are: they may know their
        execution, and would be garbage with it that waits for a collection.
        """
        sink, attempt, tracker = self.sink, self.attempt, self.tracker
        assert sink is not None, "what has not ended has one"
        assert attempt is not None, "what has not ended has one"
        self.sink = self.attempt = None
        if self.race is not None:
            race, self.race = self.race, None
            race.end(attempt, error)
        at = attempt.at
        if at is not None:
            if error is None and tracker is None:  # as for most: what `over` does, in few steps
                attempt.at = None
                at.succeeded(attempt.sent)
            else:
                attempt.over(error)
        attempt.finish()
        if self.meter is not None:
            self._count(attempt, error, value)
        if self.permit is not None:
            permit, self.permit = self.permit, None
            permit.give()
        if tracker is not None:
            token, self.tracker, self.token = self.token, None, None
            tracker.finish(token, error)
        return sink

    def _count(self, attempt: Attempt, error: BaseException | None, value: Any) -> None:
        """Count how it has ended, with `attempt` as its last one."""
        meter = self.meter
        assert meter is not None, "what is counted has one"
        if error is None:
            seconds = meter.succeeded(self.started)
        else:
            seconds = self.recovery.now() - self.started
            meter.failed(error, seconds)
        if seconds >= meter.slow:
            meter.was_slow(self, attempt, error, value, seconds)
