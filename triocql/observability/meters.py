"""What is counted of requests and attempts: by where they belong, and how they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from triocql._impl import compiled
from triocql.errors import Abandoned, Error
from triocql.observability.metrics import SUCCESS, Durations

if TYPE_CHECKING or not compiled:
    from triocql.observability.histogram import Histogram
else:
    from triocql.observability._histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 1000
"""The number of kinds of requests that are told apart; what comes after them is counted together."""

OPERATIONS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "BATCH", "TRUNCATE", "USE"})
OTHER = "OTHER"


class Kind(NamedTuple):
    """What requests have in common that are counted together.

    Attributes:
        profile: the execution profile, "" for the session's own options.
        keyspace: the keyspace, "" where it is not known.
        operation: SELECT, INSERT, UPDATE, DELETE, BATCH, TRUNCATE, USE or OTHER.
    """

    profile: str
    keyspace: str
    operation: str


class Meter:
    """The durations of some requests, by their outcomes."""

    __slots__ = ("_failures", "success")

    def __init__(self) -> None:
        self.success = Histogram()
        self._failures: dict[str, Histogram] = {}

    def failed(self, error: BaseException, seconds: float) -> None:
        """Count a request that ended with `error` after so many seconds."""
        outcome = outcome_of(error)
        histogram = self._failures.get(outcome)
        if histogram is None:
            histogram = self._failures[outcome] = Histogram()
        histogram.record(seconds)

    def read(self) -> dict[str, Durations]:
        """Return what was counted so far, by outcome; those that there were none of are left out."""
        outcomes = {SUCCESS: self.success, **self._failures}
        read = {name: Durations.read(histogram) for name, histogram in outcomes.items()}
        return {name: durations for name, durations in read.items() if durations.count}


class Meters:
    """The meters of a session: one a kind of requests, as long as there are not too many kinds."""

    def __init__(self) -> None:
        self._meters: dict[Kind, Meter] = {}

    def of(self, profile: str, keyspace: str | None, operation: str) -> Meter:
        """Return the meter of a kind of requests."""
        kind = Kind(profile, keyspace or "", operation if operation in OPERATIONS else OTHER)
        meter = self._meters.get(kind)
        if meter is None:
            if len(self._meters) >= MOST:
                kind = Kind(OTHER, OTHER, OTHER)
            meter = self._meters.setdefault(kind, Meter())
        return meter

    def read(self) -> Mapping[Kind, Mapping[str, Durations]]:
        """Return what was counted so far."""
        return {kind: meter.read() for kind, meter in self._meters.items()}


def outcome_of(error: BaseException) -> str:
    """Return the outcome that an error is: the name of its class, "Cancelled", or "Other" for what is none of ours."""
    if isinstance(error, Abandoned):
        return "Cancelled"
    kind = type(error)
    return kind.__name__ if isinstance(error, Error) and kind.__module__ == Error.__module__ else "Other"
