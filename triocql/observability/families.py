"""What is told of a session's metrics outside: the names, what they are, and their labels."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from triocql.metadata.node import NodeState
from triocql.observability.meter import EDGES
from triocql.observability.metrics import SUCCESS, Durations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from triocql.observability.health import Health
    from triocql.observability.metrics import Metrics, NodeMetrics, RequestMetrics, ShardMetrics

Values: TypeAlias = tuple[str, ...]
Samples: TypeAlias = "Iterable[tuple[Values, float | Durations]]"
Read: TypeAlias = "Callable[[Metrics, Health], Samples]"


BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""The upper bounds of the buckets of durations, in seconds: those of OpenTelemetry's conventions for databases."""

_ENDS = (0, *(EDGES.index(bucket) + 1 for bucket in BUCKETS), None)


def per_bucket(durations: Durations) -> list[int]:
    """Return how many durations are in each of these buckets, the last one without a bound."""
    return [sum(durations.counts[begin:end]) for begin, end in pairwise(_ENDS)]


class Family(NamedTuple):
    """One metric.

    Attributes:
        kind: what it is.
        name: as Prometheus has it; counters get ``_total``.
        help: what it tells.
        labels: what it is told by, besides the session.
        read: makes its samples: the values of the labels, and a number, or durations for a histogram.
    """

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: Values
    read: Read


_KIND = ("profile", "keyspace", "operation")
_NODE = ("node", "dc")
_SHARD = (*_NODE, "shard")


def _kind(each: RequestMetrics) -> Values:
    return each.profile, each.keyspace, each.operation


def _place(each: NodeMetrics) -> Values:
    if each.node is None:
        return "", ""
    return each.node.name, each.node.data_centre or ""


def _by_kind(read: Callable[[RequestMetrics], Any]) -> Read:
    return lambda metrics, _: ((_kind(each), read(each)) for each in metrics.requests)


def _by_node(read: Callable[[NodeMetrics], Any]) -> Read:
    return lambda metrics, _: ((_place(each), read(each)) for each in metrics.nodes)


def _by_shard(read: Callable[[ShardMetrics], Any]) -> Read:
    return lambda metrics, _: (
        ((*_place(each), str(shard.number)), read(shard)) for each in metrics.nodes for shard in each.shards
    )


def _each(
    several: Iterable[Any], labels: Callable[[Any], Values], read: Callable[[Any], Mapping[str, Any]]
) -> Samples:
    """Return the samples of what is counted by one more label."""
    for each in several:
        for name, value in read(each).items():
            yield (*labels(each), name), value.count if isinstance(value, Durations) else value


def _of_all(read: Callable[[Metrics, Health], Any]) -> Read:
    return lambda metrics, health: (((), float(read(metrics, health))),)


def _states(metrics: Metrics) -> Samples:
    for state in NodeState:
        yield (state.value,), sum(each.state is state for each in metrics.nodes)


FAMILIES: tuple[Family, ...] = (
    Family(
        "counter",
        "triocql_requests",
        "Requests that have ended, by their outcome",
        (*_KIND, "outcome"),
        lambda metrics, _: _each(metrics.requests, _kind, lambda each: each.outcomes),
    ),
    Family(
        "histogram",
        "triocql_request_duration_seconds",
        "Seconds from the start to the end of requests, whatever their outcome",
        _KIND,
        _by_kind(lambda each: each.durations),
    ),
    Family(
        "counter",
        "triocql_request_timeouts",
        "Requests that had no more time, by the phase that they were in",
        (*_KIND, "phase"),
        lambda metrics, _: _each(metrics.requests, _kind, lambda each: each.timeouts),
    ),
    Family(
        "counter",
        "triocql_request_retries",
        "Attempts that followed one that had failed",
        _KIND,
        _by_kind(lambda each: each.retries),
    ),
    Family(
        "counter",
        "triocql_speculative_executions",
        "Attempts beside others that were under way",
        _KIND,
        _by_kind(lambda each: each.copies),
    ),
    Family(
        "counter",
        "triocql_speculative_executions_won",
        "Attempts beside others that were answered first",
        _KIND,
        _by_kind(lambda each: each.copies_won),
    ),
    Family(
        "counter",
        "triocql_attempts",
        "Attempts at requests, by node and outcome",
        (*_NODE, "outcome"),
        lambda metrics, _: _each(metrics.nodes, _place, lambda each: each.attempts),
    ),
    Family(
        "histogram",
        "triocql_attempt_duration_seconds",
        "Seconds from writing to the end of attempts that were answered well",
        _NODE,
        _by_node(lambda each: each.attempts.get(SUCCESS, Durations())),
    ),
    Family(
        "counter",
        "triocql_node_retries",
        "Attempts, anywhere, that followed one that had failed at the node",
        _NODE,
        _by_node(lambda each: each.retries),
    ),
    Family(
        "counter",
        "triocql_node_speculative_executions",
        "Attempts at the node beside others that were under way elsewhere",
        _NODE,
        _by_node(lambda each: each.copies),
    ),
    Family(
        "counter",
        "triocql_prepared_again",
        "Statements that were prepared because the node did not know them any more",
        _NODE,
        _by_node(lambda each: each.prepared_again),
    ),
    Family(
        "gauge",
        "triocql_node_up",
        "Whether the node can be reached",
        _NODE,
        _by_node(lambda each: int(each.state is NodeState.UP)),
    ),
    Family(
        "gauge",
        "triocql_node_slow",
        "Whether others are preferred to the node because it has taken long to answer",
        _NODE,
        _by_node(lambda each: int(each.is_slow)),
    ),
    Family(
        "gauge",
        "triocql_connections",
        "Connections that are open for requests",
        _NODE,
        _by_node(lambda each: each.connections),
    ),
    Family(
        "gauge",
        "triocql_in_flight",
        "Requests that are on a connection and not answered",
        _NODE,
        _by_node(lambda each: each.in_flight),
    ),
    Family(
        "gauge",
        "triocql_orphaned_streams",
        "Stream ids that are taken until the answer to an abandoned request comes",
        _NODE,
        _by_node(lambda each: each.orphans),
    ),
    Family(
        "gauge",
        "triocql_shard_connections",
        "Connections that are open for requests, by the shards of nodes of ScyllaDB",
        _SHARD,
        _by_shard(lambda each: each.connections),
    ),
    Family(
        "gauge",
        "triocql_shard_in_flight",
        "Requests that are on a connection to a shard and not answered",
        _SHARD,
        _by_shard(lambda each: each.in_flight),
    ),
    Family(
        "counter",
        "triocql_connects",
        "Connections that were made",
        _NODE,
        _by_node(lambda each: each.connected),
    ),
    Family(
        "counter",
        "triocql_connections_lost",
        "Connections that ended by themselves",
        _NODE,
        _by_node(lambda each: each.lost),
    ),
    Family(
        "counter",
        "triocql_reconnects",
        "Connections that took the place of a lost one",
        _NODE,
        _by_node(lambda each: each.reconnected),
    ),
    Family(
        "counter",
        "triocql_connect_failures",
        "Attempts to connect that failed",
        _NODE,
        _by_node(lambda each: each.failed_dials),
    ),
    Family(
        "counter",
        "triocql_sent_bytes",
        "Bytes written, compressed, before encryption",
        _NODE,
        _by_node(lambda each: each.bytes_sent),
    ),
    Family(
        "counter",
        "triocql_received_bytes",
        "Bytes read, compressed, after decryption",
        _NODE,
        _by_node(lambda each: each.bytes_received),
    ),
    Family(
        "counter",
        "triocql_node_events",
        "Events that the node told",
        _NODE,
        _by_node(lambda each: each.events),
    ),
    Family(
        "gauge",
        "triocql_nodes",
        "Nodes of the cluster, by state",
        ("state",),
        lambda metrics, _: _states(metrics),
    ),
    Family(
        "gauge",
        "triocql_control_connection_up",
        "Whether there is a control connection",
        (),
        _of_all(lambda _, health: health.control is not None),
    ),
    Family(
        "gauge",
        "triocql_loop_tick_age_seconds",
        "Seconds since the loop of the session came round last, a few at most unless it is stuck",
        (),
        _of_all(lambda _, health: health.tick_age),
    ),
    Family(
        "gauge",
        "triocql_queue_length",
        "Requests that wait while every connection is full",
        (),
        _of_all(lambda metrics, _: metrics.queued),
    ),
    Family(
        "gauge",
        "triocql_queue_bytes",
        "Bytes of the requests that wait while every connection is full",
        (),
        _of_all(lambda metrics, _: metrics.queued_bytes),
    ),
    Family(
        "gauge",
        "triocql_waiting",
        "Requests that wait for a connection, or for a statement to be prepared",
        (),
        _of_all(lambda metrics, _: metrics.waiting),
    ),
    Family(
        "gauge",
        "triocql_throttled",
        "Requests that wait for their turn, as a throttling policy says",
        (),
        _of_all(lambda metrics, _: metrics.throttled),
    ),
    Family(
        "gauge",
        "triocql_backing_off",
        "Requests that wait before they are tried again",
        (),
        _of_all(lambda metrics, _: metrics.backing_off),
    ),
    Family(
        "gauge",
        "triocql_prepared_statements",
        "Statements that are kept prepared",
        (),
        _of_all(lambda metrics, _: metrics.prepared),
    ),
)
"""All metrics, each once."""
