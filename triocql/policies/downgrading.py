"""A retry policy that does with fewer replicas than were asked for."""

from __future__ import annotations

from triocql import errors
from triocql._hints import hinted
from triocql.observability.logs import get_logger
from triocql.policies.retry import Decision, DefaultRetryPolicy, Retry, RetryPolicy
from triocql.protocol.constants import Consistency

logger = get_logger(__name__)

_LEVELS = {1: Consistency.ONE, 2: Consistency.TWO, 3: Consistency.THREE}


@hinted()
class DowngradingConsistency:
    """Where too few replicas are there, asks once more, for as many as are: data may be old then, and writes be lost
    with a node. It is logged each time. What else fails is decided by another policy.

    - UNAVAILABLE with replicas alive: the same node, once, with THREE, TWO or ONE. Without any alive, it is raised;
    - READ_TIMEOUT of an idempotent request with too few answers, but some: the same node, once, likewise;
    - WRITE_TIMEOUT of a plain write or a batch that at least one replica has: **ignored**, since the other replicas get
      it later; the result is empty;
    - WRITE_TIMEOUT of an idempotent unlogged batch with some answers: the same node, once, with as many;
    - what has a serial consistency, as conditional updates have, keeps it.

    Args:
        otherwise: decides about everything else.
    """

    def __init__(self, otherwise: RetryPolicy | None = None) -> None:
        self._otherwise = DefaultRetryPolicy() if otherwise is None else otherwise

    def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Decision | Retry:
        """Decide as the class says."""
        decision = self._decide(error, idempotent) if retries == 0 else None
        if decision is None:
            return self._otherwise.decide(error, idempotent=idempotent, retries=retries)
        return decision

    def _decide(self, error: errors.RequestError, idempotent: bool) -> Decision | Retry | None:
        if isinstance(error, errors.Unavailable):
            return _downgraded(error, error.alive) if idempotent or not error.maybe_executed else None
        if isinstance(error, errors.ReadTimeout):
            return _downgraded(error, error.received) if idempotent else None
        if isinstance(error, errors.WriteTimeout):
            if error.write_type in ("SIMPLE", "BATCH") and error.received > 0:
                logger.warning(
                    "a write at %s timed out, and is taken for done: %d of %d replicas have it",
                    error.consistency.name,
                    error.received,
                    error.required,
                )
                return Decision.IGNORE
            if error.write_type == "UNLOGGED_BATCH" and idempotent:
                return _downgraded(error, error.received)
        return None


def _downgraded(
    error: errors.Unavailable | errors.ReadTimeout | errors.WriteTimeout, replicas: int
) -> Retry | None:
    """Return how to ask for no more than `replicas`, None if that would not be less."""
    if replicas == 0 and error.consistency is Consistency.EACH_QUORUM:
        replicas = 1  # it was counted in one data centre: others may have some
    if not 0 < replicas < error.required or error.consistency.is_serial:
        return None
    consistency = _LEVELS[min(replicas, 3)]
    logger.warning(
        "a request at %s is sent again at %s: %d of %d replicas are there",
        error.consistency.name,
        consistency.name,
        replicas,
        error.required,
    )
    return Retry(Decision.SAME, consistency)
