"""Password authentication on a real node."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

import triocql
from triocql.errors import AuthenticationError

from .conftest import ROOT, on_every_wire

if TYPE_CHECKING:
    from triocql.config.options import ConnectKeywords
    from triocql.testing.cassandra import CassandraCluster

pytestmark = [pytest.mark.cassandra, pytest.mark.anyio]

CANARY = "not-the-password"


@on_every_wire
async def test_good_credentials(
    anyio_backend: str, guarded: CassandraCluster, options: ConnectKeywords
) -> None:
    options = {**options, "auth": ROOT}
    async with triocql.connect(guarded.contact_points, **options) as session:
        assert (await session.execute("SELECT key FROM system.local")).scalar() == "local"
        assert session.stats().connections >= 1


async def test_credentials_in_a_url(anyio_backend: str, guarded: CassandraCluster) -> None:
    url = f"cql://cassandra:cassandra@{guarded.contact_points[0]}/system"
    async with triocql.connect(url) as session:
        assert (await session.execute("SELECT key FROM local")).scalar() == "local"
        assert "cassandra:cassandra" not in repr(session)


@on_every_wire
async def test_wrong_credentials(
    anyio_backend: str,
    guarded: CassandraCluster,
    options: ConnectKeywords,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    auth = triocql.PlainTextAuth("cassandra", CANARY)
    options = {**options, "auth": auth}
    with pytest.raises(AuthenticationError, match="incorrect") as caught:
        async with triocql.connect(guarded.contact_points, **options):
            pass
    assert CANARY not in str(caught.value) + repr(caught.value) + repr(auth) + caplog.text


async def test_no_credentials(anyio_backend: str, guarded: CassandraCluster) -> None:
    with pytest.raises(AuthenticationError, match=r"PasswordAuthenticator.*auth="):
        async with triocql.connect(guarded.contact_points):
            pass


async def test_credentials_that_nobody_asks_for(anyio_backend: str, cassandra: CassandraCluster) -> None:
    async with triocql.connect(cassandra.contact_points, auth=ROOT) as session:
        assert (await session.execute("SELECT key FROM system.local")).scalar() == "local"
