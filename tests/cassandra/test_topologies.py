"""Several real nodes: racks, data centres, nodes that come and go. Minutes, not seconds."""

from __future__ import annotations

import pytest

from triocql.testing.cassandra import CassandraCluster, LauncherError
from triocql.testing.cassandra._versions import LATEST
from triocql.testing.fixtures import require_cassandra

from .services import eventually

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
        added.decommission()
        assert not added.running
        assert added.address not in first.nodetool("status")


def test_a_node_is_upgraded_on_its_data() -> None:
    with CassandraCluster(version="4.1") as cluster:
        (node,) = cluster.nodes
        host_id = node.nodetool("info").splitlines()[0]
        with pytest.raises(LauncherError, match=r"not '6\.0'"):
            node.upgrade("6.0")
        eventually(node.is_up)
        node.upgrade("5.0")
        assert node.version == LATEST["5.0"]
        assert f"ReleaseVersion: {node.version}" in node.nodetool("version")
        assert node.nodetool("info").splitlines()[0] == host_id
        node.restart()
        assert node.version == LATEST["5.0"]


def test_two_clusters_side_by_side() -> None:
    with CassandraCluster(name="one") as one, CassandraCluster(name="two") as two:
        assert one.contact_points != two.contact_points
        assert "Name: two" in two.nodes[0].nodetool("describecluster")
