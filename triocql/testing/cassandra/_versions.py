"""The versions of Cassandra that the launcher runs, and what they need."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from triocql.testing.cassandra._errors import LauncherError

LATEST: Final = {"4.0": "4.0.19", "4.1": "4.1.10", "5.0": "5.0.6"}
"""The version of each series that the launcher is tested with, and whose jars it can fetch without Maven."""

DEFAULT_VERSION: Final = LATEST["5.0"]

_JAVA: Final = {"4.0": 11, "4.1": 11, "5.0": 17}


@dataclass(frozen=True)
class Version:
    """One version.

    Attributes:
        text: the version as on Maven Central, such as "5.0.6".
        series: its first two numbers: (5, 0).
        java: the major version of the Java that runs it.
    """

    text: str
    series: tuple[int, int]
    java: int


def version_of(text: str) -> Version:
    """Read a version; a series, such as "4.1", stands for its version in `LATEST`.

    Raises:
        LauncherError: not a version of Cassandra 4.0, 4.1 or 5.0.
    """
    full = LATEST.get(text, text)
    match = re.fullmatch(r"(\d+\.\d+)(\.\d+|-[\w.]+)", full)
    if match is None or match[1] not in _JAVA:
        raise LauncherError(
            f"the launcher runs Cassandra 4.0, 4.1 and 5.0, such as {DEFAULT_VERSION}; not {text!r}"
        )
    major, minor = match[1].split(".")
    return Version(full, (int(major), int(minor)), _JAVA[match[1]])
