"""The directory of an export: what is in it is what is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from triocql.bulk.checkpoint import Checkpoint
from triocql.bulk.files.parts import Part, Whole, is_unfinished, suffix_of, whole_of
from triocql.bulk.folders import FolderLock
from triocql.bulk.intervals import Intervals, space_of
from triocql.errors import CheckpointError, UsageError
from triocql.metadata.partitioners import MURMUR3, RANDOM

if TYPE_CHECKING:
    from pathlib import Path

    from triocql.bulk.files.formats import Format
    from triocql.bulk.intervals import TokenRange
    from triocql.protocol.types import ColumnSpec

MANIFEST: Final = "_triocql.json"
"""The file that tells which table, and which rows of it, the others are of. What reads directories passes over it."""


class Directory:
    """A directory of files, one for each range of a table, of which nobody else is writing any.

    Args:
        path: where it is; made if it is not there.
        form: the format of the files.
        checkpoint: tells what is exported.
        resume: whether to go on where another export was ended.

    Attributes:
        done: the ranges whose files are there.
        rows: how many rows these have.
        bytes: how many bytes these had on the wire; of those that an export was killed after, estimated by the others.

    Raises:
        UsageError: there is something else, or somebody is at it.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path, form: Format, checkpoint: Checkpoint, *, resume: bool) -> None:
        self._path = path
        self._form = form
        self._checkpoint = checkpoint
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise FileExistsError(
                error.errno, "an export is a directory of files, and this is something else", str(path)
            ) from None
        self._lock = FolderLock(path)
        try:
            self._check(resume=resume)
            self._clean()
            found = [whole for name in self._names() if (whole := whole_of(name, form.suffix))]
            self.done = _ranges_of(found, path)
            self.rows = sum(whole.rows for whole in found)
            noted = self._checkpoint
            self.bytes = noted.bytes * self.rows // noted.rows if noted.rows else 0
            self._save()
        except BaseException:
            self._lock.release()
            raise

    def begin(self, part: TokenRange, columns: tuple[ColumnSpec, ...]) -> Part:
        """Return the file for the rows of a range. Raises OSError."""
        self._lock.check()
        return Part(self._path, part, self._form, columns)

    def publish(self, part: Part, size: int) -> None:
        """Have a file counted: it is complete, and its rows had so many bytes. Raises OSError."""
        whole = part.publish()
        self._lock.check()
        self.done = self.done.plus(*whole.range)
        self.rows += whole.rows
        self.bytes += size

    def close(self) -> None:
        """Remove what is not complete, and say how far it has come. Raises OSError."""
        try:
            self._lock.check()
            self._clean()
            self._save()
        finally:
            self._lock.release()

    def _names(self) -> list[str]:
        return [each.name for each in self._path.iterdir()]

    def _save(self) -> None:
        self._checkpoint = self._checkpoint.reached(self.done, rows=self.rows, bytes=self.bytes)
        self._checkpoint.save(self._path / MANIFEST)

    def _clean(self) -> None:
        for name in self._names():
            if is_unfinished(name):
                (self._path / name).unlink()

    def _check(self, *, resume: bool) -> None:
        """Raise UsageError unless the directory is empty, or has a part of the same export, which is resumed."""
        names = [name for name in self._names() if not is_unfinished(name)]
        if not names or (names == [MANIFEST] and not Checkpoint.load(self._path / MANIFEST).done):
            return  # where nothing came to its end, anything may begin
        if MANIFEST not in names:
            raise UsageError(f"{self._path} is not empty, and has no export: give another directory")
        if not resume:
            raise UsageError(f"{self._path} has an export already: resume it, or give another directory")
        found = Checkpoint.load(self._path / MANIFEST)
        try:
            found.check(self._checkpoint)
        except CheckpointError as error:
            raise CheckpointError(f"{self._path}: {error}") from None
        self._checkpoint = replace(
            self._checkpoint, started=found.started, rows=found.rows, bytes=found.bytes
        )
        for name in names:
            suffix = suffix_of(name)
            if suffix not in (None, self._form.suffix):
                raise UsageError(
                    f"{self._path} has files of another format, such as {name}: give that, or another directory"
                )


def _ranges_of(found: list[Whole], path: Path) -> Intervals:
    """Return what some files have. Raises UsageError if two of them have rows of the same range."""
    done = Intervals()
    for whole in found:
        if done.within(*whole.range):
            raise UsageError(
                f"{path} has two files with the rows of tokens behind {whole.range.start}: remove the one that "
                "somebody else has put there"
            )
        done = done.plus(*whole.range)
    return done


def has_rest(path: Path) -> bool:
    """Return whether a directory has an export that is not complete. False if it has none that can be read."""
    try:
        done = Checkpoint.load(path / MANIFEST).done
    except (CheckpointError, OSError):
        return False
    return not any(space is not None and space.whole in done for space in map(space_of, (MURMUR3, RANDOM)))


def has_parts(path: Path) -> bool:
    """Return whether a directory has a file that is complete. Raises OSError."""
    return any(suffix_of(each.name) is not None for each in path.iterdir())
