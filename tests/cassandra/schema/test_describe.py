"""`describe` of a real node: of all, of a keyspace, of a table; and its command."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import triocql
from tests.cassandra.conftest import patient
from triocql.errors import InvalidQuery

if TYPE_CHECKING:
    from triocql.testing.cassandra import CassandraCluster

pytestmark = pytest.mark.cassandra

KEYSPACE = "Depicted"
STATEMENTS = [
    f'DROP KEYSPACE IF EXISTS "{KEYSPACE}"',
    f"CREATE KEYSPACE \"{KEYSPACE}\" WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}",
    f'CREATE TABLE "{KEYSPACE}"."order" (id int PRIMARY KEY, gone int, card text MASKED WITH mask_inner(1, null)) '
    "WITH cdc = true AND comment = 'it''s größe; really'",
    f'ALTER TABLE "{KEYSPACE}"."order" DROP gone',
    f'CREATE INDEX by_card ON "{KEYSPACE}"."order" (card)',
]


def test_a_schema_is_described_moved_and_printed(cassandra: CassandraCluster) -> None:
    with triocql.sync.connect(cassandra.contact_points, **patient()) as session:
        for statement in STATEMENTS:
            session.execute(statement)
        table = session.describe(f"{KEYSPACE}.order")
        assert [each.kind for each in table.objects] == ["table", "index"]
        assert "cdc = true" in str(table)
        assert "card text MASKED WITH system.mask_inner(1, null)" in str(table)
        whole = session.describe(KEYSPACE, internals=True)
        assert [each.kind for each in whole.objects] == ["keyspace", "table", "index"]
        assert len(whole.statements) == 4  # the column that was dropped is dropped again
        assert set(session.describe().objects) >= set(session.describe(KEYSPACE).objects)
        with pytest.raises(InvalidQuery, match="'Order' not found"):
            session.describe(f"{KEYSPACE}.Order")

        session.execute(f'DROP KEYSPACE "{KEYSPACE}"')
        for statement in whole.statements:
            session.execute(statement)
        assert session.describe(KEYSPACE, internals=True) == whole

        command = [
            sys.executable,
            "-m",
            "triocql",
            "describe",
            "--internals",
            cassandra.contact_points[0],
            KEYSPACE,
        ]
        printed = subprocess.run(command, capture_output=True, check=False, timeout=60)
        assert (printed.returncode, printed.stdout.decode(), printed.stderr) == (0, f"{whole}\n", b"")
        session.execute(f'DROP KEYSPACE "{KEYSPACE}"')
