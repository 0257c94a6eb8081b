"""What is counted of requests by their kinds, and of attempts and connections by nodes."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from triocql._impl import compiled
from triocql.errors import RequestTimeout
from triocql.observability.metrics import NodeMetrics, RequestMetrics, outcomes

if TYPE_CHECKING or not compiled:
    from triocql.observability.meter import Meter, Moment
else:
    from triocql.observability._meter import Meter, Moment

if TYPE_CHECKING:
    from collections.abc import Collection

    from triocql.metadata.node import Node

__all__ = ["MOST", "OTHER", "Kind", "Meter", "Meters", "Moment", "NodeMeter", "RequestMeter"]

MOST = 1000
"""The number of kinds of requests that are told apart, among them that of all which come after them."""

OTHER = "OTHER"

_FORMER = 100


class Kind(NamedTuple):
    """What requests have in common that are counted together.

    Attributes:
        profile: the profile, "" for the session's own options.
        keyspace: the keyspace, "" where it is not known.
        operation: one of `triocql.observability.metrics.OPERATIONS`.
    """

    profile: str
    keyspace: str
    operation: str


class SlowLog(Protocol):
    """Tells of slow requests.

    Attributes:
        seconds: which ones are slow.
    """

    seconds: float

    def tell(
        self,
        kind: Kind,
        execution: Any,
        attempt: Any,
        error: BaseException | None,
        value: Any,
        seconds: float,
    ) -> None:
        """Called with an execution that has ended, its last attempt, the outcome and the seconds that it took."""


class RequestMeter(Meter):
    """What is counted of requests of one kind.

    Args:
        kind: what they have in common.
        moment: the time that is counted by.
        slow: where those are told of that took too long, if anywhere.

    Attributes:
        kind: what they have in common.
        timeouts: those that took longer than they had, by the phase that they were in then.
        retries: attempts that followed one that had failed.
        copies: attempts beside others that were under way.
        copies_won: those of them that were answered first.
    """

    __slots__ = ("_slow_log", "copies", "copies_won", "kind", "retries", "timeouts")

    def __init__(self, kind: Kind, moment: Moment, slow: SlowLog | None = None) -> None:
        Meter.__init__(self, moment, inf if slow is None else slow.seconds)
        self.kind = kind
        self._slow_log = slow
        self.timeouts: dict[str, int] = {}
        self.retries = 0
        self.copies = 0
        self.copies_won = 0

    def failed(self, error: BaseException, seconds: float) -> None:
        """Count what ended with `error` after so many seconds (`Meter`)."""
        Meter.failed(self, error, seconds)
        if isinstance(error, RequestTimeout):
            self.timeouts[error.phase] = self.timeouts.get(error.phase, 0) + 1

    def read(self) -> RequestMetrics:
        """Return what was counted so far."""
        return RequestMetrics(
            **self.kind._asdict(),
            outcomes=outcomes(self),
            timeouts=self.timeouts.copy(),
            retries=self.retries,
            copies=self.copies,
            copies_won=self.copies_won,
        )

    def was_slow(
        self, execution: Any, attempt: Any, error: BaseException | None, value: Any, seconds: float
    ) -> None:
        """Tell of one that took at least `slow` seconds."""
        if self._slow_log is not None:
            self._slow_log.tell(self.kind, execution, attempt, error, value, seconds)


class _Later(RequestMeter):
    """Stands for the meter of a kind as long as its request may be refused as the caller's mistake: only what has ended
    is counted, and takes one of the places of kinds.
    """

    __slots__ = ("_meters",)

    def __init__(self, meters: Meters, kind: Kind, moment: Moment, slow: SlowLog | None) -> None:
        RequestMeter.__init__(self, kind, moment, slow)
        self._meters = meters

    def failed(self, error: BaseException, seconds: float) -> None:
        """Count what ended with `error` after so many seconds (`Meter`)."""
        self._meters.of(*self.kind).failed(error, seconds)


class NodeMeter(Meter):
    """What is counted of a node: as a `Meter`, the attempts that were given to its connections.

    Attributes:
        node: the node.
        retries: attempts that followed one that had failed here.
        copies: attempts that were sent here beside others that were under way.
        prepared_again: statements that were prepared because the node did not know them.
        connected: connections that were made for requests, and `lost` those that ended by themselves.
        reconnected: connections that took the place of a lost one.
        failed_dials: attempts to connect that failed.
        bytes_sent, bytes_received: of all connections, before encryption and after decryption.
        events: what the node told unasked.
    """

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "connected",
        "copies",
        "events",
        "failed_dials",
        "lost",
        "node",
        "prepared_again",
        "reconnected",
        "retries",
    )

    def __init__(self, node: Node, moment: Moment) -> None:
        Meter.__init__(self, moment)
        self.node = node
        self.retries = self.copies = self.prepared_again = 0
        self.connected = self.lost = self.reconnected = self.failed_dials = 0
        self.bytes_sent = self.bytes_received = self.events = 0

    def read(self, **gauges: Any) -> NodeMetrics:
        """Return what was counted so far, together with what is there now."""
        counters = {name: getattr(self, name) for name in NodeMeter.__slots__ if name != "node"}
        return NodeMetrics(node=self.node, attempts=outcomes(self), **counters, **gauges)


class Meters:
    """The meters of a session: one a kind of requests and one a node, as long as there are not too many.

    Args:
        moment: the time that is counted by.
        slow: where slow requests are told of; None for nowhere.

    Attributes:
        forgotten: what was counted of nodes that left long ago, added up.
    """

    def __init__(self, moment: Moment, slow: SlowLog | None = None) -> None:
        self._moment = moment
        self._slow = slow
        self._requests: dict[tuple[str, str, str], RequestMeter] = {}  # by `Kind`
        self._nodes: dict[Node, NodeMeter] = {}
        self.forgotten = NodeMetrics()

    def of(self, profile: str, keyspace: str | None, operation: str) -> RequestMeter:
        """Return the meter of a kind of requests."""
        kind = profile, keyspace or "", operation
        meter = self._requests.get(kind)
        if meter is None:
            if len(self._requests) >= MOST - 1:
                kind = OTHER, OTHER, OTHER
            meter = self._requests.setdefault(kind, RequestMeter(Kind(*kind), self._moment, self._slow))
        return meter

    def later(self, profile: str, keyspace: str | None, operation: str) -> RequestMeter:
        """Return what counts a request that has to be prepared first, in case it fails at that."""
        return _Later(self, Kind(profile, keyspace or "", operation), self._moment, self._slow)

    def node(self, node: Node) -> NodeMeter:
        """Return the meter of a node."""
        meter = self._nodes.get(node)
        if meter is None:
            meter = self._nodes[node] = NodeMeter(node, self._moment)
        return meter

    def forget(self, known: Collection[Node]) -> None:
        """Have no meters of their own for nodes that are not `known` any more, but for the last ones: requests to them
        may still be under way.
        """
        former = [node for node in self._nodes if node not in known]
        for node in former[:-_FORMER]:
            self.forgotten = NodeMetrics.together((self.forgotten, self._nodes[node].read()))
            del self._nodes[node]

    def requests(self) -> tuple[RequestMeter, ...]:
        """Return the meters of all kinds."""
        return tuple(self._requests.copy().values())

    def nodes(self) -> tuple[NodeMeter, ...]:
        """Return the meters of all nodes, of those that have left as well."""
        return tuple(self._nodes.copy().values())
