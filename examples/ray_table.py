"""A table as a data set of Ray: each block is a range of tokens, read where Ray wants it.

python examples/ray_table.py 10.0.0.1 shop.events
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import ray

import triocql.sync


@cache
def session(contact_point: str) -> triocql.sync.Session:
    """Return the session of this process. One with a password finds it by itself: the ranges have none."""
    return triocql.sync.connect(contact_point)


def read(batch: dict[str, Any], contact_point: str, table: str) -> Any:
    """Return the rows of one range as a table of Arrow."""
    ((start, end),) = zip(batch["start"], batch["end"], strict=True)
    return session(contact_point).scan(table).within(int(start), int(end)).arrow()


def main(contact_point: str, table: str) -> None:
    ranges = session(contact_point).scan(table).ranges()
    data = ray.data.from_items([{"start": each.start, "end": each.end} for each in ranges]).map_batches(
        read, batch_size=1, fn_kwargs={"contact_point": contact_point, "table": table}
    )
    print(data.count())


if __name__ == "__main__":
    main(*sys.argv[1:])
