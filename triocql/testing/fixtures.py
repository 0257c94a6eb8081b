"""pytest fixtures: a real Cassandra for a test run.

In the ``conftest.py`` of your tests::

    pytest_plugins = ["triocql.testing.fixtures"]

and then::

    async def test_it(cassandra: CassandraCluster) -> None:
        async with triocql.connect(cassandra.contact_points) as session: ...

Where Java or Cassandra is missing and cannot be fetched, tests that ask for a node are skipped, and the reason says
what to do; with ``CI=true`` in the environment they fail instead.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from triocql.testing.cassandra import CassandraCluster, MissingTool, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator


def require_cassandra() -> None:
    """Skip the test where Cassandra cannot run; fail it instead where ``CI=true``."""
    try:
        prepare()
    except MissingTool as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def cassandra() -> Iterator[CassandraCluster]:
    """A cluster of one node for the whole run; its contact points are ``cassandra.contact_points``.

    Tests share it: they use keyspaces of their own, and leave its node running. A test that stops or pauses
    nodes has its own `CassandraCluster`.
    """
    require_cassandra()
    with CassandraCluster() as cluster:
        yield cluster
