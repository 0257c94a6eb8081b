from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from triocql.bulk.folders import FolderLock, sync_folder
from triocql.errors import UsageError


def test_one_at_a_time_has_the_lock_of_a_folder(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(UsageError, match="another export is writing to"):
        FolderLock(tmp_path)
    lock.release()
    lock.release()
    FolderLock(tmp_path).release()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FolderLock(tmp_path / "x")
    sync_folder(tmp_path / "x")


def test_systems_without_locks_have_none(tmp_path: Path) -> None:
    """As Windows is, where `fcntl` cannot be imported."""
    program = f"""
import sys
sys.modules["fcntl"] = None
import triocql.bulk.files.directory
from pathlib import Path
from triocql.bulk.folders import FolderLock
FolderLock(Path({str(tmp_path)!r})).release()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
