"""What a real node is told of its clients, and what it would not take from them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import triocql.sync
from triocql import errors

from .conftest import patient
from .services import eventually

if TYPE_CHECKING:
    from triocql.testing.cassandra import CassandraCluster

pytestmark = pytest.mark.cassandra


def test_a_node_shows_what_the_connections_of_a_session_have_told_it(cassandra: CassandraCluster) -> None:
    """Options that Cassandra does not know are no reason to refuse a connection; 5.0 shows them all."""
    with triocql.sync.connect(
        cassandra.contact_points,
        **patient(application_name="shop", application_version="2.1", client_id="till-7"),
    ) as session:
        eventually(lambda: session.stats().connections == 2)
        rows = session.execute("SELECT driver_name, client_options FROM system_views.clients").all()
    ours = [dict(row.client_options) for row in rows if "till-7" in dict(row.client_options).values()]
    assert len(ours) == 3
    assert {options["DRIVER_NAME"] for options in ours} == {"triocql"}
    assert {options["APPLICATION_NAME"] for options in ours} == {"shop"}
    assert len({options["SESSION_ID"] for options in ours}) == 1
    (told,) = [options["DRIVER_CONFIG"] for options in ours if "DRIVER_CONFIG" in options]
    assert json.loads(told)["request"]["timeout"] == 60.0


def test_nothing_that_a_session_asks_for_itself_has_a_timeout_in_it(cassandra: CassandraCluster) -> None:
    """U1, 26: Cassandra takes that for a mistake; a session would not even open."""
    with triocql.sync.connect(cassandra.contact_points, **patient(internal_timeout=1.0)) as session:
        assert session.metadata.keyspaces["system"].tables
        with pytest.raises(errors.SyntaxError, match="USING"):
            session.execute("SELECT * FROM system.local USING TIMEOUT 50ms")
