"""What is in which run."""

from __future__ import annotations

import pytest

from tests.cassandra import conftest


@pytest.mark.parametrize("options", [("of something else",)])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_what_is_left_out_on_real_nodes_is_told_by_their_tests_alone(
    anyio_backend: str, options: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    """Other suites may call something else the same: `make test-long` has all of them at once."""
    conftest.pytest_collection_modifyitems([request.node])
    assert request.node.get_closest_marker("long") is None
