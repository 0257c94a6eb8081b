"""A retry policy that is patient: it waits between attempts, longer each time."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from triocql import errors
from triocql._hints import hinted
from triocql.policies.checks import is_integer, is_number, require
from triocql.policies.reconnection import ExponentialBackoff
from triocql.policies.retry import Decision, Retry


@hinted()
@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialBackoffRetry:
    """Tries again, on the next node, what cannot do harm and is transient, after delays that double from time to time.

    That is everything with `is_transient`, and SERVER_ERROR, if the request is idempotent or certainly was not
    executed. Each delay is varied by ±`jitter`, so that clients do not come back all at once; none is longer than
    `maximum`.

    Attributes:
        attempts: how often a request is tried, the first time included.
        base: the first delay in seconds.
        maximum: the longest delay in seconds.
        jitter: the part of each delay by which it is made longer or shorter at random, from 0 to 1.

    Raises OptionError for a value that is not allowed.

    >>> policy = ExponentialBackoffRetry(attempts=4, base=0.1, jitter=0.0)
    >>> busy = errors.Overloaded("busy")
    >>> [policy.decide(busy, idempotent=True, retries=n).delay for n in range(3)]
    [0.1, 0.2, 0.4]
    >>> policy.decide(busy, idempotent=True, retries=3)
    <Decision.RAISE: 'raise'>
    """

    attempts: int = 5
    base: float = 0.1
    maximum: float = 10.0
    jitter: float = 0.25

    def __post_init__(self) -> None:
        attempts = self.attempts
        require(is_integer(attempts) and attempts >= 1, "attempts", attempts, "an integer from 1")
        for name in ("base", "maximum", "jitter"):
            value = getattr(self, name)
            require(is_number(value) and 0 <= value < inf, name, value, "a number from 0")
        allowed = f"at most maximum, which is {self.maximum!r}"
        require(self.base <= self.maximum, "base", self.base, allowed)
        require(self.jitter <= 1, "jitter", self.jitter, "a number from 0 to 1")

    def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Decision | Retry:
        """Decide as the class says."""
        harmless = idempotent or not error.maybe_executed
        helps = error.is_transient or isinstance(error, errors.ServerError)
        if not harmless or not helps or retries + 1 >= self.attempts:
            return Decision.RAISE
        delays = ExponentialBackoff(self.base, self.maximum, self.jitter)
        return Retry(Decision.NEXT, delay=delays.delay(retries + 1))
