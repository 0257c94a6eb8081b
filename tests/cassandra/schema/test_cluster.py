"""On one node and on four, two sessions change the schema at once, with a node down and the control connection killed:
what the sessions know converges to what the nodes say."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

import triocql
from tests.cassandra.conftest import patient
from triocql.errors import ConnectionLost
from triocql.testing.fixtures import require_cassandra

from .nodes import launch
from .oracle import describe, differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triocql.sync import Session
    from triocql.testing.cassandra import CassandraCluster

pytestmark = [pytest.mark.cassandra, pytest.mark.long]

PATIENCE = 60.0
KEYSPACES = ("left", "right")


@pytest.fixture(params=[1, 4])
def cluster(request: pytest.FixtureRequest) -> Iterator[CassandraCluster]:
    require_cassandra()
    with launch("5.0", nodes=request.param, name="schema", start_timeout=300.0) as cluster:
        yield cluster


def connect(cluster: CassandraCluster) -> Session:
    return triocql.sync.connect(cluster.contact_points, **patient())


def changes(keyspace: str) -> list[str]:
    """Return statements of all kinds of changes; those of two keyspaces go side by side."""
    replication = "{'class': 'NetworkTopologyStrategy', 'dc1': 1}"
    return [
        f"CREATE KEYSPACE {keyspace} WITH replication = {replication}",
        f"CREATE TYPE {keyspace}.place (name text)",
        f"CREATE TABLE {keyspace}.t (k int, c int, s text STATIC, p place, PRIMARY KEY (k, c)) WITH cdc = true",
        f"CREATE TABLE {keyspace}.gone (k int PRIMARY KEY)",
        f"ALTER TYPE {keyspace}.place ADD country text",
        f"ALTER TABLE {keyspace}.t ADD secret text MASKED WITH mask_inner(1, null)",
        f"CREATE INDEX by_secret ON {keyspace}.t (secret) USING 'sai'",
        f"CREATE TABLE {keyspace}.base (k int, c int, v int, PRIMARY KEY (k, c))",
        f"CREATE MATERIALIZED VIEW {keyspace}.by_v AS SELECT * FROM {keyspace}.base "
        "WHERE v IS NOT NULL AND k IS NOT NULL AND c IS NOT NULL PRIMARY KEY (v, k, c)",
        f"CREATE FUNCTION {keyspace}.plus (a int, b int) CALLED ON NULL INPUT RETURNS int LANGUAGE java AS 'return a;'",
        f"CREATE AGGREGATE {keyspace}.total (int) SFUNC plus STYPE int INITCOND 0",
        f"ALTER TABLE {keyspace}.t DROP s",
        f"DROP TABLE {keyspace}.gone",
    ]


def difference(session: Session) -> str:
    """Return how what a session knows differs from what a node says; "" if it does not."""
    known = session.metadata.keyspaces
    found = []
    for name in KEYSPACES:
        ours = known[name].describe(True).objects if name in known else ()
        found.append(differences(ours, describe(session, f"KEYSPACE {name}", internals=True)))
    return "".join(found)


def converges(session: Session) -> None:
    """Wait until a session knows what a node says."""
    deadline = time.monotonic() + PATIENCE
    while found := difference(session):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_changes_at_once_with_a_node_down_and_the_control_connection_killed(
    cluster: CassandraCluster,
) -> None:
    others = cluster.nodes[1:]
    with connect(cluster) as one, connect(cluster) as two:
        if others:
            others[-1].kill()
        for number, (left, right) in enumerate(zip(*map(changes, KEYSPACES), strict=True)):
            futures = [one.execute_async(left), two.execute_async(right)]
            if number in (4, 9):  # in the midst of the refresh of what was just changed
                drop_control_connection(one)
            for future in futures:
                future.result(PATIENCE)
        for session in (one, two):
            converges(session)
        if others:
            others[-1].start()
            cluster.wait_for_gossip()
        one.execute("ALTER TABLE left.t WITH comment = 'it''s back'")
        for session in (one, two):
            converges(session)
        check_against_another_driver(cluster, one)


def drop_control_connection(session: Session) -> None:
    """Have the connection that tells of changes end, as a network may."""
    portal = session._portal

    def drop() -> None:
        connection = portal.context.cluster._control.connection
        if connection is not None:
            connection.abort(ConnectionLost("the network was gone"))

    portal.call(drop)


# --- What another driver sees ------------------------------------------------------------------------------

_OTHER = """
import json, sys
from cassandra.cluster import Cluster
with Cluster(sys.argv[1:], connect_timeout=60, control_connection_timeout=60) as cluster:
    cluster.connect()
    found = {}
    for name in ("left", "right"):
        keyspace = cluster.metadata.keyspaces[name]
        relations = {**keyspace.tables, **keyspace.views}
        found[name] = {
            "relations": {
                each.name: {
                    "columns": {column.name: column.cql_type for column in each.columns.values()},
                    "partition": [column.name for column in each.partition_key],
                    "clustering": [column.name for column in each.clustering_key],
                    "cql": each.export_as_string(),
                }
                for each in relations.values()
            },
            "indexes": sorted(keyspace.indexes),
            "types": {
                each.name: dict(zip(each.field_names, each.field_types)) for each in keyspace.user_types.values()
            },
            "functions": sorted(keyspace.functions),
            "aggregates": sorted(keyspace.aggregates),
        }
    print(json.dumps(found))
"""


def check_against_another_driver(cluster: CassandraCluster, session: Session) -> None:
    """Compare with cassandra-driver: what it knows is the same, but for what it does not know of."""
    program = [sys.executable, "-W", "ignore", "-c", _OTHER, *cluster.contact_points]
    ended = subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    theirs: dict[str, Any] = json.loads(ended.stdout)
    for name in KEYSPACES:
        keyspace = session.metadata.keyspaces[name]
        relations = {**keyspace.tables, **keyspace.views}
        assert theirs[name]["types"] == {
            each.name: dict(zip(each.fields, each.cql_types, strict=True)) for each in keyspace.types.values()
        }
        # It writes no space between types of arguments, as CQL does.
        assert theirs[name]["functions"] == sorted(each.replace(", ", ",") for each in keyspace.functions)
        assert theirs[name]["aggregates"] == sorted(each.replace(", ", ",") for each in keyspace.aggregates)
        assert theirs[name]["indexes"] == sorted(
            index for table in keyspace.tables.values() for index in table.indexes
        )
        assert theirs[name]["relations"].keys() == relations.keys()
        for each in relations.values():
            other = theirs[name]["relations"][each.name]
            assert other["columns"] == {column.name: column.cql_type for column in each.columns.values()}
            assert other["partition"] == list(each.partition_key.names)
            assert other["clustering"] == list(each.clustering_key.names)
        # What it does not know of; and so its CQL loses it.
        assert keyspace.tables["t"].columns["secret"].mask is not None
        assert "MASKED" not in theirs[name]["relations"]["t"]["cql"]
