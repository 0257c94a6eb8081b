"""Which process this is. Its id alone does not tell: those of processes that have ended are given again."""

from __future__ import annotations

import os
from typing import TypeAlias

from triocql.errors import UsageError

Process: TypeAlias = tuple[int, int]

_forks = [0]


def this_process() -> Process:
    """Return what no process has had that this one was forked from: its id, and how many forks have led to it. Some
    servers, as uWSGI, fork in a way that Python does not notice; then the id tells.
    """
    return os.getpid(), _forks[0]


def check_process(made_in: Process) -> None:
    """Raise UsageError if what was made in one process is used in a child of it."""
    if made_in != this_process():
        raise UsageError(
            "this session was made before the process forked and belongs to the parent: "
            "connect in the child, too"
        )


def _forked() -> None:
    _forks[0] += 1


if hasattr(os, "register_at_fork"):  # elsewhere nothing forks
    os.register_at_fork(after_in_child=_forked)
