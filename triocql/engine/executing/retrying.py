"""What the retry policy decides, carried out."""

from __future__ import annotations

from collections.abc import Coroutine

from triocql import errors
from triocql.engine.connections.connection import Connection
from triocql.engine.executing.execution import Attempt
from triocql.engine.executing.laterattempt import LaterAttempt
from triocql.engine.routing.plan import Plan
from triocql.engine.routing.router import Router
from triocql.policies.retry import Decision, Retry, RetryPolicy
from triocql.protocol.constants import Opcode

_SAID = {Decision.SAME: "same node", Decision.NEXT: "next node"}
_PREPARE = int(Opcode.PREPARE)


class Retrying:
    """Asks the retry policy about failed attempts, and does what it says."""

    def __init__(self, router: Router, policy: RetryPolicy) -> None:
        self.policy = policy
        self._router = router

    def decide(self, attempt: Attempt, connection: Connection, error: errors.RequestError) -> None:
        """Have decided what follows `error` of an attempt on `connection`, and do it."""
        execution = attempt.execution
        attempt.over(error)
        if execution.is_done or attempt.lose(connection.node, error):
            return  # a tracker has ended it, or others are under way
        retries = execution.retries
        try:
            answer = self.policy.decide(error, idempotent=execution.idempotent, retries=retries)
            decision = _checked(answer)
        except Exception as bug:
            failed = errors.RequestError(f"the retry policy raised {type(bug).__name__}: {bug} (on: {error})")
            failed.__cause__ = bug
            failed.maybe_executed = error.maybe_executed
            attempt.fail(failed)
            return
        except BaseException as bug:
            attempt.fail(bug)
            return
        if execution.is_done:
            return  # the policy has ended it
        if decision is Decision.IGNORE and attempt.opcode != _PREPARE:  # which has no empty result
            self._router.clock.look()
            execution.succeed(connection.void)
        elif not isinstance(decision, Retry) or not self._retry(attempt, connection, error, decision):
            attempt.fail(error)

    def _retry(
        self, attempt: Attempt, connection: Connection, error: errors.RequestError, retry: Retry
    ) -> bool:
        """Try again, or return False if there is nowhere to try, or no time."""
        router, execution = self._router, attempt.execution
        now = router.clock.now()
        if now + retry.delay >= execution.deadline:
            return False
        if not retry.delay and execution.retries > len(router.pools):
            return False
        plan = execution.plan
        if plan is None:
            plan = execution.plan = router.plan(attempt)
        plan.give(connection.node)
        elsewhere = retry.where is Decision.NEXT and not isinstance(error, errors.ConnectionLost)
        if elsewhere and not retry.delay and not _has_others(router, attempt, plan):
            return False
        connection.meter.retries += 1
        if execution.meter is not None:
            execution.meter.retries += 1
        following = LaterAttempt(execution, now, retry.consistency)
        execution.retry(following, connection.node, error, now, _told(retry))
        same = retry.where is Decision.SAME
        if retry.delay:
            router.delay(following, now + retry.delay, connection.node if same else None)
        elif same and connection.has_room:
            connection.send(following)
        else:
            router.submit(following)
        return True


def _has_others(router: Router, attempt: Attempt, plan: Plan) -> bool:
    """Return whether there is a next node: none for what is to go to one node only."""
    return attempt.node is None and router.pools.has_open(beside=plan.given)


def _told(retry: Retry) -> str:
    """Return how a decision is told in the history of the request."""
    text = _SAID[retry.where]
    if retry.consistency is not None:
        text += f" at {retry.consistency.name}"
    return f"{text} after {retry.delay:.3f} s" if retry.delay else text


def _checked(answer: object) -> Decision | Retry:
    """Return a decision, as a `Retry` if it is to try again. Raises TypeError for what is none."""
    if isinstance(answer, Retry):
        return answer
    if isinstance(answer, Decision):
        return _PLAIN.get(answer, answer)
    if isinstance(answer, Coroutine):
        answer.close()
    kind = type(answer).__name__
    raise TypeError(f"decide() returned {kind}, not a Decision - RAISE, SAME, NEXT, IGNORE - or a Retry")


_PLAIN = {decision: Retry(decision) for decision in (Decision.SAME, Decision.NEXT)}
