"""From pieces of a scan to files. All of it blocks; it knows no loop, and waits for no node."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Protocol

from triocql.bulk.intervals import Intervals

if TYPE_CHECKING:
    from typing import BinaryIO

    from triocql.bulk.files.directory import Directory
    from triocql.bulk.files.formats import Format
    from triocql.bulk.files.parts import Part
    from triocql.bulk.files.writing import Writer
    from triocql.bulk.intervals import TokenRange
    from triocql.bulk.pieces import Piece
    from triocql.bulk.planner import Task
    from triocql.protocol.types import ColumnSpec

MOST_HELD: Final = 16 << 20
"""So many bytes of rows are in memory at most, however many files there are, until they are written."""


class Sink(Protocol):
    """Where the pieces of a scan go. One thread at a time calls it.

    Attributes:
        restart: whether what is not complete can be taken back, and is read again as a whole.
    """

    restart: bool

    @property
    def done(self) -> Intervals:
        """The ranges that need not be read."""

    @property
    def rows(self) -> int:
        """How many rows are written."""

    @property
    def bytes(self) -> int:
        """How many bytes they had on the wire, as far as that is known."""

    def begin(self, columns: tuple[ColumnSpec, ...]) -> None:
        """Begin with rows of these columns; pages may have others behind them. Raises OSError."""

    def take(self, piece: Piece) -> None:
        """Write a piece; if it has ended its task, that is on the disk afterwards. Raises OSError and DecodeError."""

    def discard(self, task: Task) -> None:
        """Take back what was written of a task."""

    def finish(self) -> None:
        """End, as all was written. Raises OSError."""

    def close(self) -> None:
        """Let go of everything, however far it has come. Raises OSError."""


class ToDirectory:
    """Writes each task to a file of its own."""

    restart = True

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._columns: tuple[ColumnSpec, ...] = ()
        self._parts: dict[TokenRange, Part] = {}
        self._held = 0

    @property
    def done(self) -> Intervals:
        """The ranges whose files are there."""
        return self._directory.done

    @property
    def rows(self) -> int:
        """How many rows these have."""
        return self._directory.rows

    @property
    def bytes(self) -> int:
        """How many bytes these had on the wire, as far as that is known."""
        return self._directory.bytes

    def begin(self, columns: tuple[ColumnSpec, ...]) -> None:
        """Begin with rows of these columns."""
        self._columns = columns

    def take(self, piece: Piece) -> None:
        """Write a piece."""
        part = self._parts.get(piece.task.range)
        if part is None:
            part = self._parts[piece.task.range] = self._directory.begin(piece.task.range, self._columns)
        self._held -= part.held
        if piece.page is not None:
            part.write(piece.page)
        if piece.ended:
            self._directory.publish(part, piece.size)
            del self._parts[piece.task.range]
        else:
            self._held += part.held
            self._make_room()

    def discard(self, task: Task) -> None:
        """Remove the file of a task."""
        part = self._parts.pop(task.range, None)
        if part is not None:
            self._held -= part.held
            part.discard()

    def finish(self) -> None:
        """Do nothing: a file ends with its task."""

    def close(self) -> None:
        """Remove what is not complete. Whatever cannot be removed, the rest is, and the directory let go of."""
        with ExitStack() as closing:
            closing.callback(self._directory.close)
            for part in self._parts.values():
                closing.callback(part.discard)
            self._parts.clear()

    def _make_room(self) -> None:
        while self._held > MOST_HELD:
            part = max(self._parts.values(), key=lambda each: each.held)
            self._held -= part.held
            part.flush()
            self._held += part.held


class ToStream:
    """Writes all rows to one file, as they come, which others may read meanwhile. What was written cannot be taken
    back.
    """

    restart = False

    def __init__(self, file: BinaryIO, form: Format) -> None:
        assert form.stream is not None
        self.done = Intervals()
        self.rows = self.bytes = 0
        self._open = form.stream
        self._file = file
        self._writer: Writer | None = None

    def begin(self, columns: tuple[ColumnSpec, ...]) -> None:
        """Write what stands before the rows."""
        self._writer = self._open(self._file, columns)

    def take(self, piece: Piece) -> None:
        """Write a piece."""
        assert self._writer is not None, "it has begun"
        if piece.page is not None:
            self._writer.write(piece.page)
            self.rows += piece.page.row_count
            self.bytes += len(piece.page.body)

    def discard(self, task: Task) -> None:
        """Do nothing: nothing of it was written."""

    def finish(self) -> None:
        """Write what stands after the rows."""
        assert self._writer is not None, "it has begun"
        self._writer.finish()
        self._file.flush()

    def close(self) -> None:
        """Let go of the file, which is closed by whoever has opened it."""
        if self._writer is not None:
            self._writer.abandon()
