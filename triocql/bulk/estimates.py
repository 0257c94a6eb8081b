"""How large a table is, by what its nodes have estimated, and in how many parts it is worth while to read it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from triocql.metadata.schema import ddl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from triocql.bulk.intervals import TokenSpace
    from triocql.metadata.partitioners import Partitioner
    from triocql.metadata.schema import Relation

_QUESTION: Final = (
    "SELECT range_start, range_end, mean_partition_size, partitions_count FROM system.size_estimates"
)

TASK_BYTES: Final = 64 * 2**20
"""About as much is read by a task."""

SMALL: Final = 2 * 2**20
"""A table of so many bytes is read at once: it is a page or two."""

MOST_TASKS: Final = 10_000
FEWEST: Final = 2
"""How many tasks there are for each node at least, ..."""
UNKNOWN: Final = 8
"""... and where nobody has said how large the table is."""

_MOST_BYTES: Final = 2**60


class TableSize(NamedTuple):
    """What nodes have estimated. It is a hint: of what is not on their disks yet, they do not know.

    Attributes:
        bytes: what all partitions have, each counted once, before compression.
        partitions: how many there are.
    """

    bytes: int
    partitions: int


def question(table: Relation) -> str:
    """Return the statement that each node of the local data centre is asked."""
    keyspace, name = ddl.string(table.keyspace), ddl.string(table.name)
    return f"{_QUESTION} WHERE keyspace_name = {keyspace} AND table_name = {name}"


def size_of(
    rows: Iterable[Mapping[str, Any]], partitioner: Partitioner, space: TokenSpace
) -> TableSize | None:
    """Return the size of a table by the rows that the nodes have answered the `question` with. What is lacking, as some
    did not answer, is taken to be like the rest. Whatever the rows have, this raises nothing.

    Returns:
        the size, None where nothing is told, or nothing that can be true.
    """
    width = size = partitions = 0
    for row in rows:
        told = _width(row.get("range_start"), row.get("range_end"), partitioner, space)
        mean, count = _count(row.get("mean_partition_size")), _count(row.get("partitions_count"))
        if told and mean is not None and count is not None:
            width += told
            size += mean * count
            partitions += count
    if not (size and width):
        return None
    whole = space.whole.width
    found = TableSize(size * whole // width, partitions * whole // width)
    return found if found.bytes <= _MOST_BYTES else None


def tasks_for(size: TableSize | None, nodes: int, most: int = TASK_BYTES, *, shards: int = 0) -> int:
    """Return in how many tasks a table is to be read.

    Args:
        size: its size, None if nobody knows.
        nodes: how many nodes of the local data centre there are.
        most: how many bytes a task should have at most, if it is less than usual. It has `SMALL` at least.
        shards: how many shards these have together: each has something to do, if there is enough for that.

    >>> tasks_for(None, 3), tasks_for(TableSize(100_000, 10), 3), tasks_for(TableSize(2**40, 10**9), 3)
    (24, 1, 10000)
    """
    if size is None:
        return min(max(nodes * UNKNOWN, shards * FEWEST, UNKNOWN), MOST_TASKS)
    if size.bytes <= SMALL:
        return 1
    part = max(min(most, TASK_BYTES), SMALL)
    fewest = max(nodes * FEWEST, min(shards * FEWEST, size.bytes // SMALL), 1)
    return min(max(size.bytes // part, fewest), MOST_TASKS)


def _width(start: Any, end: Any, partitioner: Partitioner, space: TokenSpace) -> int:
    """Return how many tokens a range has that is told as text; 0 for what is none."""
    with suppress(ValueError, TypeError):
        first, last = partitioner.parse(start), partitioner.parse(end)
        if isinstance(first, int) and isinstance(last, int):
            return sum(part.width for part in space.unwrapped(first, last))
    return 0


def _count(told: Any) -> int | None:
    return told if type(told) is int and 0 <= told <= _MOST_BYTES else None
