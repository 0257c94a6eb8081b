"""The files that this process has open."""

import os


def open_files() -> int:
    """Return how many there are."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not read
