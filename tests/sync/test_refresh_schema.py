"""The schema in programs that block: known once connected, after one's own changes, and read anew."""

from __future__ import annotations

import pytest

import triocql
from triocql.errors import UsageError
from triocql.testing.server import CqlServer

SCHEMA = "CREATE KEYSPACE ks; CREATE TABLE ks.t (k int PRIMARY KEY)"


def test_tables_are_known_and_followed() -> None:
    with CqlServer(schema=SCHEMA) as server, triocql.sync.connect(server.contact_points) as session:
        assert isinstance(session.metadata, triocql.Snapshot)
        session.execute("ALTER TABLE ks.t ADD v int")
        assert list(session.metadata.keyspaces["ks"].tables["t"].columns) == ["k", "v"]
        server.schema.execute("ALTER TABLE ks.t ADD w int")
        known = session.refresh_schema(keyspace="ks", table="t")
        assert list(known.keyspaces["ks"].tables["t"].columns) == ["k", "v", "w"]
        with pytest.raises(UsageError, match="in which keyspace"):
            session.refresh_schema(table="t")
