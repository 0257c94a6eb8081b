"""Throttling: requests that wait for their turn, as a policy says."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isnan
from typing import TYPE_CHECKING

from triocql._brief import brief
from triocql.engine.phase import Phase
from triocql.engine.requests.queue import RequestQueue
from triocql.engine.requests.telling import report, tell
from triocql.errors import QueueFull, RequestError
from triocql.policies.checks import is_number

if TYPE_CHECKING:
    from triocql.engine.executing import Attempt, Execution
    from triocql.engine.routing.router import Router
    from triocql.policies.throttling import ThrottlingPolicy


class Throttling:
    """Lets requests through, and holds the others until it is their turn, first come first served.

    A request is let through once, before its first attempt, and gives its permit back when it ends, however it does: as
    its *permit*, it has the throttling itself. Later attempts and copies do not ask: who has a permit and waited for
    another one might be waiting for itself, and a copy that has to wait is of no use.

    Attributes:
        queue: what waits for its turn.
    """

    def __init__(self, router: Router, policy: ThrottlingPolicy, most_bytes: int) -> None:
        self.queue: RequestQueue[Attempt] = RequestQueue(router.clock)
        router.add_queue(self.queue)
        self._router = router
        self._policy = policy
        self._name = repr(policy)
        self._most = policy.max_queue
        self._most_bytes = most_bytes
        self._in_flight = 0
        self._alarm = inf
        self._cancel: Callable[[], None] | None = None
        self._going_on = False

    def submit(self, attempt: Attempt) -> None:
        """Send a first attempt, now or in its turn, or fail it. Never raises."""
        if self.admit(attempt):
            self._router.submit(attempt)

    def admit(self, attempt: Attempt) -> bool:
        """Return whether `attempt`, which is the first one of its execution, may be sent now: if not, it is held, and
        sent when it is its turn, or has ended.
        """
        execution = attempt.execution
        if execution.permit is not None or self._router.ending is not None:  # which its error tells of
            return True
        if self.queue.held:
            self._hold(attempt)
            self.go_on()  # in vain, unless what went before went wrong
            return False
        try:
            is_first = self._is_turn()
        except BaseException as error:
            attempt.fail(_of_policy(error))
            return False
        if execution.is_done:  # the policy has ended it
            return False
        if is_first and not self.queue.held:
            self._take(execution)
            return True
        self._hold(attempt)
        return False

    def give(self) -> None:
        """Take back the permit of a request that has ended. Never raises."""
        self._in_flight -= 1
        self.go_on()

    def go_on(self) -> None:
        """Send what may be sent by now. Called again from inside itself, it leaves the work to the first call: requests
        that end at once, however many, do not nest."""
        if self._going_on or not self.queue.held:
            return
        self._going_on = True
        try:
            while self.queue.held and self._send_first():
                pass
        except Exception as bug:  # as at the end of the stack; whoever comes next finds them
            report(bug)
        finally:
            self._going_on = False

    def _send_first(self) -> bool:
        """Send what is first in the queue; return False if it is not its turn."""
        attempt = self.queue.first()
        if attempt.is_unwanted():
            attempt.abandon()
            return True
        try:
            is_turn = self._is_turn()
        except BaseException as error:
            attempt.fail(_of_policy(error))
            return True
        if is_turn and attempt.holder is self.queue:  # the policy was asked, which may have done anything
            self._take(attempt.execution)
            tell((attempt,), self._let_go)
        return is_turn

    def _let_go(self, attempt: Attempt) -> None:
        attempt.leave()
        self._router.submit(attempt)

    def _take(self, execution: Execution) -> None:
        self._in_flight += 1
        execution.permit = self

    @property
    def _is_full(self) -> bool:
        return self.queue.is_full(self._most, self._most_bytes)

    def _hold(self, attempt: Attempt) -> None:
        if self._is_full and not attempt.bounded:
            attempt.fail(
                QueueFull(
                    f"{len(self.queue):,} requests ({self.queue.size:,} bytes) wait already for their turn, "
                    f"as {self._name} has it: start fewer at once, or raise its max_queue"
                )
            )
        else:
            self.queue.enter(attempt, Phase.THROTTLED)

    # --- The policy ----------------------------------------------------------------------------------------

    def _is_turn(self) -> bool:
        """Ask the policy whether the next request may start now; if it knows when, it is asked again then."""
        now = self._router.clock.now()
        when = _checked(self._policy.turn(now, self._in_flight))
        if when <= now:
            return True
        if when < self._alarm:
            if self._cancel is not None:
                self._cancel()
            self._alarm = when
            self._cancel = self._router.clock.alarms.set(when, self._ring)
        return False

    def _ring(self) -> None:
        self._alarm, self._cancel = inf, None
        self.go_on()


def _checked(when: object) -> float:
    """Return the time that a policy gave. Raises TypeError for what is none."""
    if not is_number(when) or isnan(when):
        raise TypeError(
            f"turn() returned {brief(when)}, not the time when the next request may start: a number of seconds, "
            "or math.inf for when one has ended"
        )
    return float(when)


def _of_policy(error: BaseException) -> BaseException:
    """Return what a request fails with, about which the throttling policy has raised `error`."""
    if not isinstance(error, Exception):
        return error
    failed = RequestError(f"the throttling policy raised {type(error).__name__}: {error}")
    failed.__cause__ = error
    return failed
