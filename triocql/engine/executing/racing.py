"""Races: several attempts of one execution at a time, on several nodes. The first good answer wins."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from triocql._brief import brief
from triocql.engine.executing import Execution
from triocql.engine.executing.laterattempt import LaterAttempt
from triocql.engine.phase import Phase
from triocql.engine.requests.telling import report, tell
from triocql.errors import Overtaken, RateLimitReached
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from triocql.engine.connections.connection import Connection
    from triocql.engine.executing import Attempt
    from triocql.engine.messages import Message
    from triocql.engine.routing.router import Router
    from triocql.metadata.node import Node
    from triocql.policies.speculation import SpeculationPolicy

logger = get_logger(__name__)

_ON_A_NODE = (Phase.SENDING, Phase.WAITING)
_WAITS = "wait for the others"
"""How it is told in the history of a request that others were under way."""


class Speculation:
    """Has executions run races, as a policy says. Only such as may be executed twice are to be given to it."""

    def __init__(self, router: Router, policy: SpeculationPolicy) -> None:
        self.router = router
        self._policy = policy
        self._learn: Callable[[float], object] | None = getattr(policy, "learn", None)

    def begin(self, execution: Execution) -> None:
        """Have `execution`, which has just been sent, run a race."""
        if execution.sink is None:
            return
        seconds = self.delay(1)
        if seconds is None and self._learn is None:
            return
        race = Race(self, execution)
        try:
            if seconds is not None:
                race.set(execution.started + seconds)
        except Exception as bug:  # as at the end of the stack: then it runs alone
            report(bug)
        else:
            execution.race = race

    def delay(self, attempts: int) -> float | None:
        """Ask the policy; what it does wrong is logged, and no more copies are sent of this request."""
        try:
            return _checked(self._policy.delay(attempts))
        except BaseException as bug:  # it is nothing to the request, nor to whoever called
            self.report(bug)
            return None

    def learn(self, seconds: float) -> None:
        """Tell the policy, if it wants to know, that a request was answered after so many seconds."""
        if self._learn is not None:
            try:
                self._learn(seconds)
            except BaseException as bug:
                self.report(bug)

    def report(self, bug: BaseException) -> None:
        """Log what a policy of the user's has raised."""
        logger.error("a request has no copies, for a policy failed", exc_info=bug)


class Copy(LaterAttempt):
    """An attempt while others are under way. It has a message of its own: a statement in it may be prepared anew on one
    node, and an answer is read by what its attempt was sent with.
    """

    __slots__ = ("_message",)

    def __init__(self, execution: Execution, now: float, message: Message) -> None:
        self._message = message.copy()
        LaterAttempt.__init__(self, execution, now)

    @property
    def message(self) -> Message:
        """What it says (`Attempt`)."""
        return self._message


class Race:
    """The attempts of one execution beside its own `attempt`, and the time of the next one."""

    __slots__ = ("_cancel", "_copies", "_execution", "_has_all", "_nodes", "_sent", "_speculation")

    def __init__(self, speculation: Speculation, execution: Execution) -> None:
        self._speculation = speculation
        self._execution = execution
        self._copies: list[Attempt] = []
        self._nodes: dict[Attempt, Node] = {}
        self._sent = 1
        self._has_all = False
        self._cancel: Callable[[], None] | None = None

    def set(self, when: float) -> None:
        """Have the next copy sent at `when`, by the loop's clock."""
        self._cancel = self._speculation.router.clock.alarms.set(when, self._due)

    def resume(self) -> None:
        """Go on after a wait on no connection, which no copy is sent in: a node has its time from now on."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        self._again()

    def lose(self, attempt: Attempt, node: Node | None, error: Exception) -> bool:
        """Be without `attempt`, which has failed on `node`, if others are under way: return whether there are any."""
        execution = self._execution
        if not self._copies or execution.sink is None:
            return False
        if isinstance(error, RateLimitReached):  # its partition is asked too often already
            self._has_all = True
        elapsed = execution.recovery.now() - attempt.sent if attempt.phase is Phase.WAITING else 0.0
        if attempt is execution.attempt:
            execution.attempt = self._copies.pop(0)
        else:
            self._copies.remove(attempt)
        attempt.over(error)
        attempt.finish()  # last: who lets go of it may have others told, and the execution ended
        known = self._nodes.pop(attempt, None)
        node = node or known
        if node is not None:
            execution.recall().failed(node, error, elapsed, _WAITS)
        return True

    def win(self, attempt: Attempt) -> None:
        """Learn, and count it if a copy was answered before those that had been sent earlier (`Racing`)."""
        execution = self._execution
        self._speculation.learn(execution.recovery.now() - execution.started)
        if isinstance(attempt, Copy) and execution.meter is not None:
            execution.meter.copies_won += 1

    def end(self, attempt: Attempt, error: BaseException | None) -> None:
        """Let go of all attempts, of which `attempt` is the execution's own (`Racing`)."""
        copies, self._copies = self._copies, []
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        if error is None:
            attempt.over(Overtaken("another node has answered first"))
        for each in copies:
            each.over(error or Overtaken("another node has answered first"))
            each.finish()

    # --- Copies ----------------------------------------------------------------------------------------------

    def _due(self) -> None:
        self._cancel = None
        main = self._execution.attempt
        if main is None or main.is_unwanted() or self._has_all:
            return
        if main.phase in _ON_A_NODE and self._copy(main):
            self._again()

    def _again(self) -> None:
        seconds = self._speculation.delay(self._sent)
        if seconds is not None and self._execution.sink is not None and self._cancel is None:
            self.set(self._speculation.router.clock.now() + seconds)

    def _copy(self, main: Attempt) -> bool:
        """Send a copy to another node, if one has room; return whether it was sent."""
        execution, router = self._execution, self._speculation.router
        if main.message.routed(True).is_lwt:
            return False
        node = _connection(main).node
        connection = self._next(main, node)
        # The balancing policy was asked, which may have done anything.
        if connection is None or execution.attempt is not main or main.phase not in _ON_A_NODE:
            return False
        self._nodes[main] = node
        copy = Copy(execution, router.clock.now(), main.message)
        self._nodes[copy] = connection.node
        self._copies.append(copy)
        self._sent += 1
        connection.meter.copies += 1
        if execution.meter is not None:
            execution.meter.copies += 1
        tell((copy,), connection.send)
        return True

    def _next(self, main: Attempt, node: Node) -> Connection | None:
        """Return the connection for a copy, beside what is under way on `node`; None if there is none."""
        execution, router = self._execution, self._speculation.router
        plan = execution.plan
        if plan is None:
            plan = execution.plan = router.plan(main)
        plan.give(node)
        try:
            connection = router.next_connection(main, plan)
        except BaseException as bug:  # of the balancing policy: the request goes on without a copy
            self._speculation.report(bug)
            return None
        if connection is not None:
            plan.give(connection.node)
        return connection


def _checked(seconds: object) -> float | None:
    """Return the delay that a policy gave. Raises TypeError for what is none."""
    if seconds is None:
        return None
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < inf:
        raise TypeError(f"delay() returned {brief(seconds)}, not a number of seconds from 0, or None")
    return float(seconds)


def _connection(attempt: Attempt) -> Connection:
    """Return the connection that has an attempt in one of these phases."""
    streams: Any = attempt.holder
    connection: Connection = streams.connection
    return connection
