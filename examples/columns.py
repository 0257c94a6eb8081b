"""Columns instead of rows, in a program that blocks: a table of Arrow, sums by polars, embeddings by NumPy.

python examples/columns.py 127.19.1.1
"""

from __future__ import annotations

import sys
from decimal import Decimal

import numpy as np
import polars as pl

import triocql.sync

SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS market WITH replication = "
    "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS market.sales (shop text, number int, price decimal, PRIMARY KEY (shop, number))",
    "CREATE TABLE IF NOT EXISTS market.items (name text PRIMARY KEY, embedding vector<float, 3>)",
)
ITEMS = {"apple": [1.0, 0.0, 0.1], "pear": [0.9, 0.1, 0.2], "hammer": [0.0, 1.0, 0.0]}


def main(address: str) -> None:
    with triocql.sync.connect(address) as session:
        for statement in SCHEMA:
            session.execute(statement)
        sales = ((shop, i, Decimal(i) / 4) for shop in ("north", "south") for i in range(2000))
        session.execute_concurrent_with_args(
            "INSERT INTO market.sales (shop, number, price) VALUES (?, ?, ?)", sales
        )
        session.execute_concurrent_with_args(
            "INSERT INTO market.items (name, embedding) VALUES (?, ?)", ITEMS.items()
        )

        # All pages, decoded as they come. A decimal is text, unless it is said how large it can be.
        frame = session.stream("SELECT * FROM market.sales", page_size=500).polars(
            types={"price": "decimal128(18, 2)"}
        )
        for shop, price in frame.group_by("shop").agg(pl.col("price").sum()).sort("shop").rows():
            print(f"{shop}: {price:,}")

        # What is nearest to an apple? The matrix is the bytes that the node sent, in the order of this machine.
        items = session.execute("SELECT name, embedding FROM market.items")
        names, matrix = items.numpy("name"), items.numpy("embedding")
        order = np.argsort(-(matrix @ np.array(ITEMS["apple"], dtype=np.float32)))
        print("nearest to an apple:", ", ".join(names[order]))


if __name__ == "__main__":
    main(sys.argv[1])
