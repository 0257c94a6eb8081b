"""What is to be scanned, as users have said it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triocql.bulk.checkpoint import Checkpoint
    from triocql.bulk.intervals import Intervals
    from triocql.bulk.selection import Selection
    from triocql.config.requests import RequestOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOrder:
    """What is to be scanned, and how; checked, and the same for both kinds of sessions.

    Attributes:
        selection: what is read.
        call: the options of each request.
        page_size: the rows of a page; None to have them found.
        concurrency_per_node: how many pages a node is asked for at once; None for what is usual.
        max_bytes: how many bytes of pages are here, or under way, at once.
        tasks: in how many parts; None to have it found.
        ordered: whether rows come in the order of the ring.
        raises: whether the first range that cannot be read ends all.
        before: where to begin.
        restart: whether a part of the table counts as a whole or not at all.
    """

    selection: Selection
    call: RequestOptions
    page_size: int | None
    concurrency_per_node: int | None
    max_bytes: int
    tasks: int | None
    ordered: bool
    raises: bool
    before: Checkpoint
    restart: bool = False

    def of_parts(
        self,
        *,
        restart: bool,
        done: Intervals | None,
        rows: int,
        bytes: int,  # noqa: A002
    ) -> ScanOrder:
        """Return the order of the same for those who say by themselves what is done."""
        before = self.before if done is None else self.before.reached(done, rows=rows, bytes=bytes)
        return replace(self, restart=restart, before=before)
