"""For all tests."""

import gc
import signal

import pytest

from triocql.observability.logs import once_a_minute

pytest_plugins = ["triocql.testing.plugin"]


@pytest.fixture(autouse=True)
def _every_line_is_new() -> None:
    """Have each test see the lines that a test before it had, too."""
    once_a_minute.forget()


def pytest_configure() -> None:
    """Have Ctrl-C do what it does: a shell that starts the tests in the background has them ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Spare the many tests that collect garbage the walk through all that is there: thousands of tests."""
    gc.collect()
    gc.freeze()
