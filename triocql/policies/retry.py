"""Retry policies: what to do with a request that a node answered with an error, or whose connection ended."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from triocql import errors


class Decision(Enum):
    """RAISE the error, try again on the SAME node, or on the NEXT one."""

    RAISE = "raise"
    SAME = "same"
    NEXT = "next"


class RetryPolicy(Protocol):
    """Decides after each failed attempt. Called on the loop: it must not block.

    What it decides is followed once more often than there are nodes at most, and NEXT only if there is another one.
    """

    def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Decision:
        """Decide what follows `error`.

        Args:
            error: what the node answered, or `ConnectionLost`; `error.maybe_executed` is False where it is certain
                that nothing was executed.
            idempotent: whether the request may be executed twice.
            retries: how often the request was tried again before.
        """


class DefaultRetryPolicy:
    """Retries what cannot do harm and is likely to help, once on the same node or along the nodes.

    - nothing was executed (bootstrapping, connection ended before sending): the next node, always;
    - UNAVAILABLE, unless it is of a batch that is not idempotent: the next node, once, which may see other
      replicas alive;
    - READ_TIMEOUT of an idempotent request with enough replicas but without the data: the same node, once;
    - WRITE_TIMEOUT of an idempotent batch's log: the same node, once;
    - OVERLOADED, SERVER_ERROR, TRUNCATE_ERROR and lost connections, if idempotent: the next node;
    - everything else is raised.
    """

    def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Decision:
        """Decide as the class says."""
        if isinstance(error, errors.IsBootstrapping):
            return Decision.NEXT
        if isinstance(error, errors.ConnectionLost):
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
        if isinstance(error, (errors.Overloaded, errors.ServerError, errors.TruncateError)):
            return Decision.NEXT if idempotent else Decision.RAISE
        return Decision.RAISE
