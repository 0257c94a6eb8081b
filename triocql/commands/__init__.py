"""The command line: ``python -m triocql COMMAND``."""

from __future__ import annotations

import argparse
import io
import os
import sys
from typing import TYPE_CHECKING, Final

from triocql._starting import INTERRUPTED
from triocql.commands import describe, export
from triocql.errors import Error, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED: Final = 1
MISUSED: Final = 2
"""Exit statuses beside 0 and that of Ctrl-C: what was asked for failed; it was asked for wrongly."""


def run(argv: Sequence[str]) -> int:
    """Execute a command and return the exit status. What it finds goes to stdout, all else to stderr."""
    try:
        return _run(argv)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(argv: Sequence[str]) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    arguments.argv = argv
    if sys.stdout is None:
        print(f"{parser.prog} {arguments.command}: stdout is closed", file=sys.stderr)
        return FAILED
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # of CQL, whatever the terminal's is
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads on, as in `... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is written at the end
        return FAILED
    except (Error, OSError) as error:
        print(f"{parser.prog} {arguments.command}: {error}", *_notes_of(error), sep="\n", file=sys.stderr)
        return MISUSED if isinstance(error, UsageError) else FAILED
    return 0


def _notes_of(error: Exception) -> list[str]:
    """Return what a command has added to an error."""
    return getattr(error, "__notes__", [])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m triocql",
        description="A CQL driver. Without a command: which version and which implementation this is.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    describe.add_to(commands)
    export.add_to(commands)
    return parser
