"""Sessions on real nodes: every asynchronous test of this folder runs on asyncio and on Trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import triocql
from triocql import Session
from triocql.testing.cassandra import CassandraCluster
from triocql.testing.fixtures import require_cassandra

if TYPE_CHECKING:
    from triocql.config import ConnectKeywords

Table = Callable[[str], Awaitable[str]]

KEYSPACE = "triocql_tests"
FAILING = "failing_writes"

WIRES: list[ConnectKeywords] = [
    {"protocol_version": 5},
    {"protocol_version": 5, "compression": "lz4"},
    {"protocol_version": 4},
    {"protocol_version": 4, "compression": "lz4"},
    {"protocol_version": 3, "compression": "snappy"},
]
"""What changes how things are written on the wire."""


def name_of(wire: Any) -> str:
    return "-".join([f"v{wire['protocol_version']}", *filter(None, [wire.get("compression")])])


on_every_wire = pytest.mark.parametrize("options", WIRES, ids=name_of)
on_v4_and_v5 = pytest.mark.parametrize("options", WIRES[:4], ids=name_of)

_numbers = count()


def create_keyspace(name: str) -> str:
    """Return the statement that creates a keyspace unless it is there."""
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    return f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {replication}"


@pytest.fixture
def options() -> ConnectKeywords:
    """How `session` is to be connected; overridden by parametrization."""
    return {}


@pytest.fixture
async def session(
    anyio_backend: str, cassandra: CassandraCluster, options: ConnectKeywords
) -> AsyncIterator[Session]:
    """A session in a keyspace of its own for all tests here. A test that hangs fails."""
    patient: ConnectKeywords = {"timeout": 30.0, **options}
    with anyio.fail_after(60):
        async with triocql.connect(cassandra.contact_points, **patient) as session:
            await session.execute(create_keyspace(KEYSPACE))
            await session.execute(f"USE {KEYSPACE}")
            yield session


@pytest.fixture
def table(session: Session) -> Table:
    """Create a table with these columns; its name is returned."""

    async def create(columns: str) -> str:
        name = f"t{next(_numbers)}"
        await session.execute(f"CREATE TABLE {name} ({columns})")
        return name

    return create


@pytest.fixture(scope="session")
def guarded() -> Iterator[CassandraCluster]:
    """A node with passwords, permissions and a query handler that mirrors custom payloads, where writes to the
    keyspace `FAILING` fail and reads of 1,000 tombstones. Tests may stop, hold and kill it, and leave it running.
    """
    require_cassandra()
    handler = "org.apache.cassandra.cql3.CustomPayloadMirroringQueryHandler"
    yaml = {
        "authenticator": "PasswordAuthenticator",
        "authorizer": "CassandraAuthorizer",
        "roles_validity": "0ms",
        "permissions_validity": "0ms",
        "credentials_validity": "0ms",
        "tombstone_warn_threshold": 100,
        "tombstone_failure_threshold": 1000,
    }
    flags = [
        f"-Dcassandra.custom_query_handler_class={handler}",
        f"-Dcassandra.test.fail_writes_ks={FAILING}",
    ]
    with CassandraCluster(name="guarded", yaml=yaml, jvm=flags) as cluster:
        yield cluster


ROOT = triocql.PlainTextAuth("cassandra", "cassandra")


async def settled(session: Session) -> None:
    """Wait until nothing is under way, abandoned requests included."""
    while session.stats()[1:] != (0, 0, 0):  # noqa: ASYNC110 - nothing tells of it
        await anyio.sleep(0.001)


async def connected(session: Session) -> None:
    """Wait until the session has all its connections."""
    while session.stats().connections < 2:  # noqa: ASYNC110 - nothing tells of it
        await anyio.sleep(0.01)
