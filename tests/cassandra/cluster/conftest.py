"""Three nodes, shared by the tests of this folder, which leave them running."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import triocql.sync
from tests.cassandra.conftest import patient
from triocql.testing.cassandra import CassandraCluster
from triocql.testing.fixtures import require_cassandra

from .load import SCHEMA


@pytest.fixture(scope="package")
def three_nodes() -> Iterator[CassandraCluster]:
    require_cassandra()
    with CassandraCluster(nodes=3, name="three", start_timeout=300.0) as cluster:
        create_schema(cluster)
        yield cluster


def create_schema(cluster: CassandraCluster, **options: Any) -> None:
    """Create what loads write to."""
    with triocql.sync.connect(cluster.contact_points[0], **patient(**options)) as session:
        for statement in SCHEMA:
            assert session.execute(statement).schema_agreed


@pytest.fixture
def three(three_nodes: CassandraCluster) -> Iterator[CassandraCluster]:
    """Three nodes that run, before and after the test, and see each other up."""
    yield three_nodes
    whole(three_nodes)


def whole(cluster: CassandraCluster) -> None:
    """Have all nodes of a cluster run, the first one before others that look for it."""
    for node in cluster.nodes:
        if node.running:
            node.resume()
            continue
        node.launch()
        if node is cluster.nodes[0]:
            node.wait_until_ready()
    for node in cluster.nodes:
        node.wait_until_ready()
    cluster.wait_for_gossip()
