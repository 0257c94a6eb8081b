"""What a session asks nodes of ScyllaDB for itself: which tables, and how long that may take."""

from __future__ import annotations

from typing import Any

import pytest

import triocql
from triocql.errors import OptionError
from triocql.testing.server import CqlServer, Scylla
from triocql.testing.simulated import SimulatedReactor

KEYSPACE = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"


def asked(scylla: Any, **options: Any) -> list[tuple[bool, str]]:
    """Return what is asked of nodes while a session is opened and has changed the schema; with it, whether the node
    is one of ScyllaDB.
    """
    reactor = SimulatedReactor()
    server = CqlServer(2, scylla=scylla)
    server.run_on(reactor)

    async def main() -> None:
        async with triocql.connect(server.contact_points, reactor=reactor, **options) as session:
            result = await session.execute(KEYSPACE)
            assert result.schema_agreed
            await session.execute("CREATE TABLE ks.t (k int PRIMARY KEY)")
            assert "t" in session.metadata.keyspaces["ks"].tables

    reactor.run(main)
    entries = [entry for entry in server.log.everything if entry.system and entry.text.startswith("SELECT")]
    return [(server.nodes[entry.node].scylla is not None, entry.text) for entry in entries]


def test_every_internal_query_to_scylladb_has_a_timeout() -> None:
    """Topology, schema and agreement."""
    texts = [text for _, text in asked(Scylla())]
    assert {text.split(" FROM ")[1].split()[0] for text in texts} >= {
        "system.local",
        "system.peers",
        "system_schema.keyspaces",
        "system_schema.scylla_keyspaces",
    }
    assert {text.partition(" USING ")[2] for text in texts} == {"TIMEOUT 4000ms"}


def test_peers_are_read_from_the_table_that_scylladb_has() -> None:
    """The other one is not asked for."""
    assert not [text for _, text in asked(Scylla()) if "peers_v2" in text]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, " USING TIMEOUT 250ms"), (0.0015, " USING TIMEOUT 2ms"), (0, "")]
)
def test_the_timeout_is_an_option_in_whole_milliseconds(seconds: float, text: str) -> None:
    for _, each in asked(Scylla(), internal_timeout=seconds):
        assert each.endswith(text)
        assert text or "TIMEOUT" not in each


def test_no_query_to_cassandra_has_one() -> None:
    """26: there it is a syntax error; in a cluster of both, too."""
    assert not [text for _, text in asked(None) if "TIMEOUT" in text]
    mixed = asked([Scylla(), None])
    assert {is_scylla == ("TIMEOUT" in text) for is_scylla, text in mixed} == {True}


@pytest.mark.parametrize("value", [-1, 0.0001, 1e9, float("inf"), "4", True])
def test_a_timeout_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="internal_timeout"):
        triocql.connect(internal_timeout=value)
