"""Throttling policies: how many requests a session starts, at a time and in a second."""

from __future__ import annotations

from math import ceil, inf
from typing import Protocol

from triocql._hints import hinted
from triocql.errors import OptionError
from triocql.policies.checks import is_integer, is_number, require

_MOST = 2**31 - 1
_LOWEST = 1e-6
"""Requests a second: with one in twelve days, times are still added up to a fraction of a second."""


class ThrottlingPolicy(Protocol):
    """Says when the next request may start. Called on the loop: it must not block.

    It is about calls, not about what they take: a retry and a copy belong to a request that was let through already.
    It may have a method ``in_session()``, which returns a policy of a session's own.

    Attributes:
        max_queue: the most requests that wait for their turn; one more raises QueueFull.
    """

    max_queue: int

    def turn(self, now: float, in_flight: int) -> float:
        """Return when the next request may start, in seconds of the loop's clock.

        Up to `now` it is let through at once, and counts from then on. `math.inf` stands for "not before one of those
        has ended that were let through": it is asked again then, and at the time that it has said.

        Args:
            now: the time by the loop's clock.
            in_flight: how many requests that were let through have not ended yet.
        """


@hinted()
class Throttle:
    """Lets so many requests be under way at a time, or so many start in a second, or both; the others wait for their
    turn, in the order in which they came.

    Args:
        concurrency: the most requests under way; None for no bound.
        rate: the most requests that start in a second, on average, from 1e-6; None for no bound.
        burst: the most that start at once after a time without any; by default a tenth of `rate`, and one at least.
            Timers are exact to a millisecond or so: with less than what a millisecond takes, the rate is not reached.
        max_queue: the most requests that wait; one more raises QueueFull, as do more bytes than `max_queue_bytes` of
            the session.

    Raises OptionError for a value that is not allowed.

    >>> import triocql
    >>> policies = triocql.PolicyOptions(throttling=Throttle(concurrency=200, rate=1000.0))
    """

    def __init__(
        self,
        concurrency: int | None = None,
        *,
        rate: float | None = None,
        burst: int | None = None,
        max_queue: int = 10_000,
    ) -> None:
        if concurrency is None and rate is None:
            raise OptionError(
                "a Throttle takes concurrency=, how many at a time, or rate=, how many a second"
            )
        for name, value in (("concurrency", concurrency), ("burst", burst)):
            fits = value is None or (is_integer(value) and 1 <= value <= _MOST)
            require(fits, name, value, f"an integer from 1 to {_MOST:,}")
        fits = rate is None or (is_number(rate) and _LOWEST <= rate <= _MOST)
        require(fits, "rate", rate, f"a number of requests a second, from {_LOWEST} to {_MOST:,}")
        if burst is not None and rate is None:
            raise OptionError("burst= belongs to rate=, which is not given")
        require(is_integer(max_queue) and max_queue >= 0, "max_queue", max_queue, "an integer from 0")
        self.max_queue = max_queue
        self._concurrency = concurrency
        self._rate = rate
        self._burst = burst
        self._whole = -inf
        """When the whole burst may start again, if nothing starts until then."""

    def __repr__(self) -> str:
        given = {"concurrency": self._concurrency, "rate": self._rate, "burst": self._burst}
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
        return f"Throttle({shown})"

    def in_session(self) -> Throttle:
        """Return one of a session's own: clocks differ, and each session has its own bounds."""
        return Throttle(self._concurrency, rate=self._rate, burst=self._burst, max_queue=self.max_queue)

    def turn(self, now: float, in_flight: int) -> float:
        """Return when the next request may start (`ThrottlingPolicy`)."""
        if self._concurrency is not None and in_flight >= self._concurrency:
            return inf
        if self._rate is None:
            return now
        burst = max(1, ceil(self._rate / 10)) if self._burst is None else self._burst
        due = self._whole - (burst - 1) / self._rate
        if due <= now:
            self._whole = max(self._whole, now) + 1 / self._rate
        return due


class NeverThrottle:
    """Lets every request through at once: for a profile of a session that is throttled otherwise.

    >>> NeverThrottle().turn(now=5.0, in_flight=10_000)
    5.0
    """

    max_queue = 0

    def turn(self, now: float, in_flight: int) -> float:
        """Return `now` (`ThrottlingPolicy`)."""
        return now
