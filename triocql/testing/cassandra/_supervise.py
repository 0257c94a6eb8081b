"""Runs one command for an owner and ends it with the owner, however that ends: a script by itself.

``python _supervise.py OWNER_PID FOLDER COMMAND...``. Standard output gets the command's pid, standard error
all that the command prints. Each byte on standard input is the number of a signal for the command. When
standard input closes or the owner's process is gone, the command is killed and FOLDER removed. The exit
status is the command's.

The pipe alone would do, were it not that a forked child of the owner holds it open, too: hence the owner's
pidfd. A supervisor that is itself killed takes the command along (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1


def supervise(owner: int, folder: str, command: list[str]) -> int:
    """Run the command until it ends or the owner is gone; returns the command's exit status."""
    owner_fd = _pidfd_of(owner)
    prctl = ctypes.CDLL(None).prctl
    child = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    print(child.pid, flush=True)
    if owner_fd is None or not _serve(child, owner_fd):
        child.kill()
        child.wait()
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # the folder of the cluster goes with its last node
            os.rmdir(os.path.dirname(folder))  # noqa: PTH106, PTH120 - pathlib doubles the start-up time
    return child.wait()


def _pidfd_of(owner: int) -> int | None:
    """Open the owner's pidfd; None if the owner is gone already."""
    try:
        owner_fd = os.pidfd_open(owner)
    except ProcessLookupError:
        return None
    return owner_fd if os.getppid() == owner else None


def _serve(child: subprocess.Popen[bytes], owner_fd: int) -> bool:
    """Pass signals on until the command ends (True) or the owner is gone (False)."""
    child_fd = os.pidfd_open(child.pid)
    poll = select.poll()
    for fd in (0, owner_fd, child_fd):
        poll.register(fd, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if child_fd in ready:
            return True
        signals = os.read(0, 64) if 0 in ready else b""
        if owner_fd in ready or not signals:
            return False
        for number in signals:
            child.send_signal(number)


if __name__ == "__main__":
    sys.exit(supervise(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
