"""What is asked of folders, where systems and file systems have it."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from triocql.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Have errors of a disk name the file: those of writing do not do so by themselves."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


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
        self._path = path
        self._identity = identity(path)
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

    def check(self) -> None:
        """Raise FileNotFoundError if the folder is another one by now, which has nothing of what was put into it."""
        check_same(self._path, self._identity, "directory")

    def release(self) -> None:
        """Let go of it. Idempotent."""
        number, self._number = self._number, None
        if number is not None:
            os.close(number)


def identity(place: Path | int) -> tuple[int, int]:
    """Return what no other folder or file has as long as this one is there. Raises OSError."""
    found = os.fstat(place) if isinstance(place, int) else place.stat()
    return found.st_dev, found.st_ino


def check_same(path: Path, known: tuple[int, int], kind: str) -> None:
    """Raise FileNotFoundError if the path is that of another folder or file by now than that of a known `identity`."""
    if identity(path) != known:
        raise FileNotFoundError(errno.ENOENT, f"the {kind} was removed meanwhile, and made anew", str(path))
