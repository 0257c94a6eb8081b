"""Passwords and certificates that change while requests go on: neither is noticed by who has the new one in time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

import triocql.sync
from tests.cassandra.conftest import patient
from triocql import PlainTextAuth
from triocql.testing.cassandra import CassandraCluster
from triocql.testing.cassandra._probe import accepts_password
from triocql.testing.fixtures import require_cassandra

from .checks import BACK_OFF, go_on, loads_on, wait_for_pools
from .conftest import create_schema

if TYPE_CHECKING:
    from triocql.testing.cassandra import Node

    from .running import Running

pytestmark = [pytest.mark.cassandra, pytest.mark.long]

NOTHING_IS_KEPT = {"credentials_validity": "0ms", "roles_validity": "0ms", "permissions_validity": "0ms"}
ROLES = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}"


@pytest.fixture(scope="module")
def secured() -> Iterator[CassandraCluster]:
    """Three nodes that ask for a password and a certificate, each of which knows the role that loads log in as."""
    require_cassandra()
    with CassandraCluster(nodes=3, name="secured", auth=True, tls="mutual", yaml=NOTHING_IS_KEPT) as cluster:
        root: Any = {"auth": cluster.auth, "ssl_context": cluster.ssl_context()}
        with triocql.sync.connect(cluster.contact_points[0], **patient(**root)) as session:
            session.execute(f"ALTER KEYSPACE system_auth WITH replication = {ROLES}")
            for role in ("changing", "steady"):
                session.execute(
                    f"CREATE ROLE {role} WITH PASSWORD = 'first' AND LOGIN = true AND SUPERUSER = true"
                )
        create_schema(cluster, **as_steady(cluster))
        yield cluster


def as_steady(cluster: CassandraCluster) -> dict[str, Any]:
    """Return what a session connects with as a role that every node knows, and whose password stays."""
    return {"auth": PlainTextAuth("steady", "first"), "ssl_context": cluster.ssl_context()}


def hang_up_in_turn(cluster: CassandraCluster, loads: list[Running]) -> None:
    """Have each node end all its connections while requests go on, and take new ones."""
    for node in cluster.nodes:
        node.nodetool("disablebinary")
        for load in loads:
            wait_for_pools(load, 2)
        node.nodetool("enablebinary")
        for load in loads:
            wait_for_pools(load)
        go_on(loads)


def serial_number(cluster: CassandraCluster, node: Node) -> Any:
    """Return that of the certificate that a node shows now."""
    with (
        socket.create_connection((node.address, node.port), 30) as connection,
        cluster.ssl_context().wrap_socket(connection, server_hostname=node.address) as encrypted,
    ):
        certificate: Any = encrypted.getpeercert()
        return certificate["serialNumber"]


def test_the_password_is_changed(secured: CassandraCluster) -> None:
    """What is open goes on; what is dialled from then on has the new one, as a function tells it."""
    current = ["first"]
    options: dict[str, Any] = {
        "auth": PlainTextAuth("changing", lambda: current[0]),
        "ssl_context": secured.ssl_context(),
        **BACK_OFF,
    }
    with loads_on(secured, **options) as loads:
        go_on(loads)
        with triocql.sync.connect(secured.contact_points[0], **patient(**as_steady(secured))) as session:
            session.execute("ALTER ROLE changing WITH PASSWORD = 'second'", consistency="ALL")
        current[0] = "second"
        for node in secured.nodes:
            assert not accepts_password(
                node.address, node.port, "changing", "first", tls=secured.ssl_context()
            )
        hang_up_in_turn(secured, loads)


def test_certificates_are_rotated(secured: CassandraCluster) -> None:
    """Those of all nodes and of the sessions: these have the new one in the context that they were given."""
    options = as_steady(secured)
    before = {serial_number(secured, node) for node in secured.nodes}
    with loads_on(secured, **options, **BACK_OFF) as loads:
        go_on(loads)
        secured.renew_certificates()
        options["ssl_context"].load_cert_chain(secured.certificates / "client.pem")
        assert not before & {serial_number(secured, node) for node in secured.nodes}
        hang_up_in_turn(secured, loads)
