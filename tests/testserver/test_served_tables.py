"""A table that the test server serves: what it does not know is refused, and not answered at random."""

from __future__ import annotations

import pytest

import triocql.sync
from triocql.errors import InvalidQuery, ResponseError
from triocql.testing.server import CqlServer, Scylla

SCHEMA = "CREATE KEYSPACE shop; CREATE TABLE shop.users (id int PRIMARY KEY, name text, age int)"


@pytest.mark.parametrize("rows", [[[7, "Ann"]], [[7, "Ann", 40, 1]]])
def test_a_row_of_another_length_is_refused(rows: list[list[object]]) -> None:
    with pytest.raises(ValueError, match=r"values, and shop\.users the columns id, name, age"):
        CqlServer(schema=SCHEMA).serve_table("shop.users", rows)


def test_functions_that_are_not_known_are_refused() -> None:
    with CqlServer(schema=SCHEMA) as server:
        server.serve_table("shop.users", [[7, "Ann", 40], [8, "Bob", 50]])
        with triocql.sync.connect(server.contact_points) as session:
            assert session.execute("SELECT count(*) FROM shop.users").scalar() == 2
            assert (
                session.execute("SELECT writetime(name) FROM shop.users WHERE id = ?", [7]).scalar() is None
            )
            with pytest.raises(
                InvalidQuery, match=r"does not know what max\(\) of a served table is: .*when"
            ):
                session.execute("SELECT max(age) FROM shop.users")


@pytest.mark.parametrize("scylla", [Scylla(shards=2), None], ids=["scylla", "cassandra"])
def test_a_timeout_is_known_where_nodes_know_it(scylla: Scylla | None) -> None:
    with CqlServer(schema=SCHEMA, scylla=scylla) as server:
        server.serve_table("shop.users", [[7, "Ann", 40]])
        with triocql.sync.connect(server.contact_points) as session:
            for text, values in [
                ("SELECT name FROM shop.users WHERE id = ? USING TIMEOUT 50ms", [7]),
                ("SELECT name FROM shop.users USING TIMEOUT 50ms", []),
            ]:
                if scylla is not None:
                    assert session.execute(text, values).scalar() == "Ann"
                else:
                    with pytest.raises(ResponseError):
                        session.execute(text, values)
