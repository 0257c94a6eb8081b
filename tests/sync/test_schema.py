"""Schema agreement and metadata of sessions that block."""

from __future__ import annotations

from uuid import UUID

import pytest

import triocql
from triocql.errors import SessionClosed
from triocql.testing.server import CqlServer

KEYSPACE = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}"
TABLE = "CREATE TABLE ks.t (k int PRIMARY KEY)"


def test_statements_that_change_the_schema_wait_and_metadata_follows() -> None:
    with CqlServer(3) as server, triocql.sync.connect(server.contact_points) as session:
        assert session.execute(KEYSPACE).schema_agreed is True
        known = session.metadata
        assert len(known.replicas("ks", b"a")) == 2
        assert set(known.replicas("ks", b"a")) < set(known.nodes)
        assert session.execute_async(TABLE).result(60).schema_agreed is True
        assert session.schema_agreement() is True
        (outcome,) = session.execute_concurrent([("DROP TABLE ks.t", None)])
        assert outcome.result_or_exc.schema_agreed is None
        session.execute("DROP KEYSPACE ks")
        assert session.metadata.replicas("ks", b"a") == ()
        assert len(known.replicas("ks", b"a")) == 2


def test_versions_that_do_not_agree() -> None:
    with (
        CqlServer(3, schema=KEYSPACE) as server,
        triocql.sync.connect(server.contact_points, schema_agreement_timeout=0.2) as session,
    ):
        for node in server.nodes:
            node.schema_version = UUID(int=node.index)
        assert session.execute(TABLE).schema_agreed is False
        assert session.schema_agreement(timeout=0.1) is False
        session.close()
        with pytest.raises(SessionClosed):
            session.schema_agreement()
