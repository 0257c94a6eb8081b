"""Ctrl-C while ``python -m triocql`` is being imported: it ends the program, and shows no traceback."""

from __future__ import annotations

import os
import sys

# `signal` makes enumerations, which takes longer than all of this.
from _signal import SIGINT, default_int_handler, getsignal, signal  # type: ignore[import-not-found]
from typing import Any

INTERRUPTED = 130
"""The exit status of what Ctrl-C has ended, as shells have it."""


def is_program() -> bool:
    """Return whether Python is on its way to run this package: its name follows ``-m`` then, before the arguments."""
    name = len(sys.orig_argv) - len(sys.argv)
    return sys.argv[:1] == ["-m"] and sys.orig_argv[name : name + 1] == ["triocql"]


def end_at_once() -> None:
    """From now on, Ctrl-C ends the program, without a word."""
    if getsignal(SIGINT) is default_int_handler:
        signal(SIGINT, _end)


def raise_again() -> None:
    """From now on, Ctrl-C raises KeyboardInterrupt again, as Python has it."""
    if getsignal(SIGINT) is _end:
        signal(SIGINT, default_int_handler)


def _end(_number: int, _frame: Any) -> None:
    os._exit(INTERRUPTED)


if is_program():
    end_at_once()
