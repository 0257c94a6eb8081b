"""The reference has every metric, with its kind, its unit and what it means."""

from __future__ import annotations

from dataclasses import fields

import pytest

from triocql.observability.meters import NodeMeter
from triocql.observability.metrics import Metrics, NodeMetrics, RequestMetrics, ShardMetrics

from . import families, metrics

NO_METRICS = {
    *("requests", "nodes", "former_nodes", "node", "state", "profile", "keyspace", "operation"),
    *("shards", "number"),
}
"""What holds metrics, or tells what they are of."""


def test_the_tables_say_what_the_code_does() -> None:
    page = metrics.PAGE.read_text()
    assert page == metrics.with_tables(page), "run: python -m tests.docs.metrics"


def test_the_table_for_prometheus_says_what_the_code_does() -> None:
    page = families.PAGE.read_text()
    assert page == families.with_table(page), "run: python -m tests.docs.families"


@pytest.mark.parametrize("owner", [Metrics, RequestMetrics, NodeMetrics, ShardMetrics])
def test_each_has_a_kind_and_a_unit(owner: type) -> None:
    for name, kind, unit, text in metrics.rows_of(owner):
        assert text, name
        if name.strip("`") not in NO_METRICS:
            assert kind, name
            assert unit or name == "`is_slow`", name


def test_whatever_is_counted_of_a_node_is_shown() -> None:
    assert set(NodeMeter.__slots__) <= {each.name for each in fields(NodeMetrics)}
