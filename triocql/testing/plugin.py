"""A pytest plugin for those who test applications that talk to Cassandra.

Ask for it in the ``conftest.py`` at the top of your tests (or with ``pytest -p triocql.testing.plugin``)::

    pytest_plugins = ["triocql.testing.plugin"]

It has two fixtures: ``cql_server``, a `triocql.testing.server.CqlServer` of the test's own that answers as the test
says, and ``cassandra``, a real node for the whole run (`triocql.testing.fixtures`).

The server runs in a thread, so that it suits any kind of test: synchronous ones, pytest-trio, AnyIO's plugin,
pytest-asyncio. What it is like is said by a marker, whose arguments are those of `CqlServer`. Suppose that this is the
application::

    async def greet(session, user):
        found = await session.execute("SELECT name FROM shop.users WHERE id = ?", [user])
        return f"Hello {found.one().name}!"

Then these are its tests::

    import pytest, triocql
    from triocql.testing.server import ErrorCode, error, rows

    SCHEMA = "CREATE KEYSPACE shop; CREATE TABLE shop.users (id int PRIMARY KEY, name text)"
    QUERY = "SELECT name FROM shop.users WHERE id = ?"

    @pytest.mark.cql_server(schema=SCHEMA)
    async def test_greeting(cql_server):
        cql_server.when(QUERY).then(rows({"name": "text"}, [["Ann"]]))
        async with triocql.connect(cql_server.contact_points) as session:
            assert await greet(session, 7) == "Hello Ann!"
        cql_server.log.assert_executed(QUERY, times=1, values=[7])

    @pytest.mark.cql_server(nodes=2, schema=SCHEMA)
    async def test_a_node_is_away(cql_server):
        cql_server.when(QUERY).then(rows({"name": "text"}, [["Ann"]]))
        cql_server.nodes[0].stop()
        async with triocql.connect(cql_server.contact_points) as session:
            assert await greet(session, 7) == "Hello Ann!"
        cql_server.log.assert_executed(QUERY, times=1, node=1)

    @pytest.mark.cql_server(schema=SCHEMA)
    async def test_no_such_right(cql_server):
        cql_server.when(QUERY).then(error(ErrorCode.UNAUTHORIZED, "ann may not"))
        async with triocql.connect(cql_server.contact_points) as session:
            with pytest.raises(triocql.errors.Unauthorized, match="ann may not"):
                await greet(session, 7)

Tests under a virtual clock (`trio.testing.MockClock`) start the server in their own loop instead of asking for the
fixture: ``async with CqlServer(...) as server``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from triocql.testing.fixtures import cassandra
from triocql.testing.server import CqlServer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cassandra", "cql_server"]


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers", "cql_server(nodes, topology, schema, ...): what the fixture cql_server is like (CqlServer)"
    )


@pytest.fixture
def cql_server(request: pytest.FixtureRequest) -> Iterator[CqlServer]:
    """A CQL server for one test, in a thread; ``@pytest.mark.cql_server(...)`` has its arguments."""
    marker = request.node.get_closest_marker("cql_server")
    arguments, keywords = (marker.args, marker.kwargs) if marker else ((), {})
    with CqlServer(*arguments, **keywords) as server:
        yield server
