"""A change of the schema is known to all nodes when the statement that makes it has returned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import triocql.sync
from tests.cassandra.conftest import patient

from .load import KEYSPACE

if TYPE_CHECKING:
    from triocql.testing.cassandra import CassandraCluster

pytestmark = pytest.mark.cassandra

TABLES = 10


def test_a_new_table_can_be_used_at_once(three: CassandraCluster) -> None:
    """On whichever node: a single one that does not know it yet would be an error."""
    with triocql.sync.connect(three.contact_points, **patient(consistency="ALL")) as session:
        for n in range(TABLES):
            table = f"{KEYSPACE}.new_{n}"
            created = session.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v text)")
            assert created.schema_agreed
            rows = [[each, f"v{each}"] for each in range(30)]
            session.execute_concurrent_with_args(f"INSERT INTO {table} (id, v) VALUES (?, ?)", rows)
            found = [list(row) for row in session.execute(f"SELECT id, v FROM {table}")]
            assert sorted(found) == rows
