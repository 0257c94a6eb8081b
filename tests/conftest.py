"""For all tests."""

import signal

pytest_plugins = ["triocql.testing.plugin"]


def pytest_configure() -> None:
    """Have Ctrl-C do what it does: a shell that starts the tests in the background has them ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
