"""What a session has counted, at one moment: frozen, for whoever exports or shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triocql.observability.histogram import EDGES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triocql.observability.histogram import Histogram

SUCCESS = "success"
"""The outcome of what ended with an answer."""


@dataclass(frozen=True, slots=True)
class Durations:
    """How long some requests took.

    Attributes:
        counts: how many are in each bucket: up to each of `triocql.observability.histogram.EDGES`, in seconds, and,
            in the last one, beyond them.
        sum: all of them together, in seconds.
        largest: the longest one, in seconds.
    """

    counts: tuple[int, ...] = (0,) * (len(EDGES) + 1)
    sum: float = 0.0
    largest: float = 0.0

    @classmethod
    def read(cls, histogram: Histogram) -> Durations:
        """Return what a histogram has counted so far."""
        return cls(histogram.counts(), histogram.sum, histogram.largest)

    @classmethod
    def together(cls, several: Iterable[Durations]) -> Durations:
        """Return what all of these counted."""
        parts = (cls(), *several)
        return cls(
            tuple(map(sum, zip(*(part.counts for part in parts), strict=True))),
            sum(part.sum for part in parts),
            max(part.largest for part in parts),
        )

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """How long one took on average, in seconds; 0 if there was none."""
        return self.sum / self.count if self.count else 0.0

    def percentile(self, percent: float) -> float:
        """Return the seconds within which so many of a hundred ended, as the edge of a bucket, so a little too long;
        0 if there was none.

        >>> Durations((0, 99, 1, *(0,) * 40), 0.0016, 2e-5).percentile(99)
        1.5e-05
        """
        wanted = self.count * percent / 100
        reached = 0
        for edge, count in zip(EDGES, self.counts, strict=False):
            reached += count
            if reached >= wanted and reached:
                return min(edge, self.largest)
        return self.largest
