"""The launcher's folder in the user's cache: what is in it is complete, whoever looks, and whoever fetches."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def cache_folder() -> Path:
    """Return the launcher's folder in the user's cache: ``$XDG_CACHE_HOME/triocql/cassandra``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "triocql" / "cassandra"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes; the file stays, empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def kept(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Return a folder of the cache. If it is not there, `fill` is given one beside it, which is moved when full."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f"{folder.name}.lock")):
            if not folder.exists():
                with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                    fill(full := Path(scratch, "full"))
                    full.rename(folder)
    return folder
