"""The folder of a cluster: gone with the cluster, or with the next one if its process had no time for it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from triocql.testing.cassandra._cache import cache_folder, locked
from triocql.testing.cassandra._errors import LauncherError

_PREFIX: Final = "triocql-cluster-"


class ClusterFolder:
    """A new folder among the temporary ones, held by a lock on it.

    The kernel keeps the record: a folder whose lock is free was left by a process that has ended.

    Attributes:
        path: where it is.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def make(cls) -> ClusterFolder:
        """Make one, and remove those that earlier processes of this user have left."""
        with locked(cache_folder() / "folders.lock"):  # none is seen between its making and its locking
            _remove_leftovers()
            path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            lock = _lock_of(path)
        if lock is None:
            raise LauncherError(f"{path} cannot be locked: TMPDIR in the environment names another folder")
        return cls(path, lock)

    def remove(self) -> None:
        """Remove it with all that is in it. Idempotent."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _remove_leftovers() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if (lock := _lock_of(path)) is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _lock_of(path: Path) -> int | None:
    """Lock a folder of this user's; returns the descriptor that holds the lock, None if another process has it."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(folder).st_uid == os.geteuid():
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return folder
    except OSError:
        pass
    os.close(folder)
    return None
