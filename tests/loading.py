"""Filling tables of real nodes fast: rows of one partition go together."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from triocql import Batch, BatchType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import triocql.sync
    from triocql import PreparedStatement

MOST = 100
"""Rows of a batch."""

CONCURRENCY = 24
"""Batches under way."""


def load(session: triocql.sync.Session, insert: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows: their first column is the partition key, and those of a partition come one after the other."""
    batches = _batches(session.prepare(insert), rows)
    session.execute_concurrent(((batch, None) for batch in batches), CONCURRENCY)


def _batches(insert: PreparedStatement, rows: Iterable[tuple[Any, ...]]) -> Iterator[Batch]:
    for _, partition in groupby(rows, key=lambda row: row[0]):
        batch = Batch(BatchType.UNLOGGED, idempotent=True)
        for number, row in enumerate(partition, 1):
            batch.add(insert, row)
            if number % MOST == 0:
                yield batch
                batch = Batch(BatchType.UNLOGGED, idempotent=True)
        if len(batch):
            yield batch
