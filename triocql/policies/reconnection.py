"""Reconnection policies: how long to wait before a node is dialled again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from triocql._hints import hinted


class ReconnectionPolicy(Protocol):
    """Says when a node that could not be reached is tried again. Called on the loop: it must not block."""

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after `failures` failed attempts in a row (at least 1)."""


@hinted()
@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """Waits that double from `base` to `maximum` seconds, each varied by ±`jitter` so that clients do not storm.

    None is longer than `maximum`: there they vary downwards only.

    >>> [ExponentialBackoff(base=1.0, maximum=60.0, jitter=0.0).delay(n) for n in (1, 2, 3, 10)]
    [1.0, 2.0, 4.0, 60.0]
    """

    base: float
    maximum: float
    jitter: float

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after `failures` failed attempts in a row (at least 1)."""
        exact = min(self.maximum, self.base * 2.0 ** min(failures - 1, 32))
        longest = min(self.maximum, exact * (1 + self.jitter))
        return random.uniform(exact * (1 - self.jitter), longest)  # noqa: S311 - not a secret
