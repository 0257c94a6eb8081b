"""The pace at which the schema is read: soon after a change, seldom while changes come without end. Without I/O."""

from __future__ import annotations

from math import inf

from triocql.policies.reconnection import ExponentialBackoff

SHORTEST = 1.0
"""Seconds between two readings that nobody waits for."""

PATIENCE = 8
"""How many may follow each other so; the pause before each one more is twice as long."""

LONGEST = 16.0
"""Seconds between them at most."""

CALM = 1.5
"""Seconds without a storm of changes after which it is read: longer than a window of events is open."""

STORM = 64
"""How many events of one window are a storm. Its end is waited for: a reading before would be out of date at once."""

LONGEST_STORM = 10.0
"""Seconds after the beginning of a storm when it is read in any case."""

_PAUSES = ExponentialBackoff(base=1.0, maximum=60.0, jitter=0.0)


class Pace:
    """Says when to read.

    Attributes:
        failures: how many readings have failed, since one was a success.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._read_at = -inf
        self._spacing = SHORTEST
        self._in_a_row = 0
        self._storm_began = inf

    def next(self, now: float) -> float:
        """Return when to read after a change."""
        return max(now, self._read_at + self._spacing)

    def calm(self, now: float) -> float:
        """Return when to read after a storm: later than was said before, if it goes on."""
        self._storm_began = min(self._storm_began, now)
        return min(now + CALM, max(now, self._storm_began + LONGEST_STORM))

    def read(self, now: float) -> None:
        """It is read now."""
        follows = now < self._read_at + 2 * self._spacing
        self._in_a_row = self._in_a_row + 1 if follows else 0
        self._spacing = min(SHORTEST * 2.0 ** max(0, self._in_a_row - PATIENCE), LONGEST)
        self._read_at = now
        self._storm_began = inf

    def succeeded(self) -> None:
        """A reading was a success."""
        self.failures = 0

    def failed(self) -> float:
        """A reading has failed; return how many seconds later to try again."""
        self.failures += 1
        return _PAUSES.delay(self.failures)
