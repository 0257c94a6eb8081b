"""What a session has counted, at one moment: frozen, for whoever exports or shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triocql import errors
from triocql._brief import brief
from triocql._hints import METRICS, old_names
from triocql.errors import OptionError
from triocql.observability.meter import CANCELLED, EDGES, OTHER_ERROR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from triocql.metadata.node import Node, NodeState
    from triocql.observability.meter import Histogram, Meter

SUCCESS = "success"
"""The outcome of what ended with an answer."""

OPERATIONS = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "BATCH", "USE", "TRUNCATE", "CREATE", "ALTER", "DROP"),
    *("GRANT", "REVOKE", "LIST", "DESCRIBE", "PREPARE", "OTHER"),
)
"""What requests are counted by; "OTHER" is what is none of these, "PREPARE" what users do not write."""


@dataclass(frozen=True, slots=True)
class Durations:
    """How long some requests took.

    Attributes:
        counts: how many are in each bucket: up to each of `triocql.observability.meter.EDGES`, in seconds, and,
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

        Args:
            percent: from 1 to 100: 99, not 0.99, for the time within which 99 of a hundred ended.

        Raises OptionError for another number.

        >>> Durations((0, 99, 1, *(0,) * 40), 0.0016, 2e-5).percentile(99)
        1.5e-05
        """
        if not (isinstance(percent, (int, float)) and 1 <= percent <= 100):
            raise OptionError(f"percent is {brief(percent)}; it has to be a number from 1 to 100, such as 99")
        wanted = self.count * percent / 100
        reached = 0
        for edge, count in zip(EDGES, self.counts, strict=False):
            reached += count
            if reached >= wanted and reached:
                return min(edge, self.largest)
        return self.largest


def outcomes(meter: Meter) -> dict[str, Durations]:
    """Return what a meter has counted so far, by outcome; those that there were none of are left out."""
    read = {SUCCESS: Durations.read(meter.success)}
    read.update((kind, Durations.read(histogram)) for kind, histogram in meter.failures.copy().items())
    return {outcome: durations for outcome, durations in read.items() if durations.count}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMetrics:
    """Requests of one kind: those that have the same profile, keyspace and operation.

    Attributes:
        profile: the name of the profile; "" for the session's own options.
        keyspace: the keyspace of the statement or of the session; "" where neither is known.
        operation: the first word of the statement, such as SELECT; BATCH; PREPARE, which is asked once for all who wait
            for it; OTHER.
        outcomes: seconds from the start to the end of a request, its pages one by one: a histogram for each outcome.
            That is "success", the name of the class of the error, "Cancelled" if nobody waited any more, or "Other" for
            errors that are not triocql's.
        timeouts: requests that have ended with RequestTimeout, by the phase that they were in: a counter.
        retries: attempts that followed one that had failed: a counter.
        copies: attempts beside others that were under way, as a speculation policy says: a counter.
        copies_won: attempts among these copies that were answered first: a counter.
    """

    profile: str = ""
    keyspace: str = ""
    operation: str = ""
    outcomes: Mapping[str, Durations] = field(default_factory=dict)
    timeouts: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    copies: int = 0
    copies_won: int = 0

    @property
    def durations(self) -> Durations:
        """All outcomes together."""
        return Durations.together(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class ShardMetrics:
    """What is under way with one shard of a node of ScyllaDB.

    Attributes:
        number: the number of the shard.
        connections: connections to it that are open for requests: a gauge.
        in_flight: requests that are on one of them and not answered: a gauge.
        orphans: stream ids that are taken until the answer to an abandoned request comes: a gauge.
    """

    number: int
    connections: int = 0
    in_flight: int = 0
    orphans: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMetrics:
    """One node, as the session sees it.

    Attributes:
        node: the node; None for several together.
        state: the state that it was in; None for several together.
        is_slow: whether others are preferred because it has taken long to answer lately: a gauge, 0 or 1.
        attempts: seconds from writing to the end of an attempt: a histogram for each outcome, as of requests, and
            "Overtaken" where another node was faster. What was never written counts as 0 s.
        retries: attempts, anywhere, that followed one that had failed here: a counter.
        copies: attempts here beside others that were under way on other nodes: a counter.
        prepared_again: statements that were prepared because the node did not know them any more: a counter.
        connections: connections that are open for requests: a gauge.
        in_flight: requests that are on a connection and not answered: a gauge.
        orphans: stream ids that are taken until the answer to an abandoned request comes: a gauge.
        connected: connections that were made for requests: a counter.
        lost: connections for requests that ended, but for the end of the session: a counter.
        reconnected: connections that were made in place of a lost one: a counter.
        failed_dials: attempts to connect that failed: a counter.
        bytes_sent: bytes written, compressed, before encryption; of all connections, the control connection
            included: a counter.
        bytes_received: bytes read, as for `bytes_sent`: a counter.
        events: events that the node told: a counter.
        shards: its shards; () for a node that has none, as Cassandra.
    """

    node: Node | None = None
    state: NodeState | None = None
    is_slow: bool = False
    attempts: Mapping[str, Durations] = field(default_factory=dict)
    retries: int = 0
    copies: int = 0
    prepared_again: int = 0
    connections: int = 0
    in_flight: int = 0
    orphans: int = 0
    connected: int = 0
    lost: int = 0
    reconnected: int = 0
    failed_dials: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    events: int = 0
    shards: tuple[ShardMetrics, ...] = ()

    @classmethod
    def together(cls, several: Iterable[NodeMetrics]) -> NodeMetrics:
        """Return the figures of several nodes, added up."""
        nodes = tuple(several)
        return cls(
            attempts=_added_up(node.attempts for node in nodes),
            **{name: sum(getattr(node, name) for node in nodes) for name in _NUMBERS},
        )


_NUMBERS = tuple(name for name, kind in NodeMetrics.__annotations__.items() if kind == "int")


@old_names(METRICS)
@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What a session has counted up to one moment, and what it has under way.

    Attributes:
        requests: each kind of requests that there were. There are 1,000 kinds at most; what comes after them is counted
            as of the profile, keyspace and operation "OTHER".
        nodes: each node that the session knows.
        former_nodes: the nodes that have left the cluster, added up.
        queued: requests that wait while every connection is full: a gauge.
        queued_bytes: bytes of these requests: a gauge.
        waiting: requests that wait for a connection, or for a statement to be prepared: a gauge.
        throttled: requests that wait for their turn, as a throttling policy says: a gauge.
        backing_off: requests that wait before they are tried again: a gauge.
        prepared: statements that are kept prepared: a gauge.
    """

    requests: tuple[RequestMetrics, ...] = ()
    nodes: tuple[NodeMetrics, ...] = ()
    former_nodes: NodeMetrics = NodeMetrics()
    queued: int = 0
    queued_bytes: int = 0
    waiting: int = 0
    throttled: int = 0
    backing_off: int = 0
    prepared: int = 0

    @property
    def all_nodes(self) -> NodeMetrics:
        """All nodes together, those that have left included: the figures of the session, whose counters never fall."""
        return NodeMetrics.together((*self.nodes, self.former_nodes))

    def durations(
        self,
        *,
        profile: str | None = None,
        keyspace: str | None = None,
        operation: str | None = None,
        outcome: str | None = None,
    ) -> Durations:
        """Return how long requests took: all of them, or those of one profile, keyspace, operation, outcome. The
        session's own options are the profile "default", or "". There are none of a profile or a keyspace without any
        requests.

        Raises OptionError for an operation or an outcome that no request can have.

        >>> Metrics().durations(operation="SELECT", outcome="success").count
        0
        """
        _check_known(operation, outcome)
        wanted = "" if profile == "default" else profile, keyspace, operation
        return Durations.together(
            durations
            for kind in self.requests
            if all(
                want in (None, has)
                for want, has in zip(wanted, (kind.profile, kind.keyspace, kind.operation), strict=True)
            )
            for name, durations in kind.outcomes.items()
            if outcome in (None, name)
        )


def _check_known(operation: str | None, outcome: str | None) -> None:
    """Raise OptionError for what no request can have, which would be a count of 0 for ever."""
    if operation not in (None, *OPERATIONS):
        raise OptionError(f"operation is {brief(operation)}; it has to be one of {', '.join(OPERATIONS)}")
    if outcome in (None, SUCCESS, CANCELLED, OTHER_ERROR):
        return
    kind = getattr(errors, outcome, None) if isinstance(outcome, str) else None
    if not (isinstance(kind, type) and issubclass(kind, errors.Error)):
        raise OptionError(
            f"outcome is {brief(outcome)}; it has to be {SUCCESS!r}, {CANCELLED!r}, {OTHER_ERROR!r}, or the name of "
            "an error of triocql.errors, such as 'Unavailable'"
        )


def _added_up(several: Iterable[Mapping[str, Durations]]) -> dict[str, Durations]:
    parts: dict[str, list[Durations]] = {}
    for each in several:
        for outcome, durations in each.items():
            parts.setdefault(outcome, []).append(durations)
    return {outcome: Durations.together(all_of_it) for outcome, all_of_it in parts.items()}
