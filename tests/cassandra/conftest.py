"""Sessions on real nodes: every asynchronous test of this folder runs on asyncio and on Trio.

The modules in `VERSIONED` run on older versions of Cassandra, too.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import anyio
import pytest

import triocql
from triocql import Session
from triocql.testing.cassandra import CassandraCluster
from triocql.testing.fixtures import require_cassandra

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from triocql.config.options import ConnectKeywords

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


def patient(**options: Unpack[ConnectKeywords]) -> ConnectKeywords:
    """Say how to connect where a test is not about deadlines: that a node of a busy machine is slow is no failure."""
    waiting: ConnectKeywords = {
        "timeout": 60.0,
        "connect_timeout": 30.0,
        "heartbeat_timeout": 60.0,
        "schema_agreement_timeout": 60.0,
    }
    return {**waiting, **options}


def patient_url(address: str, **options: Unpack[ConnectKeywords]) -> str:
    """Say the same where all that a program takes is where to connect to."""
    return f"cql://{address}/?{urlencode(patient(**options))}"


def name_of(wire: Any) -> str:
    return "-".join([f"v{wire['protocol_version']}", *filter(None, [wire.get("compression")])])


on_every_wire = pytest.mark.parametrize("options", WIRES, ids=name_of)
on_v4_and_v5 = pytest.mark.parametrize(
    "options",
    [pytest.param(wire, marks=[pytest.mark.long] if "compression" in wire else []) for wire in WIRES[:4]],
    ids=name_of,
)
"""What is compressed differs in frames alone: it is in `make test` where a test is on every wire."""

_numbers = count()


def create_keyspace(name: str) -> str:
    """Return the statement that creates a keyspace unless it is there."""
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    return f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {replication}"


VERSIONED = {"test_types", "test_session", "test_paging", "test_server_errors"}
"""The modules whose tests run on nodes of Cassandra 4.0 and 4.1, too, from the version on that a test says by
``@pytest.mark.since``. In `make test` it is only 4.1, and what is marked as ``short``."""

COMPRESSED = {"test_types", "test_paging", "test_auth", "test_concurrency"}
"""The modules of which what is compressed is in `make test`, too; in `test_protocol` it is without a session."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what differs in one thing alone to `make test-long`.

    What both loops do on several wires, or on an older version, is left to Trio, but for the first wire: what is
    written there is the same. So it is with what takes long, on a cluster of several nodes. What is compressed differs
    in frames alone: it is where values and pages are. (But for snappy: it is what there is of v3.) In pure Python there
    is one loop, and one version.
    """
    pure = os.environ.get("TRIOCQL_IMPL") == "python"
    here = Path(__file__).parent
    for item in items:
        if not item.path.is_relative_to(here):
            continue
        values = getattr(item, "callspec", None) and item.callspec.params  # type: ignore[attr-defined]
        if not values:
            continue
        wire, version = values.get("options", WIRES[0]), values.get("cassandra_version", "5.0")
        on_asyncio = values.get("anyio_backend") == "asyncio"
        on_a_cluster = item.path.parent.name == "cluster"
        if on_asyncio and (on_a_cluster or wire != WIRES[0] or version != "5.0"):
            item.add_marker(pytest.mark.long)
        if pure and (on_asyncio or version != "5.0"):
            item.add_marker(pytest.mark.long)
        if wire.get("compression") == "lz4" and (version != "5.0" or item.path.stem not in COMPRESSED):
            item.add_marker(pytest.mark.long)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have the tests of `VERSIONED` run on nodes of several versions."""
    fixtures = {"cassandra", "guarded"} & set(metafunc.fixturenames)
    if metafunc.module.__name__.rpartition(".")[2] not in VERSIONED or not fixtures:
        return
    marks = {mark.name: mark for mark in metafunc.definition.iter_markers()}
    since = marks["since"].args[0] if "since" in marks else "4.0"
    short = {"5.0", "4.1"} if "short" in marks else {"5.0"}
    versions = [
        pytest.param(version, marks=[] if version in short else pytest.mark.long)
        for version in ("5.0", "4.1", "4.0")
        if version >= since
    ]
    metafunc.parametrize("cassandra_version", versions, scope="session")


@pytest.fixture
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have the launcher's cache and the temporary folders within a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def options() -> ConnectKeywords:
    """How `session` is to be connected; overridden by parametrization."""
    return {}


@pytest.fixture
async def session(
    anyio_backend: str, cassandra: CassandraCluster, cassandra_version: str, options: ConnectKeywords
) -> AsyncIterator[Session]:
    """A session in a keyspace of its own for all tests here. A test that hangs fails."""
    if cassandra_version == "4.0" and options.get("protocol_version") == 3:
        pytest.skip("Cassandra 4.0 answers v3 with an error where it would warn, as of unqualified names")
    with anyio.fail_after(120):
        async with triocql.connect(cassandra.contact_points, **patient(**options)) as session:
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
def guarded(cassandra_version: str) -> Iterator[CassandraCluster]:
    """A node with passwords, permissions and a query handler that mirrors custom payloads, where writes to the
    keyspace `FAILING` fail and reads of 1,000 tombstones. Tests may stop, hold and kill it, and leave it running.
    """
    require_cassandra()
    handler = "org.apache.cassandra.cql3.CustomPayloadMirroringQueryHandler"
    unit, zero = ("_in_ms", 0) if cassandra_version == "4.0" else ("", "0ms")
    yaml = {
        "authenticator": "PasswordAuthenticator",
        "authorizer": "CassandraAuthorizer",
        f"roles_validity{unit}": zero,
        f"permissions_validity{unit}": zero,
        f"credentials_validity{unit}": zero,
        "tombstone_warn_threshold": 100,
        "tombstone_failure_threshold": 1000,
    }
    flags = [
        f"-Dcassandra.custom_query_handler_class={handler}",
        f"-Dcassandra.test.fail_writes_ks={FAILING}",
    ]
    with CassandraCluster(version=cassandra_version, name="guarded", yaml=yaml, jvm=flags) as cluster:
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
