"""The CQL of generated schemas equals, byte for byte, what nodes say of them, and makes them again."""

from __future__ import annotations

import pytest

import triocql
from tests.cassandra.conftest import patient
from triocql.testing.cassandra import CassandraCluster
from triocql.testing.fixtures import require_cassandra

from .comparing import Comparison
from .nodes import launch, server_of
from .stepping import Stepping
from .writer import Server

pytestmark = pytest.mark.cassandra


def test_a_few_schemas(cassandra: CassandraCluster) -> None:
    with triocql.sync.connect(cassandra.contact_points, **patient()) as session:
        Comparison(session).run(Server("5.0", cdc=True, masking=True), 5)


def test_steps_between_a_few_schemas(cassandra: CassandraCluster) -> None:
    with triocql.sync.connect(cassandra.contact_points, **patient()) as session:
        stepping = Stepping(session)
        stepping.run(Server("5.0", cdc=True, masking=True), 2)
    assert stepping.walked >= 2


@pytest.mark.long
@pytest.mark.parametrize(("series", "count"), [("5.0", 100), ("4.1", 20), ("4.0", 20)])
def test_many_schemas_with_all_features(series: str, count: int) -> None:
    require_cassandra()
    with (
        launch(series) as cluster,
        triocql.sync.connect(cluster.contact_points, **patient()) as session,
    ):
        comparison = Comparison(session)
        comparison.run(server_of(series), count)
    assert comparison.compared >= count
    assert len(comparison.features) >= 40, comparison.features


@pytest.mark.long
@pytest.mark.parametrize(("series", "count"), [("5.0", 40), ("4.1", 10), ("4.0", 10)])
def test_steps_between_many_schemas(series: str, count: int) -> None:
    require_cassandra()
    with (
        launch(series) as cluster,
        triocql.sync.connect(cluster.contact_points, **patient()) as session,
    ):
        stepping = Stepping(session)
        stepping.run(server_of(series), count)
    assert stepping.walked >= count
    assert len(stepping.features) >= 40, stepping.features
