"""Retry policies: what to do with a request that a node answered with an error, or whose connection ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Protocol

from triocql import errors
from triocql.policies.checks import is_number, require
from triocql.protocol.constants import Consistency


class Decision(Enum):
    """RAISE the error, try again on the SAME node, or on the NEXT one, or IGNORE the error: then the call has an empty
    result.
    """

    RAISE = "raise"
    SAME = "same"
    NEXT = "next"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again with another consistency, after a delay, or both.

    Attributes:
        where: `Decision.NEXT` or `Decision.SAME`.
        consistency: that of the next attempt, and of no other; None for the request's.
        delay: seconds until then. If the deadline of the call comes first, the call ends at once, with the error.

    Raises OptionError for what is not allowed.

    >>> Retry(Decision.SAME, delay=0.25)
    Retry(where=<Decision.SAME: 'same'>, consistency=None, delay=0.25)
    """

    where: Decision = Decision.NEXT
    consistency: Consistency | None = None
    delay: float = 0.0

    def __post_init__(self) -> None:
        where, consistency, delay = self.where, self.consistency, self.delay
        again = where in (Decision.NEXT, Decision.SAME)
        require(again, "where", where, "Decision.NEXT or Decision.SAME")
        known = consistency is None or isinstance(consistency, Consistency)
        require(known, "consistency", consistency, "a triocql.Consistency")
        require(is_number(delay) and 0 <= delay < inf, "delay", delay, "a number of seconds from 0")


class RetryPolicy(Protocol):
    """Decides after each failed attempt. Called on the loop: it must not block.

    It is followed without a delay once more often than there are nodes at most; with one, until the call's deadline.
    NEXT without a delay is followed if there is another node; after a delay, the same one may be it.
    """

    def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Decision | Retry:
        """Decide what follows `error`.

        Args:
            error: what the node answered, `ConnectionLost` or `AttemptTimeout`; `error.maybe_executed` is False where
                it is certain that nothing was executed.
            idempotent: whether the request may be executed twice.
            retries: how often the request was tried again before.
        """


_NEXT = (
    errors.ConnectionLost,
    errors.AttemptTimeout,
    errors.Overloaded,
    errors.ServerError,
    errors.TruncateError,
)
"""What another node may do better, unless this one may have done it."""


class DefaultRetryPolicy:
    """Retries what cannot do harm and is likely to help, once on the same node or along the nodes.

    - nothing was executed (bootstrapping, connection ended or attempt timed out before sending, a node that shuts down
      and says so): the next node, always;
    - UNAVAILABLE, unless it is of a batch that is not idempotent: the next node, once, which may see other
      replicas alive;
    - READ_TIMEOUT of an idempotent request with enough replicas but without the data: the same node, once;
    - WRITE_TIMEOUT of an idempotent batch's log: the same node, once;
    - OVERLOADED, SERVER_ERROR, TRUNCATE_ERROR, lost connections and `AttemptTimeout`, if idempotent: the next node;
    - everything else is raised, such as a rate limit: it is that of a partition, on whichever node.
    """

    def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Decision | Retry:
        """Decide as the class says."""
        if isinstance(error, errors.IsBootstrapping):
            return Decision.NEXT
        if isinstance(error, _NEXT):
            return Decision.NEXT if idempotent or not error.maybe_executed else Decision.RAISE
        if isinstance(error, errors.Unavailable):
            harmless = idempotent or not error.maybe_executed
            return Decision.NEXT if retries == 0 and harmless else Decision.RAISE
        if isinstance(error, errors.ReadTimeout):
            enough = error.received >= error.required and not error.data_present
            return Decision.SAME if retries == 0 and idempotent and enough else Decision.RAISE
        if isinstance(error, errors.WriteTimeout):
            harmless = idempotent and error.write_type == "BATCH_LOG"
            return Decision.SAME if retries == 0 and harmless else Decision.RAISE
        return Decision.RAISE


class NeverRetry:
    """Raises each error as it comes: a request is one attempt.

    >>> NeverRetry().decide(errors.IsBootstrapping("not yet"), idempotent=True, retries=0)
    <Decision.RAISE: 'raise'>
    """

    def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Decision:
        """Decide as the class says."""
        return Decision.RAISE
