"""A plain script, without an event loop: load a CSV file, and sum it up."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO

import triocql

SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS sales WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS sales.receipts (shop text, number int, total decimal, PRIMARY KEY (shop, number))",
    "USE sales",
)
INSERT = "INSERT INTO receipts (shop, number, total) VALUES (?, ?, ?)"

FILE = StringIO("".join(f"{('north', 'south')[n % 2]},{n},{n / 8:.2f}\n" for n in range(10_000)))


def receipts() -> Iterator[tuple[str, int, Decimal]]:
    """Read a line whenever there is room for another request: the file may be as long as it likes."""
    for shop, number, total in csv.reader(FILE):
        yield shop, int(number), Decimal(total)


def main(address: str) -> None:
    with triocql.sync.connect(address) as session:
        for statement in SCHEMA:
            session.execute(statement)

        written = session.execute_concurrent_with_args(INSERT, receipts(), concurrency=200)
        print(f"{len(written):,} receipts")

        for row in session.execute("SELECT shop, sum(total) AS total FROM receipts GROUP BY shop"):
            print(f"{row.shop}: {row.total:,}")

        # All pages, one after the other, and never more than three of them in memory.
        with session.stream("SELECT total FROM receipts WHERE shop = ?", ["north"], page_size=500) as rows:
            print("largest in the north:", max(row.total for row in rows))


if __name__ == "__main__":
    main(sys.argv[1])
