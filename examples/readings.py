"""The data of the documentation: what the tutorial leaves behind, and the how-to guides begin with.

    python examples/readings.py 127.19.1.1

It brings the keyspace ``weather`` of a node for trials to that state, whatever was written into it since.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

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
    for minute in range(1000):
        for station in range(20):
            yield f"station-{station:02}", START + timedelta(minutes=minute), 15.0 + station / 2


def main(address: str) -> None:
    with triocql.sync.connect(address, timeout=60.0) as session:
        for statement in SCHEMA:
            session.execute(statement)
        written = session.execute_concurrent_with_args(INSERT, readings(), concurrency=200)
    print(f"{len(written):,} readings of 21 stations")


if __name__ == "__main__":
    main(sys.argv[1])
