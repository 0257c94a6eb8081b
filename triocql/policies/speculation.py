"""Speculation policies: when another node gets a copy of a request, though the first one may still answer."""

from __future__ import annotations

from collections import deque
from math import ceil, inf
from typing import Protocol

from triocql._hints import hinted
from triocql.policies.checks import is_integer, is_number, require

# Durations are put into their order once for so many that are new.
_ANEW = 32


class SpeculationPolicy(Protocol):
    """Says how long a node has to answer before another one gets a copy. Called on the loop: it must not block.

    It is asked about idempotent requests only. A method `learn` is called, if there is one, with the seconds that each
    of these took that was answered.
    """

    def delay(self, attempts: int) -> float | None:
        """Return the seconds until the next copy is sent, None for no more; `attempts` were sent so far, 1 at first."""


@hinted()
class ConstantSpeculation:
    """Sends a copy to another node each `delay` seconds, until there are `max_attempts`, the first one included.

    Raises OptionError for a value that is not allowed.

    >>> policy = ConstantSpeculation(0.05, max_attempts=3)
    >>> [policy.delay(attempts) for attempts in (1, 2, 3)]
    [0.05, 0.05, None]
    """

    def __init__(self, delay: float, max_attempts: int = 2) -> None:
        require(is_number(delay) and 0 <= delay < inf, "delay", delay, "a number of seconds from 0")
        _require_attempts(max_attempts)
        self._delay = float(delay)
        self._max_attempts = max_attempts

    def __repr__(self) -> str:
        return f"ConstantSpeculation({self._delay!r}, max_attempts={self._max_attempts})"

    def delay(self, attempts: int) -> float | None:
        """Return the seconds until the next copy is sent."""
        return self._delay if attempts < self._max_attempts else None


@hinted()
class PercentileSpeculation:
    """Sends a copy to another node when a request takes longer than a percentile of the latest ones.

    Args:
        percentile: which one, from 1 and below 100; 99 has one request in a hundred sent twice.
        max_attempts: how often a request is sent at most, the first time included.
        window: how many requests are remembered, the latest ones.
        least: how many there have to be before the first copy.

    Raises OptionError for a value that is not allowed.

    >>> policy = PercentileSpeculation(90.0, least=10)
    >>> policy.delay(1) is None  # not enough is known yet
    True
    >>> for number in range(1, 11):
    ...     policy.learn(number / 1000)
    >>> policy.delay(1), policy.delay(2)
    (0.009, None)
    """

    def __init__(
        self, percentile: float = 99.0, max_attempts: int = 2, *, window: int = 2000, least: int = 100
    ) -> None:
        fits = is_number(percentile) and 1 <= percentile < 100
        require(fits, "percentile", percentile, "a number from 1 and below 100: of 100 requests, not of 1")
        _require_attempts(max_attempts)
        for name, value in (("window", window), ("least", least)):
            require(is_integer(value) and value >= 1, name, value, "an integer from 1")
        require(least <= window, "least", least, f"at most window, which is {window!r}")
        self._percentile = percentile
        self._max_attempts = max_attempts
        self._least = least
        self._latest: deque[float] = deque(maxlen=window)
        self._new = 0
        self._delay: float | None = None

    def __repr__(self) -> str:
        return f"PercentileSpeculation({self._percentile!r}, max_attempts={self._max_attempts})"

    def learn(self, seconds: float) -> None:
        """Remember that a request took so long."""
        self._latest.append(seconds)
        self._new += 1
        known = len(self._latest)
        if known >= self._least and (self._delay is None or self._new >= _ANEW):
            self._new = 0
            self._delay = sorted(self._latest)[ceil(known * self._percentile / 100) - 1]

    def delay(self, attempts: int) -> float | None:
        """Return the seconds until the next copy is sent."""
        return self._delay if attempts < self._max_attempts else None


class NeverSpeculate:
    """Sends no copies: for a profile of a session that has them otherwise.

    >>> NeverSpeculate().delay(1) is None
    True
    """

    def delay(self, attempts: int) -> float | None:
        """Return None (`SpeculationPolicy`)."""
        return None


def _require_attempts(value: object) -> None:
    fits = is_integer(value) and value >= 2
    require(fits, "max_attempts", value, "an integer from 2: the first attempt is one of them")
