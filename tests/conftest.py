"""For all tests."""

import gc
import os
import random
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from triocql.observability.logs import once_a_minute
from triocql.testing.cassandra import CassandraCluster
from triocql.testing.fixtures import require_cassandra

# How many examples a property is tried with, if it does not say so itself; the same ones each time: chance belongs to
# what is long. A machine that is busy is no failure.
settings.register_profile(
    "short", max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", settings.get_profile("short"), max_examples=2_000, derandomize=False)
settings.load_profile("short")

pytest_plugins = ["triocql.testing.plugin"]


@pytest.fixture(scope="session")
def cassandra_version() -> str:
    """The series of Cassandra that nodes are of; overridden by parametrization."""
    return "5.0"


@pytest.fixture(scope="session")
def cassandra(cassandra_version: str) -> Iterator[CassandraCluster]:
    """The node of the whole run, or one of another version."""
    require_cassandra()
    with CassandraCluster(version=cassandra_version, features=FEATURES[cassandra_version]) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _every_line_is_new() -> None:
    """Have each test see the lines that a test before it had, too."""
    once_a_minute.forget()


@pytest.fixture(autouse=True)
def _chance_is_the_same_each_time() -> None:
    """Have what the library leaves to chance, pauses and which node is first, be alike in each run of a test."""
    random.seed(0)


def pytest_configure() -> None:
    """Have Ctrl-C do what it does: a shell that starts the tests in the background has them ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


FEATURES = {"4.0": ["cdc"], "4.1": ["cdc"], "5.0": ["cdc", "masking"]}
"""What is switched on in the nodes of a run, for the schemas that it has."""

LIKE_OTHERS = {"asyncio", "anyio on asyncio", "anyio on trio", "uvloop", "thread"}
"""The loops of which the compiled run has all there is; what differs from it in pure Python is above them."""

LIKE_PYTHONS = {"a handler of the program"}
"""The handlers of Ctrl-C of which the compiled run has all there is."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where an implementation is forced, leave tests of the other one to the run that forces that. In pure Python, what
    goes on each loop goes on Trio and on virtual time, and on the others in `make test-long`; so it is with the
    handlers of Ctrl-C.
    """
    forced = os.environ.get("TRIOCQL_IMPL")
    if not forced:
        return
    kept, others = list[pytest.Item](), list[pytest.Item]()
    for item in items:
        found = parameters_of(item)
        of_one = {found.get("impl"), found.get("registry")} & {"cython", "python"}
        (kept if of_one <= {forced} else others).append(item)
        if forced == "python" and (found.get("loop") in LIKE_OTHERS or found.get("watched") in LIKE_PYTHONS):
            item.add_marker(pytest.mark.long)
    items[:] = kept
    config.hook.pytest_deselected(items=others)


def parameters_of(item: pytest.Item) -> dict[str, Any]:
    """Return what a test is parametrized with."""
    callspec = getattr(item, "callspec", None)
    return {} if callspec is None else callspec.params


def pytest_collection_finish() -> None:
    """Spare the many tests that collect garbage the walk through all that is there: thousands of tests."""
    gc.collect()
    gc.freeze()
