"""Two data centres, of which one is lost, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from triocql.testing.cassandra import CassandraCluster
from triocql.testing.fixtures import require_cassandra

from .checks import BACK_OFF, MANY, check_runs, on_trio
from .conftest import create_schema, whole
from .running import Running, running

if TYPE_CHECKING:
    from triocql.testing.cassandra import Node

pytestmark = [pytest.mark.cassandra, pytest.mark.long]

OPTIONS: dict[str, Any] = {
    "consistency": "LOCAL_QUORUM",
    "local_data_centre": "dc1",
    "remote_data_centres": ["dc2"],
    **BACK_OFF,
}


@pytest.fixture(scope="module")
def two_data_centres() -> Iterator[CassandraCluster]:
    require_cassandra()
    topology = {"dc1": {"rack1": 2}, "dc2": {"rack1": 2}}
    with CassandraCluster(topology=topology, name="centres") as cluster:
        create_schema(cluster)
        yield cluster


def centres_that_serve(load: Running, cluster: CassandraCluster) -> set[str]:
    """Return the data centres of the nodes that answer from now on."""
    centres = {node.address: node.dc for node in cluster.nodes}
    before = load.report.served.copy()
    load.answered(MANY)
    return {centres[name.partition(":")[0]] for name in load.report.served - before}


def kill(nodes: list[Node]) -> None:
    for node in nodes:
        node.kill()


def check(load: Running, cluster: CassandraCluster) -> None:
    """None that may be executed twice has failed. (What a centre was lost with, the other one may have to be told.)"""
    assert [failure.text for failure in load.report.failures if failure.idempotent] == []
    check_runs(cluster, load.report)


@on_trio
def test_the_remote_data_centre_is_lost(two_data_centres: CassandraCluster, on: str) -> None:
    """Nobody notices."""
    cluster = two_data_centres
    with running(on, cluster.contact_points[:1], **OPTIONS) as load:
        load.answered(MANY)
        kill(cluster.nodes[2:])
        assert centres_that_serve(load, cluster) == {"dc1"}
        whole(cluster)
        load.answered(MANY)
    assert load.report.failures == []
    assert load.report.wrong == []
    check(load, cluster)


@on_trio
def test_the_local_data_centre_is_lost(two_data_centres: CassandraCluster, on: str) -> None:
    """The other one serves a session that allows it, until the local one is back."""
    cluster = two_data_centres
    with running(on, cluster.contact_points[:1], **OPTIONS) as load:
        assert centres_that_serve(load, cluster) == {"dc1"}
        kill(cluster.nodes[:2])
        load.answered(MANY)
        assert centres_that_serve(load, cluster) == {"dc2"}
        whole(cluster)
        load.load.until(lambda: load.stats().connections == 2 * 2 + 2 * 1, "the pools of all nodes")
        load.answered(MANY)
        assert centres_that_serve(load, cluster) == {"dc1"}
    check(load, cluster)
