"""Several real nodes: racks, data centres, nodes that come and go. Minutes, not seconds."""

from __future__ import annotations

import pytest

from triocql.testing.cassandra import CassandraCluster
from triocql.testing.fixtures import require_cassandra

pytestmark = [pytest.mark.cassandra, pytest.mark.long]


@pytest.fixture(scope="module", autouse=True)
def _java() -> None:
    require_cassandra()


def test_nodes_come_and_go() -> None:
    topology = {"dc1": {"rack1": 1, "rack2": 1}, "dc2": {"rack1": 1}}
    with CassandraCluster(topology=topology, auth=True, tls="mutual") as cluster:
        first, second, remote = cluster.nodes
        assert [(n.dc, n.rack) for n in cluster.nodes] == [
            ("dc1", "rack1"),
            ("dc1", "rack2"),
            ("dc2", "rack1"),
        ]
        status = first.nodetool("status")
        assert "Datacenter: dc2" in status
        assert status.count("UN  ") == 3

        second.kill()
        remote.restart()
        second.start()
        cluster.wait_for_gossip()

        added = cluster.add_node("dc2", "rack2")
        assert first.nodetool("status").count("UN  ") == 4
        added.nodetool("decommission")
        added.stop()
        assert added.address not in first.nodetool("status")


def test_two_clusters_side_by_side() -> None:
    with CassandraCluster(name="one") as one, CassandraCluster(name="two") as two:
        assert one.contact_points != two.contact_points
        assert "Name: two" in two.nodes[0].nodetool("describecluster")
