"""What is asked of folders, where systems and file systems have it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from triocql.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def sync_folder(path: Path) -> None:
    """Have the names in a folder on the disk, too. What is wrong with a disk, its files have told before."""
    with suppress(OSError):  # not all can
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


class FolderLock:
    """A lock on a folder that one process at a time has, and nobody any more once that has ended; where there are no
    locks, everybody has it.

    Raises UsageError if somebody else has it, and OSError if there is no such folder.
    """

    def __init__(self, path: Path) -> None:
        self._number: int | None = None
        try:
            import fcntl
        except ImportError:  # Windows
            return
        self._number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise UsageError(f"another export is writing to {path}") from None
        except OSError:  # a file system without locks
            pass

    def release(self) -> None:
        """Let go of it. Idempotent."""
        number, self._number = self._number, None
        if number is not None:
            os.close(number)
