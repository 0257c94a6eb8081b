"""A process that never outlives this one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from triocql.testing.cassandra import _supervise
from triocql.testing.cassandra._errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Sequence


class OwnedProcess:
    """A command under a supervisor of its own: it ends when this process does, by whatever means.

    Signals go through the supervisor, the command's parent, so that they never reach a recycled process id.
    """

    def __init__(
        self, command: Sequence[str], *, folder: Path, output: Path, keep_open: Sequence[int] = ()
    ) -> None:
        """Start the command; its output is appended to `output`; the descriptors `keep_open` live as long."""
        script = [sys.executable, "-I", "-S", _supervise.__file__, str(os.getpid()), str(folder)]
        with output.open("ab") as log:
            self._supervisor = subprocess.Popen(  # noqa: S603
                [*script, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=tuple(keep_open),
                start_new_session=True,  # Ctrl-C in a terminal is for the owner alone
            )
        assert self._supervisor.stdout is not None
        with self._supervisor.stdout as pid:
            line = pid.readline()
        if not line:
            self.wait(None)
            raise LauncherError(f"{command[0]} cannot be run; {output} says why")
        self.pid = int(line)

    @property
    def returncode(self) -> int | None:
        """The exit status; None while the command runs."""
        return self._supervisor.poll()

    def send(self, *signals: signal.Signals) -> None:
        """Send signals to the command, in order; nothing happens if it has ended."""
        assert self._supervisor.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._supervisor.stdin.write(bytes(signals))
            self._supervisor.stdin.flush()

    def hold(self) -> None:
        """Stop the command with SIGSTOP and wait until all its threads stand still: they do one by one."""
        self.send(signal.SIGSTOP)
        while self.returncode is None and not self._stands_still():
            time.sleep(0.001)

    def _stands_still(self) -> bool:
        threads = Path(f"/proc/{self.pid}/task").glob("*/stat")
        try:
            return all(stat.read_text().rpartition(") ")[2].startswith("T") for stat in threads)
        except OSError:  # a thread has ended meanwhile
            return False

    def wait(self, timeout: float | None) -> int | None:
        """Wait up to `timeout` seconds for the end; returns the exit status, None if it still runs."""
        try:
            status = self._supervisor.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        assert self._supervisor.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._supervisor.stdin.close()
        return status

    def kill(self) -> None:
        """End the command with SIGKILL and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.wait(None)
