"""The files of a directory: one for each range of the table, which is there as a whole or not at all.

A file has the name of a part once all of its rows are on the disk, and not before. So the names that are there tell
what is done, whenever and by whatever whoever wrote them was ended.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from triocql.bulk.folders import check_same, identity, named, sync_folder
from triocql.bulk.intervals import TokenRange

if TYPE_CHECKING:
    from pathlib import Path

    from triocql.bulk.files.formats import Format
    from triocql.bulk.files.writing import Writer
    from triocql.codecs.rows import Page
    from triocql.protocol.types import ColumnSpec

_NAME: Final = re.compile(r"part_(-?\d+)_(-?\d+)_(\d+)(\.\w+)")
_UNFINISHED: Final = re.compile(r"_part_-?\d+_-?\d+\.\w+\.part|\._triocql\.json\.\d+\.tmp")
"""They begin like what readers of directories pass over."""


class Whole(NamedTuple):
    """A file that is complete.

    Attributes:
        range: the range whose rows it has.
        rows: how many.
    """

    range: TokenRange
    rows: int

    def name(self, suffix: str) -> str:
        """Return what it is called."""
        return f"part_{self.range.start}_{self.range.end}_{self.rows}{suffix}"


def whole_of(name: str, suffix: str) -> Whole | None:
    """Return what a file has, by its name; None if that is not the name of a part."""
    found = _NAME.fullmatch(name)
    if found is None or found[4] != suffix:
        return None
    start, end, rows = map(int, found.groups()[:3])
    whole = Whole(TokenRange(start, end), rows)
    return whole if start < end and whole.name(suffix) == name else None


def suffix_of(name: str) -> str | None:
    """Return the suffix of a part, of whatever format; None if it is none."""
    found = _NAME.fullmatch(name)
    return None if found is None else found[4]


def is_unfinished(name: str) -> bool:
    """Return whether a file was begun by somebody who was ended before it was complete."""
    return _UNFINISHED.fullmatch(name) is not None


class Part:
    """A file that is being written, under another name than it will have. All of it blocks.

    Args:
        directory: where it is.
        part: the range that it is of.
        form: its format.
        columns: what is written.

    Attributes:
        range: that range.
        rows: how many rows it has by now.

    Raises OSError.
    """

    def __init__(
        self, directory: Path, part: TokenRange, form: Format, columns: tuple[ColumnSpec, ...]
    ) -> None:
        self.range = part
        self.rows = 0
        self._suffix = form.suffix
        self._path = directory / f"_part_{part.start}_{part.end}{form.suffix}.part"
        self._file = self._path.open("wb")
        self._identity = identity(self._file.fileno())
        try:
            with named(self._path):
                self._writer: Writer = form.open(self._file, columns)
        except BaseException:
            self._remove()
            raise

    @property
    def held(self) -> int:
        """About how many bytes of rows are in memory."""
        return self._writer.held

    def write(self, page: Page) -> None:
        """Write the rows of a page, or keep them. Raises OSError, and DecodeError."""
        with named(self._path):
            self._writer.write(page)
        self.rows += page.row_count

    def flush(self) -> None:
        """Write the rows that are in memory. Raises OSError."""
        with named(self._path):
            self._writer.flush()

    def publish(self) -> Whole:
        """Write all of it to the disk, and then give it its name. Raises OSError."""
        with named(self._path):
            self._writer.finish()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        check_same(self._path, self._identity, "file")
        whole = Whole(self.range, self.rows)
        self._path.replace(self._path.with_name(whole.name(self._suffix)))
        sync_folder(self._path.parent)
        return whole

    def discard(self) -> None:
        """Remove the file, as if it had never been begun. Idempotent."""
        self._writer.abandon()
        self._remove()

    def _remove(self) -> None:
        with suppress(OSError):  # what is not on a full disk
            self._file.close()
        with suppress(FileNotFoundError):
            check_same(self._path, self._identity, "file")  # or somebody else's has its name by now
            self._path.unlink()
