# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False, nonecheck=True
# cython: freethreading_compatible=False
"""Durations, counted by how long they are, and by how what took them has ended: what that costs is next to nothing,
and memory does not grow.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from math import inf
from typing import TYPE_CHECKING

from triocql.errors import Abandoned, Error

if TYPE_CHECKING:
    import cython
else:
    from triocql import _cython as cython

# Six a decade from 10 µs to 70 s, which no two differ in by more than 67 %; among them those of OpenTelemetry.
_STEPS = (10, 15, 20, 30, 50, 70)
EDGES: tuple[float, ...] = tuple(step * 10**power / 10**6 for power in range(7) for step in _STEPS)
"""The seconds that a duration of each bucket has at most; the last bucket, after these, has no such bound."""

_BUCKETS = len(EDGES) + 1
_edges = array("d", EDGES)

CANCELLED, OTHER_ERROR = "Cancelled", "Other"


class Histogram:
    """Counts durations in buckets that are bounded by `EDGES`.

    Attributes:
        sum: all of them together, in seconds.
        largest: the longest one, in seconds.

    >>> histogram = Histogram()
    >>> histogram.record(0.004)
    >>> histogram.counts()[EDGES.index(0.005)], histogram.sum, histogram.largest
    (1, 0.004, 0.004)
    """

    __slots__ = ("_counts", "_last", "_place", "largest", "sum")

    def __init__(self) -> None:
        self._counts = array("q", bytes(8 * _BUCKETS))
        self._last = 0.0
        self._place = 0
        self.sum = 0.0
        self.largest = 0.0

    def record(self, seconds: float) -> None:
        """Count one duration."""
        if seconds != self._last:  # what is sent as one batch is mostly answered as one
            self._find(seconds)
        self._counts[self._place] += 1
        self.sum += seconds

    def _find(self, seconds: float) -> None:
        """Find the bucket of a duration."""
        if cython.compiled:
            # Written out, for `bisect` makes objects.
            low, high = 0, _BUCKETS - 1
            while low < high:
                middle = (low + high) >> 1
                if _edges[middle] < seconds:
                    low = middle + 1
                else:
                    high = middle
        else:
            low = bisect_left(_edges, seconds)
        self._last = seconds
        self._place = low
        if seconds > self.largest:
            self.largest = seconds

    def counts(self) -> tuple[int, ...]:
        """Return how many there are in each bucket, the last one without a bound."""
        return tuple(self._counts)


class Moment:
    """When the clock was read last, by whoever reads answers, or sweeps: who counts what follows needs no clock.

    Attributes:
        now: that time, in seconds of the loop's clock.
    """

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0


class Meter:
    """Counts what is alike, by how it has ended.

    Args:
        moment: the time that is counted by.
        slow: the seconds from which on something is slow.

    Attributes:
        success: the durations of what ended well.
        failures: the durations of the rest, by the kind of error.
    """

    __slots__ = ("failures", "moment", "slow", "success")

    def __init__(self, moment: Moment, slow: float = inf) -> None:
        self.moment = moment
        self.slow = slow
        self.success = Histogram()
        self.failures: dict[str, Histogram] = {}

    def succeeded(self, since: float) -> float:
        """Count what has begun then and has ended well just now; return its seconds."""
        seconds = self.moment.now - since
        self.success.record(seconds)
        return seconds

    def failed(self, error: BaseException, seconds: float) -> None:
        """Count what ended with `error` after so many seconds."""
        outcome = outcome_of(error)
        histogram = self.failures.get(outcome)
        if histogram is None:
            histogram = self.failures[outcome] = Histogram()
        histogram.record(seconds)


def outcome_of(error: BaseException) -> str:
    """Return the outcome that an error is: the name of its class, "Cancelled", or "Other" for what is none of ours."""
    kind = type(error)
    if kind is Abandoned:
        return CANCELLED
    return kind.__name__ if isinstance(error, Error) and kind.__module__ == Error.__module__ else OTHER_ERROR
