"""The delays between attempts to connect: what a reconnection policy says, if it says something that can be waited."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from triocql._brief import brief
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from triocql.config.options import Options

logger = get_logger(__name__)


class BackOff:
    """Counts failed attempts in a row, and asks the policy, which may be the user's, for the delay after each."""

    def __init__(self, options: Options) -> None:
        self._policy = options.reconnection_policy
        self._longest = options.reconnection.maximum
        self._failures = 0

    def reset(self) -> None:
        """Begin anew: an attempt has succeeded."""
        self._failures = 0

    def next(self) -> float:
        """Count a failed attempt, and return the seconds until the next one."""
        self._failures += 1
        try:
            return _checked(self._policy.delay(self._failures))
        except BaseException:  # no cancellation: nothing waits here
            logger.exception("the reconnection policy failed")
            return self._longest


def _checked(delay: float) -> float:
    """Return what the policy gave as a float: that is what times are added to.

    Raises ValueError, TypeError or OverflowError if nothing can wait so.
    """
    if not 0 <= delay < inf:
        raise ValueError(f"the delay is {brief(delay)}; it has to be a number of seconds from 0")
    return float(delay)
