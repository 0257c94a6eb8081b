"""``python -m triocql``: version, active codec, event loops, and how to build the compiled part."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from triocql import _impl

_REBUILD = """\
To build the compiled part, with a C compiler and Python's headers at hand (on Debian: gcc and python3-dev):
  from a checkout:  {python} -m pip install --force-reinstall --no-deps --editable {checkout}
  otherwise:        {python} -m pip install --force-reinstall --no-deps --no-binary triocql triocql
TRIOCQL_IMPL=cython makes its absence an error, TRIOCQL_IMPL=python does without it."""


def report() -> str:
    """Return what ``python -m triocql`` prints."""
    checkout = Path(__file__).parent.parent
    where = checkout if (checkout / "pyproject.toml").exists() else "."
    return "\n".join(
        [
            f"triocql  {_version_of('triocql')} on {platform.python_implementation()} {platform.python_version()}",
            f"codec    {_impl.impl} ({_impl.reason})",
            f"reactors trio {_version_of('trio')}",
            f"         asyncio, with uvloop {_version_of('uvloop')}",
            "",
            _REBUILD.format(python=sys.executable, checkout=where),
        ]
    )


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    print(report())
