"""A table as a data frame of Spark, for one that is small beside the rest: for large ones, take Cassandra's connector.

spark-submit examples/spark_table.py 10.0.0.1 shop.events
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

from pyspark.sql import SparkSession

import triocql.sync


@cache
def session(contact_point: str) -> triocql.sync.Session:
    """Return the session of this process. One with a password finds it by itself: the ranges have none."""
    return triocql.sync.connect(contact_point)


def main(contact_point: str, table: str) -> None:
    spark = SparkSession.builder.appName(table).getOrCreate()

    def read(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            for part in batch.to_pylist():
                found = session(contact_point).scan(table).within(part["start"], part["end"]).arrow()
                yield from found.to_batches()

    scan = session(contact_point).scan(table)
    empty = spark.createDataFrame(scan.within(*scan.ranges()[0]).arrow())  # for its columns
    ranges = spark.createDataFrame([tuple(each) for each in scan.ranges()], "start long, end long")
    frame = ranges.repartition(len(scan.ranges())).mapInArrow(read, empty.schema)
    print(frame.count())


if __name__ == "__main__":
    main(*sys.argv[1:])
