"""What a scan is told: what is wanted, and by which means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triocql.bulk.keys import Keys
    from triocql.bulk.order import ScanOrder
    from triocql.statements.prepared import PreparedStatement


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is wanted of a scan, and by which means.

    Attributes:
        order: what is wanted.
        statement: reads a range of it, or all of it if there are no ranges.
        counts: whether nodes count rows, and do not give them.
        keys: tells how far a range has come; None if the table has no ranges.
        has_tablets: whether the table consists of tablets, each on one shard of the nodes that have it.
        is_pinned: whether each node has rows of its own, so that all pages have to be from one.
    """

    order: ScanOrder
    statement: PreparedStatement
    counts: bool
    keys: Keys | None
    has_tablets: bool
    is_pinned: bool
