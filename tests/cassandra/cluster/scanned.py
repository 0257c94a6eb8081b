"""A table for scans of three real nodes: its rows are known, and each is on two of the nodes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

import triocql.sync
from tests.cassandra.conftest import patient
from tests.loading import load as fill

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triocql.bulk.batch import RowBatch
    from triocql.testing.cassandra import CassandraCluster

KEYSPACE = "scans"
PER_PARTITION = 20
"""The rows of a partition."""

_SCHEMA = (
    f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 2}",
    f"CREATE TABLE {KEYSPACE}.%s (sensor int, n int, place text, value bigint, part double, at timestamp, id uuid,"
    " fine boolean, parts list<int>, note text, PRIMARY KEY (sensor, n))",
)
_INSERT = f"INSERT INTO {KEYSPACE}.%s (sensor, n, place, value, part, at, id, fine, parts, note) VALUES (%s)"


def row_of(sensor: int, n: int) -> tuple[Any, ...]:
    """Return the row of a key."""
    value = sensor * 1_000_003 + n
    note = None if value % 10 == 0 else f"note {value}"
    return (
        sensor,
        n,
        f"place {sensor % 97}",
        value,
        value / 8,
        value,
        UUID(int=value),
        n % 2 == 0,
        [n, sensor],
        note,
    )


def keys(partitions: int) -> set[tuple[int, int]]:
    """Return the keys of all rows."""
    return {(sensor, n) for sensor in range(partitions) for n in range(PER_PARTITION)}


def load(cluster: CassandraCluster, name: str, partitions: int) -> str:
    """Create a table of so many partitions, on all replicas, and return its name; `row_of` has its rows."""
    table = f"{KEYSPACE}.{name}"
    with triocql.sync.connect(cluster.contact_points, **patient(consistency="ALL")) as session:
        for statement in _SCHEMA:
            session.execute(statement % name if "%s" in statement else statement)
        rows = (row_of(sensor, n) for sensor in range(partitions) for n in range(PER_PARTITION))
        fill(session, _INSERT % (name, ", ".join("?" * 10)), rows)
    return table


def replicas(cluster: CassandraCluster) -> list[tuple[int, set[str]]]:
    """Return where each range ends, and which nodes have it, as these tell it themselves."""
    described = cluster.nodes[0].nodetool("describering", KEYSPACE)
    pattern = r"TokenRange\(start_token:-?\d+, end_token:(-?\d+), endpoints:\[([^\]]+)\]"
    return sorted((int(end), set(nodes.split(", "))) for end, nodes in re.findall(pattern, described))


def elsewhere(batches: Iterable[RowBatch], ring: list[tuple[int, set[str]]]) -> int:
    """Return how many rows came from nodes that do not have them."""
    rows = 0
    for batch in batches:
        end = batch.token_range.end
        holders = next((nodes for last, nodes in ring if end <= last), ring[0][1])
        rows += len(batch) * (str(batch.node).partition(":")[0] not in holders)
    return rows
