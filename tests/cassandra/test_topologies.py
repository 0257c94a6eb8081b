"""Several real nodes: racks, data centres, nodes that come and go, and TLS. Minutes, not seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from triocql.testing.cassandra import CassandraCluster
from triocql.testing.fixtures import require_cassandra

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.cassandra, pytest.mark.long]


@pytest.fixture(scope="module", autouse=True)
def _java() -> None:
    require_cassandra()


def test_nodes_come_and_go() -> None:
    with CassandraCluster(topology={"dc1": {"rack1": 1, "rack2": 1}, "dc2": {"rack1": 1}}) as cluster:
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


@pytest.mark.parametrize("client_auth", [False, True])
def test_ready_behind_tls(tmp_path: Path, client_auth: bool) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "node.pem").write_bytes(key + b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    factory = "org.apache.cassandra.security.PEMBasedSslContextFactory"
    options = {
        "enabled": True,
        "ssl_context_factory": {"class_name": factory},
        "keystore": str(tmp_path / "node.pem"),
        "truststore": str(tmp_path / "authority.pem"),
        "require_client_auth": client_auth,
    }
    with CassandraCluster(yaml={"client_encryption_options": options}) as cluster:
        assert cluster.nodes[0].is_up()
