"""The metrics of sessions for Prometheus: a collector that reads them when it is scraped. It needs prometheus-client.

    collector = Collector()                    # in prometheus_client's own registry
    async with triocql.connect(...) as session:
        collector.add(session, "shop")

Requests pay nothing for it. Sessions of both kinds can be added, from any thread; one that is closed is not there any
more with the next scrape. What is counted of a node is there as long as the node is known.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client.core import (
    REGISTRY,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from triocql.errors import UsageError
from triocql.observability.families import BUCKETS, FAMILIES, Family, per_bucket
from triocql.observability.logs import get_logger
from triocql.observability.metrics import Durations
from triocql.observability.sessions import LONGEST, Sessions
from triocql.statements.texts import shortened

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry

    from triocql.observability.families import Samples, Values
    from triocql.observability.sessions import Measured

logger = get_logger(__name__)

_MAKERS = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}


class Collector:
    """Tells Prometheus of sessions whenever it asks.

    A registry has one: further sessions are added to it. With the multiprocess mode of prometheus-client, whose
    processes write all that they count to files, no collector works: have each process scraped by itself.

    Args:
        registry: where it registers itself; prometheus_client's own by default, None for none.

    >>> collector = Collector(registry=None)
    >>> [metric.name for metric in collector.collect()]
    []
    """

    def __init__(self, registry: CollectorRegistry | None = REGISTRY) -> None:
        self._sessions = Sessions()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            logger.warning(
                "the multiprocess mode of prometheus-client shows no sessions: scrape each process"
            )
        if registry is not None:
            if not callable(getattr(type(registry), "register", None)):
                raise UsageError(
                    f"Collector() takes a registry of prometheus_client, or nothing, not {type(registry).__name__}; "
                    "sessions go to its add()"
                )
            try:
                registry.register(self)
            except ValueError as twice:
                raise UsageError(
                    "the registry has metrics of triocql already: one Collector is enough for all sessions, which go "
                    "to its add()"
                ) from twice

    def add(self, session: Measured, name: str | None = None) -> None:
        """Tell of a session, too, until it is closed.

        Args:
            session: the session.
            name: the value of the label "session"; by default a number. Choose one that stays the same when
                the program starts again.

        Raises UsageError if an open session has this name.
        """
        self._sessions.add(session, name)

    def remove(self, session: Measured) -> None:
        """Tell of a session no more. Does nothing if it is not told of."""
        self._sessions.remove(session)

    def describe(self) -> Iterator[Metric]:
        """Return the metrics without samples: what a registry looks at before it takes the collector."""
        for family in FAMILIES:
            yield _empty(family)

    def collect(self) -> Iterator[Metric]:
        """Return all metrics as they are now, of sessions that are open. Called when Prometheus asks, in any thread."""
        read = [(name, session.metrics, health) for name, session, health in self._sessions.open()]
        if not read:
            return
        for family in FAMILIES:
            metric = _empty(family)
            for name, metrics, health in read:
                for values, value in _merged(family.read(metrics, health)).items():
                    labels = [_label(name), *values]
                    if isinstance(value, Durations):
                        metric.add_metric(labels, _cumulative(value), value.sum)
                    else:
                        metric.add_metric(labels, value)
            yield metric


def _empty(family: Family) -> Any:
    """Return a metric without samples."""
    return _MAKERS[family.kind](family.name, family.help, labels=("session", *family.labels))


def _merged(samples: Samples) -> dict[Values, Any]:
    """Return the samples by their labels. Those that have the same ones, as of nodes that are said to have one address,
    are added up.
    """
    merged: dict[Values, Any] = {}
    for values, value in samples:
        key = tuple(map(_label, values))
        if key not in merged:
            merged[key] = value
        elif isinstance(value, Durations):
            merged[key] = Durations.together((merged[key], value))
        else:
            merged[key] += value
    return merged


def _label(value: str) -> str:
    """Return the value of a label: its beginning, and none of what UTF-8 does not have, which would fail the scrape."""
    return shortened(value.encode(errors="replace").decode(), LONGEST)


def _cumulative(durations: Durations) -> list[tuple[str, float]]:
    """Return how many durations are within each bound."""
    bounds = (*map(str, BUCKETS), "+Inf")
    return list(zip(bounds, accumulate(per_bucket(durations)), strict=True))
