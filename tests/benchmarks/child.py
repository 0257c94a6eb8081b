"""Processes that never survive their owner: they end when their stdin closes, however that comes about."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[2]
SERVER = "tests.benchmarks.server"


@contextlib.contextmanager
def running(
    module: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    under: Sequence[str] = (),
) -> Iterator[tuple[IO[str], IO[str]]]:
    """Run `python -m module` in a folder while the block lasts; the value is its stdin and its stdout.

    `under` is the command, if any, that runs it: valgrind, say.
    It gets a process group of its own, so that Ctrl-C ends it through its stdin, in good order.
    """
    with subprocess.Popen(
        [*under, sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=os.environ | dict(environment or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        _place(process.pid, module)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdin, process.stdout
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()


def _place(pid: int, module: str) -> None:
    """Give the server the last processor, and all others the rest, if the system can.

    Otherwise chance would place each of them, and a process that is woken up by its own processor takes half the time.
    """
    if hasattr(os, "sched_getaffinity"):
        *others, last = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(pid, {last} if module == SERVER or not others else others)
