"""The metrics of sessions for OpenTelemetry, read when metrics are exported: requests pay nothing for it.

It needs opentelemetry-sdk.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from opentelemetry.metrics import MeterProvider, Observation, get_meter, get_meter_provider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from triocql.errors import UsageError
from triocql.observability.families import BUCKETS, per_bucket
from triocql.observability.metrics import SUCCESS
from triocql.observability.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.metrics import CallbackOptions

    from triocql.observability.metrics import Durations, RequestMetrics
    from triocql.observability.sessions import Measured

_SCOPE = InstrumentationScope("triocql")

_told: WeakSet[Sessions] = WeakSet()
"""The sessions of all exporters."""

_providers: WeakSet[MeterProvider] = WeakSet()
"""Those that have our instrument: each once, as of two with one name, providers call one only, or warn."""


class WithSessions(MetricExporter):
    """Another exporter, with ``db.client.operation.duration`` of sessions added to all that it exports.

    What it exports is cumulative. A session that is closed is not there any more.

    Readers export only when an instrument of their provider has measured something. So `add` gives the provider one:
    ``triocql.connections``, the connections that are open for requests in all sessions that were added.

    Args:
        exporter: the other one.
        resource: what the program is told as; the resource of the other metrics, by default.

    >>> exporter = WithSessions(OTLPMetricExporter())                                  # doctest: +SKIP
    >>> provider = MeterProvider([PeriodicExportingMetricReader(exporter)])            # doctest: +SKIP
    >>> exporter.add(session, meter_provider=provider)                                 # doctest: +SKIP
    """

    def __init__(self, exporter: MetricExporter, resource: Resource | None = None) -> None:
        if not isinstance(exporter, MetricExporter):
            raise UsageError(
                f"WithSessions() takes another exporter of metrics, such as OTLPMetricExporter(), not "
                f"{type(exporter).__name__}; the reader takes what it returns, and sessions go to its add()"
            )
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._exporter = exporter
        self._resource = resource
        self._sessions = Sessions()
        _told.add(self._sessions)
        self._began: WeakKeyDictionary[Measured, int] = WeakKeyDictionary()

    def add(
        self, session: Measured, name: str | None = None, *, meter_provider: MeterProvider | None = None
    ) -> None:
        """Tell of a session, too, until it is closed.

        Args:
            session: the session.
            name: what goes into the attribute ``triocql.session``; a number by default.
            meter_provider: the provider whose reader has this exporter; by default the one that is set, or will be, by
                `opentelemetry.metrics.set_meter_provider`.

        Raises:
            UsageError: an open session has this name.
        """
        self._sessions.add(session, name)
        self._began.setdefault(
            session, time_ns()
        )  # of each: what has the same name as one before begins anew
        _measure(get_meter_provider() if meter_provider is None else meter_provider)

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Export them, with those of sessions (`MetricExporter`)."""
        resources = list(metrics_data.resource_metrics)
        resource = self._resource or (resources[0].resource if resources else Resource.create())
        points = self._points()
        if points:
            data = Histogram(points, AggregationTemporality.CUMULATIVE)
            metric = Metric(
                "db.client.operation.duration", "Duration of database client operations.", "s", data
            )
            resources.append(ResourceMetrics(resource, [ScopeMetrics(_SCOPE, [metric], "")], ""))
        return self._exporter.export(MetricsData(resources), timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Have the other one export what it holds (`MetricExporter`)."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut the other one down (`MetricExporter`)."""
        self._exporter.shutdown(timeout_millis, **kwargs)

    def _points(self) -> list[HistogramDataPoint]:
        now = time_ns()
        return [
            self._point(_attributes(name, kind, outcome), durations, self._began.get(session, now), now)
            for name, session, _ in self._sessions.open()
            for kind in session.metrics.requests
            for outcome, durations in kind.outcomes.items()
        ]

    def _point(
        self, attributes: dict[str, str], durations: Durations, began: int, now: int
    ) -> HistogramDataPoint:
        return HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=began,
            time_unix_nano=now,
            count=durations.count,
            sum=durations.sum,
            bucket_counts=per_bucket(durations),
            explicit_bounds=BUCKETS,
            min=0.0,
            max=durations.largest,
        )


def _measure(provider: MeterProvider) -> None:
    """Have a provider measure something of sessions, so that its readers export."""
    if provider not in _providers:
        _providers.add(provider)
        get_meter("triocql", meter_provider=provider).create_observable_up_down_counter(
            "triocql.connections",
            [_connections],
            "{connection}",
            "Connections that are open for requests, of all sessions whose metrics are exported.",
        )


def _connections(_: CallbackOptions) -> Iterable[Observation]:
    """Observe the connections of sessions that are open, each counted once; nothing when there is none."""
    sessions = {id(each.session): each.session for sessions in list(_told) for each in sessions.open()}
    if sessions:
        connections = sum(session.metrics.all_nodes.connections for session in sessions.values())
        yield Observation(connections, {"db.system.name": "cassandra"})


def _attributes(name: str, kind: RequestMetrics, outcome: str) -> dict[str, str]:
    told = {
        "db.system.name": "cassandra",
        "db.operation.name": kind.operation,
        "db.namespace": kind.keyspace,
        "triocql.profile": kind.profile,
        "triocql.session": name,
        "error.type": "" if outcome == SUCCESS else outcome,
    }
    return {key: value for key, value in told.items() if value}
