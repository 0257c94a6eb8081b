"""Clusters that change for good while requests go on: upgraded, grown, shrunk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from triocql.testing.cassandra import CassandraCluster
from triocql.testing.cassandra._versions import LATEST
from triocql.testing.fixtures import require_cassandra

from .checks import go_on, loads_on
from .conftest import create_schema

pytestmark = [pytest.mark.cassandra, pytest.mark.long]


@contextmanager
def own_cluster(version: str = "5.0") -> Iterator[CassandraCluster]:
    require_cassandra()
    with CassandraCluster(nodes=3, name="changing", version=version) as cluster:
        create_schema(cluster)
        yield cluster


def test_a_rolling_upgrade() -> None:
    with own_cluster("4.1") as cluster, loads_on(cluster) as loads:
        for node in cluster.nodes:
            go_on(loads)
            node.upgrade("5.0")
            cluster.wait_for_gossip()
        go_on(loads)
        assert {node.version for node in cluster.nodes} == {LATEST["5.0"]}


def test_a_node_joins_and_another_one_leaves() -> None:
    with own_cluster() as cluster, loads_on(cluster, stale=True) as loads:
        go_on(loads)
        cluster.add_node()
        go_on(loads)
        cluster.nodes[1].decommission()
        go_on(loads)
