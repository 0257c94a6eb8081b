"""What scans tell of themselves, those of both kinds of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triocql.bulk.checkpoint import Checkpoint
    from triocql.bulk.order import ScanOrder
    from triocql.bulk.planner import Task
    from triocql.bulk.progress import Progress
    from triocql.codecs.rows import RowPlan
    from triocql.errors import FailedRange
    from triocql.protocol.types import ColumnSpec
    from triocql.session.scanreader import ScanReader


class OfScan:
    """A base of what reads a table by a `ScanReader`."""

    __slots__ = ()

    _reader: ScanReader

    @property
    def order(self) -> ScanOrder:
        """What is read, and how."""
        return self._reader.order

    @property
    def failed_ranges(self) -> list[FailedRange]:
        """The ranges that could not be read, up to now."""
        return self._reader.failed_ranges

    @property
    def progress(self) -> Progress:
        """How far it has come: see `triocql.bulk.progress.Progress`."""
        return self._reader.tally.progress()

    def checkpoint(self) -> Checkpoint:
        """Return how far it has come, for the option `resume` of another scan of the same: the ranges that were read to
        their end, after what followed was asked for.
        """
        return self._reader.tally.checkpoint()


class OfParts:
    """A base of what gives the parts of a table as they come."""

    __slots__ = ()

    _reader: ScanReader

    @property
    def plan(self) -> RowPlan:
        """What reads the rows of all pages, hidden columns included; known within the block."""
        return self._reader.plan

    @property
    def columns(self) -> tuple[ColumnSpec, ...]:
        """The columns that were asked for: the first ones of all pages; known within the block."""
        columns = self.plan.columns
        return columns[: len(columns) - self.hidden]

    @property
    def hidden(self) -> int:
        """How many columns at the end of the rows nobody has asked for."""
        return self._reader.hidden

    def acknowledge(self, task: Task) -> None:
        """Take a task for done, whose last piece has come."""
        self._reader.acknowledge(task)
