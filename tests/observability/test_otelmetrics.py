"""What OpenTelemetry exports of sessions."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    Histogram,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    PeriodicExportingMetricReader,
)

from tests.docs.pages import ROOT
from tests.observability.test_prometheus import Counted, durations, node_metrics
from triocql.errors import UsageError
from triocql.observability.families import BUCKETS
from triocql.observability.metrics import RequestMetrics
from triocql.observability.otelmetrics import WithSessions


class Kept(MetricExporter):
    """Keeps what it is to export."""

    def __init__(self) -> None:
        super().__init__()
        self.exported: list[MetricsData] = []

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        self.exported.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Do nothing."""


def points(data: MetricsData) -> list[Any]:
    found: list[Any] = []
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == "db.client.operation.duration":
                    assert isinstance(metric.data, Histogram)
                    found += metric.data.data_points
    return found


def connections(data: MetricsData) -> list[int | float]:
    return [
        point.value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "triocql.connections"
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint)
    ]


def test_durations_go_with_the_other_metrics_until_the_session_is_closed() -> None:
    outcomes = {"success": durations(0.001, 0.002), "Unavailable": durations(20.0)}
    session = Counted(requests=(RequestMetrics(keyspace="shop", operation="SELECT", outcomes=outcomes),))
    kept = Kept()
    exporter = WithSessions(kept)
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=10**7)])
    exporter.add(session, "main", meter_provider=provider)
    provider.force_flush()
    good, bad = points(kept.exported[-1])
    about = {
        "db.system.name": "cassandra",
        "db.operation.name": "SELECT",
        "db.namespace": "shop",
        "triocql.session": "main",
    }
    assert good.attributes == about
    assert bad.attributes == {**about, "error.type": "Unavailable"}
    assert good.explicit_bounds == BUCKETS
    assert good.bucket_counts == [1, 1, *[0] * 8]
    assert bad.bucket_counts == [*[0] * 9, 1]
    assert (good.count, good.sum, bad.max) == (2, 0.003, 20.0)
    assert len(kept.exported[-1].resource_metrics) == 2
    assert connections(kept.exported[-1]) == [0]
    session.is_open = False
    provider.force_flush()
    assert len(kept.exported) == 1, "nothing is there to be told"
    provider.get_meter("test").create_counter("other").add(1)
    provider.force_flush()
    assert points(kept.exported[-1]) == []
    provider.shutdown()


def test_what_has_the_name_of_a_session_that_was_closed_begins_anew() -> None:
    """By its start, which tells those who read it that the lower count is no mistake."""
    outcomes = {"success": durations(0.001)}
    kept = Kept()
    exporter = WithSessions(kept)
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=10**7)])
    begun = []
    for _ in range(2):
        session = Counted(requests=(RequestMetrics(operation="SELECT", outcomes=outcomes),))
        exporter.add(session, "main", meter_provider=provider)
        for _ in range(2):
            provider.force_flush()
            (point,) = points(kept.exported[-1])
            begun.append(point.start_time_unix_nano)
            assert point.start_time_unix_nano <= point.time_unix_nano
        session.is_open = False
    assert begun[0] == begun[1] < begun[2] == begun[3]
    provider.shutdown()


@pytest.mark.parametrize("other", ["reader", "session"])
def test_what_is_no_exporter_is_refused(other: str) -> None:
    given: Any = Counted()
    if other == "reader":
        given = PeriodicExportingMetricReader(Kept(), export_interval_millis=10**7)
    with pytest.raises(UsageError, match=rf"takes another exporter of metrics.*not {type(given).__name__}; "):
        WithSessions(given)
    if other == "reader":
        given.shutdown()


def test_sessions_are_exported_where_nothing_else_is_measured_however_often_they_are_added(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each session is counted once, though two exporters tell of it."""
    kept = Kept()
    exporters = [WithSessions(kept), WithSessions(kept)]
    provider = MeterProvider(
        [PeriodicExportingMetricReader(each, export_interval_millis=10**7) for each in exporters]
    )
    first = Counted(nodes=(node_metrics(connections=2), node_metrics("10.0.0.2", connections=1)))
    second = Counted(nodes=(node_metrics(connections=4),))
    for exporter in exporters:
        exporter.add(first, meter_provider=provider)
        exporter.add(second, meter_provider=provider)
    provider.force_flush()
    assert [connections(each) for each in kept.exported] == [[7], [7]]
    first.is_open = False
    provider.force_flush()
    assert [connections(each) for each in kept.exported[2:]] == [[4], [4]]
    second.is_open = False
    provider.shutdown()
    assert len(kept.exported) == 4
    assert caplog.records == []


_LATER = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from tests.observability.test_otelmetrics import Kept, connections
from tests.observability.test_prometheus import Counted, node_metrics
from triocql.observability.otelmetrics import WithSessions

kept, session = Kept(), Counted(nodes=(node_metrics(connections=2),))
exporter = WithSessions(kept)
{before}
metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(exporter)]))
{after}
metrics.get_meter_provider().shutdown()
assert [connections(each) for each in kept.exported] == [[2]], kept.exported
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_provider_of_the_program_need_not_be_named(when: str) -> None:
    """A program sets it once."""
    steps = {"before": "", "after": "", when: "exporter.add(session)"}
    subprocess.run([sys.executable, "-W", "error", "-c", _LATER.format(**steps)], check=True, cwd=ROOT)
