"""Password authentication on a real node."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

import triocql
from triocql.errors import AuthenticationError, NoNodeAvailable

from .conftest import ROOT, connected, on_every_wire, patient

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
    async with triocql.connect(guarded.contact_points, **patient(**options)) as session:
        assert (await session.execute("SELECT key FROM system.local")).scalar() == "local"
        assert session.stats().connections >= 1


async def test_credentials_in_a_url(anyio_backend: str, guarded: CassandraCluster) -> None:
    url = f"cql://cassandra:cassandra@{guarded.contact_points[0]}/system?timeout=60&connect_timeout=30"
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
        async with triocql.connect(guarded.contact_points, **patient(**options)):
            pass
    assert CANARY not in str(caught.value) + repr(caught.value) + repr(auth) + caplog.text


async def test_no_credentials(anyio_backend: str, guarded: CassandraCluster) -> None:
    with pytest.raises(AuthenticationError, match=r"PasswordAuthenticator.*auth="):
        async with triocql.connect(guarded.contact_points, **patient()):
            pass


async def test_credentials_that_nobody_asks_for(anyio_backend: str, cassandra: CassandraCluster) -> None:
    async with triocql.connect(cassandra.contact_points, **patient(auth=ROOT)) as session:
        assert (await session.execute("SELECT key FROM system.local")).scalar() == "local"


class Rotated:
    """An authenticator whose password may be changed at any time: the next connection has the new one."""

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self.password = password

    def initial_response(self, server_class: str) -> bytes:
        return triocql.PlainTextAuth(self._user, self.password).initial_response(server_class)

    def challenge(self, token: bytes | None) -> bytes:
        raise AssertionError("there is no second step")

    def success(self, token: bytes | None) -> None: ...


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_password_is_changed_while_connected(anyio_backend: str, guarded: CassandraCluster) -> None:
    """What is open goes on; who comes with the old password is refused, and gets in as soon as he has the new one."""
    (node,) = guarded.nodes
    select = "SELECT key FROM system.local"
    async with triocql.connect(guarded.contact_points, **patient(auth=ROOT)) as root:
        await root.execute("CREATE ROLE IF NOT EXISTS rotating WITH PASSWORD = 'old' AND LOGIN = true")
        auth = Rotated("rotating", "old")
        async with triocql.connect(
            guarded.contact_points, **patient(auth=auth, reconnection_base=0.1, reconnection_maximum=0.5)
        ) as session:
            await connected(session)
            await root.execute("ALTER ROLE rotating WITH PASSWORD = 'new'")
            assert (await session.execute(select)).scalar() == "local"

            await anyio.to_thread.run_sync(node.nodetool, "disablebinary")  # ends all connections
            await anyio.to_thread.run_sync(node.nodetool, "enablebinary")
            with anyio.fail_after(120):
                while not await refused(session, select):  # noqa: ASYNC110 - nothing tells of it
                    await anyio.sleep(0.05)
            auth.password = "new"
            await connected(session)
            assert (await session.execute(select)).scalar() == "local"
            await connected(root)


async def refused(session: triocql.Session, text: str) -> bool:
    """Return whether a request fails as the node does not let the session in."""
    try:
        await session.execute(text)
    except NoNodeAvailable as error:
        return any(isinstance(attempt.error, AuthenticationError) for attempt in error.attempts)
    return False
