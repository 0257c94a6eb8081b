"""TLS and passwords on real nodes, as the launcher sets them up."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

import triocql
from triocql.errors import AuthenticationError, ConnectError, TlsError
from triocql.testing.cassandra import CassandraCluster
from triocql.testing.fixtures import require_cassandra

from .conftest import connected, patient

pytestmark = [pytest.mark.cassandra, pytest.mark.anyio]

SELECT = "SELECT key FROM system.local"

both_versions = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name
)


@pytest.fixture(scope="module")
def one_way() -> Iterator[CassandraCluster]:
    require_cassandra()
    with CassandraCluster(name="one-way", tls="one-way") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def mutual() -> Iterator[CassandraCluster]:
    require_cassandra()
    with CassandraCluster(name="mutual", tls="mutual", auth=True) as cluster:
        yield cluster


def only(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = version
    return context


@both_versions
async def test_one_way(anyio_backend: str, one_way: CassandraCluster, version: ssl.TLSVersion) -> None:
    context = only(one_way.ssl_context(client_certificate=False), version)
    async with triocql.connect(one_way.contact_points, **patient(ssl_context=context)) as session:
        results = await session.execute_concurrent([SELECT] * 1000)
        assert {result.scalar() for _, result in results} == {"local"}


async def test_large_answers_and_a_cancellation(anyio_backend: str, one_way: CassandraCluster) -> None:
    context = one_way.ssl_context(client_certificate=False)
    async with triocql.connect(
        one_way.contact_points, **patient(ssl_context=context, compression="lz4")
    ) as session:
        async with session.stream("SELECT * FROM system_schema.columns", page_size=100) as rows:
            assert len([row async for row in rows]) > 200
        with anyio.move_on_after(0.05):
            await session.execute_concurrent([SELECT] * 100_000)
        assert (await session.execute(SELECT)).scalar() == "local"


@both_versions
async def test_mutual_with_a_password(
    anyio_backend: str, mutual: CassandraCluster, version: ssl.TLSVersion
) -> None:
    context = only(mutual.ssl_context(), version)
    async with triocql.connect(
        mutual.contact_points, **patient(auth=mutual.auth, ssl_context=context)
    ) as session:
        assert [row.role for row in await session.execute("LIST ROLES")] == ["cassandra"]


async def test_wrong_password(anyio_backend: str, mutual: CassandraCluster) -> None:
    auth = triocql.PlainTextAuth("cassandra", "wrong")
    with pytest.raises(AuthenticationError, match="incorrect"):
        async with triocql.connect(
            mutual.contact_points, **patient(auth=auth, ssl_context=mutual.ssl_context())
        ):
            pass


@both_versions
async def test_no_client_certificate(
    anyio_backend: str, mutual: CassandraCluster, version: ssl.TLSVersion
) -> None:
    context = only(mutual.ssl_context(client_certificate=False), version)
    with pytest.raises(TlsError, match=r"ALERT.*; it may want a certificate of this side"):
        async with triocql.connect(mutual.contact_points, **patient(auth=mutual.auth, ssl_context=context)):
            pass


@both_versions
async def test_certificate_of_another_authority(
    anyio_backend: str, one_way: CassandraCluster, mutual: CassandraCluster, version: ssl.TLSVersion
) -> None:
    """Refused by whichever side looks first: ours, if it checks at all."""
    context = only(one_way.ssl_context(), version)
    with pytest.raises(TlsError, match=r"was refused: .*certificate"):
        async with triocql.connect(mutual.contact_points, **patient(auth=mutual.auth, ssl_context=context)):
            pass
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.raises(TlsError, match=r"ALERT.*; it may want a certificate of this side"):
        async with triocql.connect(mutual.contact_points, **patient(auth=mutual.auth, ssl_context=context)):
            pass


async def test_wrong_name(anyio_backend: str, one_way: CassandraCluster) -> None:
    context = one_way.ssl_context()
    with pytest.raises(TlsError, match=r"Hostname mismatch, certificate is not valid for 'other\.example'"):
        async with triocql.connect(
            one_way.contact_points, **patient(ssl_context=context, server_hostname="other.example")
        ):
            pass


async def test_one_side_without_tls(
    anyio_backend: str, one_way: CassandraCluster, cassandra: CassandraCluster
) -> None:
    with pytest.raises(ConnectError, match="TLS"):
        async with triocql.connect(one_way.contact_points, connect_timeout=3.0):
            pass
    with pytest.raises(TlsError, match="speaks plain CQL: TLS is not enabled on this port"):
        async with triocql.connect(cassandra.contact_points, **patient(ssl_context=one_way.ssl_context())):
            pass


def serial_number(cluster: CassandraCluster) -> Any:
    """Return that of the certificate that the node shows now."""
    (node,) = cluster.nodes
    with (
        socket.create_connection((node.address, node.port), 30) as connection,
        cluster.ssl_context().wrap_socket(connection, server_hostname=node.address) as encrypted,
    ):
        certificate: Any = encrypted.getpeercert()
        return certificate["serialNumber"]


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_certificates_are_renewed_while_connected(anyio_backend: str, mutual: CassandraCluster) -> None:
    """What is open goes on; the next connections have the new certificates of both sides, by the same context."""
    context = mutual.ssl_context()
    before = await anyio.to_thread.run_sync(serial_number, mutual)
    options = patient(auth=mutual.auth, ssl_context=context, reconnection_base=0.1, reconnection_maximum=0.5)
    async with triocql.connect(mutual.contact_points, **options) as session:
        await connected(session)
        await anyio.to_thread.run_sync(mutual.renew_certificates)
        assert (await session.execute(SELECT)).scalar() == "local"
        assert await anyio.to_thread.run_sync(serial_number, mutual) != before

        context.load_cert_chain(mutual.certificates / "client.pem")
        (node,) = mutual.nodes
        await anyio.to_thread.run_sync(node.nodetool, "disablebinary")  # ends all connections
        await anyio.to_thread.run_sync(node.nodetool, "enablebinary")
        await connected(session)
        assert (await session.execute(SELECT)).scalar() == "local"
