"""The command line: ``python -m triocql COMMAND``."""

from __future__ import annotations

import argparse
import io
import sys
from typing import TYPE_CHECKING, Final

from triocql.commands import describe
from triocql.errors import Error, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED: Final = 1
MISUSED: Final = 2
INTERRUPTED: Final = 130
"""Exit statuses beside 0: what was asked for failed; it was asked for wrongly; Ctrl-C, as shells have it."""


def run(argv: Sequence[str]) -> int:
    """Execute a command and return the exit status. What it finds goes to stdout, all else to stderr."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if sys.stdout is None:
        print(f"{parser.prog} {arguments.command}: stdout is closed", file=sys.stderr)
        return FAILED
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # of CQL, whatever the terminal's is
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except (Error, OSError) as error:
        print(f"{parser.prog} {arguments.command}: {error}", file=sys.stderr)
        return MISUSED if isinstance(error, UsageError) else FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m triocql",
        description="A CQL driver. Without a command: which version and which implementation this is.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    describe.add_to(commands)
    return parser
