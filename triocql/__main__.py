"""``python -m triocql``: version, active codec, event loops, and how to build a compiled part that is missing; with the
name of a command, that command (`triocql.commands`).
"""

from __future__ import annotations

import os
import platform
import signal
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError, distributions, version
from itertools import chain
from pathlib import Path

from triocql import _impl, _starting, commands

_MODULE_ENDINGS = tuple(EXTENSION_SUFFIXES)
_BUILD = """\
To build the compiled part, with a C compiler and Python's headers at hand (on Debian: gcc and python3-dev):
  from a checkout:  {python} -m pip install --force-reinstall --no-deps --editable {checkout}
  otherwise:        {python} -m pip install --force-reinstall --no-deps --no-binary triocql triocql
"""
_CHOICE = "TRIOCQL_IMPL=cython makes the absence of the compiled part an error, TRIOCQL_IMPL=python does without it."
_SHADOWED = """\
This is the code in {here}, which Python finds before the installed package in
{installed}, whose compiled part it therefore does not use. Start Python in another
folder, or install the checkout such that it is the package: `pip install --editable`, as below.
"""


def report() -> str:
    """Return what ``python -m triocql`` prints."""
    here = Path(__file__).resolve().parent.parent
    installed = _other_installation(here)
    where = here if (here / "pyproject.toml").exists() else "."
    return "\n".join(
        [
            f"triocql  {_version_of('triocql')} on {platform.python_implementation()} {platform.python_version()}",
            f"codec    {_impl.impl} ({_impl.reason})",
            f"reactors trio {_version_of('trio')}",
            f"         asyncio, with uvloop {_version_of('uvloop')}",
            "",
            *([_SHADOWED.format(here=here, installed=installed)] if installed is not None else []),
            *([] if _decided() else [_BUILD.format(python=sys.executable, checkout=where)]),
            _CHOICE,
        ]
    )


def _decided() -> bool:
    """Return whether there is nothing to build: the compiled part is in use, or unwanted."""
    return _impl.compiled or bool(os.environ.get("TRIOCQL_IMPL"))


def _other_installation(here: Path) -> Path | None:
    """Return where an installed package has the compiled modules that this one, found first, lacks; None if nowhere."""
    if _decided():
        return None
    files = chain.from_iterable(found.files or [] for found in distributions(name="triocql"))
    modules = (file for file in files if file.name.endswith(_MODULE_ENDINGS))
    packages = {Path(str(each.locate())).resolve().parents[len(each.parts) - 1] for each in modules}
    return next(iter(packages - {here}), None)


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    if sys.argv[1:]:
        _starting.raise_again()
        try:
            status = commands.run(sys.argv[1:])
        finally:
            _starting.end_at_once()
        sys.exit(status)
    signal.signal(
        signal.SIGPIPE, signal.SIG_DFL
    )  # end in silence where nobody reads on, as in `... | head -1`
    print(report())
