"""What the launcher keeps, and what it leaves behind: nothing, whatever comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from triocql.testing.cassandra import _cache
from triocql.testing.cassandra._folder import ClusterFolder
from triocql.testing.cassandra._signals import uninterrupted


def test_the_cache_folder_follows_xdg(own_folders: Path) -> None:
    assert _cache.cache_folder() == own_folders / "cache" / "triocql" / "cassandra"


def test_locks_exclude(tmp_path: Path) -> None:
    entered = threading.Event()

    def second() -> None:
        with _cache.locked(tmp_path / "x.lock"):
            entered.set()

    thread = threading.Thread(target=second)
    with _cache.locked(tmp_path / "x.lock"):
        thread.start()
        assert not entered.wait(0.05)
    thread.join()
    assert entered.is_set()


def test_what_is_kept_is_complete(tmp_path: Path) -> None:
    def half(folder: Path) -> None:
        folder.mkdir()
        raise ZeroDivisionError

    def full(folder: Path) -> None:
        folder.mkdir()
        (folder / "file").touch()

    with pytest.raises(ZeroDivisionError):
        _cache.kept(tmp_path / "x", half)
    assert [path.name for path in tmp_path.iterdir()] == ["x.lock"]
    assert (_cache.kept(tmp_path / "x", full) / "file").exists()
    assert (_cache.kept(tmp_path / "x", half) / "file").exists()


LEAVE_A_FOLDER = """
import os, tempfile
from triocql.testing.cassandra._folder import ClusterFolder
print(ClusterFolder.make().path, flush=True)
os._exit(1)
"""


def test_folders_of_processes_that_have_ended_go_with_the_next_cluster(own_folders: Path) -> None:
    left = subprocess.run(
        [sys.executable, "-c", LEAVE_A_FOLDER],
        env={**os.environ, "TMPDIR": str(own_folders)},
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    somebodys = own_folders / "triocql-cluster-file"
    somebodys.touch()
    assert os.path.isdir(left)  # noqa: PTH112
    first = ClusterFolder.make()
    assert not os.path.exists(left)  # noqa: PTH110
    second = ClusterFolder.make()
    assert first.path.is_dir()
    second.remove()
    second.remove()
    first.remove()
    assert list(own_folders.glob("triocql-*")) == [somebodys]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_wait_until_all_is_cleaned_up(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)
    done: list[str] = []

    def clean_up() -> None:
        with uninterrupted():
            for _ in range(3):
                signal.raise_signal(number)
            done.append("cleaned up")

    try:
        with pytest.raises(KeyboardInterrupt):
            clean_up()
        assert done == ["cleaned up"]
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with uninterrupted():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
