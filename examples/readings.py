"""The data of the documentation: what the tutorial leaves behind, and the how-to guides begin with.

    python examples/readings.py 127.19.1.1

It brings the keyspace ``weather`` of a node for trials to that state, whatever was written into it since.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby

import triocql

SCHEMA = (
    "DROP KEYSPACE IF EXISTS weather",
    """CREATE KEYSPACE weather
       WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}""",
    """CREATE TABLE weather.readings (
       station text, at timestamp, celsius double, PRIMARY KEY (station, at))""",
    "CREATE TYPE weather.place (name text, latitude double, longitude double)",
    """CREATE TABLE weather.stations (
       station text PRIMARY KEY, place frozen<place>, tags set<text>, cost bigint, settings text)""",
)
INSERT = "INSERT INTO weather.readings (station, at, celsius) VALUES (?, ?, ?)"
START = datetime(2026, 7, 1, tzinfo=UTC)


def readings() -> Iterator[tuple[str, datetime, float]]:
    """Twenty stations, a reading a minute, and one of the harbour at noon."""
    yield "harbour", START + timedelta(hours=12), 24.5
    for station in range(20):
        for minute in range(1000):
            yield f"station-{station:02}", START + timedelta(minutes=minute), 15.0 + station / 2


def batches(insert: triocql.PreparedStatement) -> Iterator[triocql.Batch]:
    """Fifty readings at a time, of one station: a batch for a single partition is a single write."""
    for _, of_a_station in groupby(readings(), key=lambda reading: reading[0]):
        rows = list(of_a_station)
        for first in range(0, len(rows), 50):
            batch = triocql.Batch(triocql.BatchType.UNLOGGED)
            for row in rows[first : first + 50]:
                batch.add(insert, row)
            yield batch


def main(address: str) -> None:
    with triocql.sync.connect(address, timeout=60.0) as session:
        for statement in SCHEMA:
            session.execute(statement)
        session.execute_concurrent(batches(session.prepare(INSERT)), concurrency=20)
        count = session.execute("SELECT count(*) FROM weather.readings").scalar()
    print(f"{count:,} readings of 21 stations")


if __name__ == "__main__":
    main(sys.argv[1])
