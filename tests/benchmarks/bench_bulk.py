"""Whole tables: plain paging of cassandra-driver, our stream, our scan as rows and as columns, an export to Parquet.

python -m tests.benchmarks.bench_bulk [--rows 200000] [--rounds 3] [--nodes 3]

Starts nodes of its own. The seconds are those of a machine on which the nodes run, too: what counts are the ratios, and
the CPU time of the client.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.query import tuple_factory

import triocql.sync
from tests.loading import load
from triocql.testing.cassandra import CassandraCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TABLE = "bulk.mixed"
SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS bulk WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
    "CREATE TABLE IF NOT EXISTS bulk.mixed (id int, n int, big bigint, name text, value double, at timestamp,"
    " key uuid, flag boolean, PRIMARY KEY (id, n))",
)
INSERT = "INSERT INTO bulk.mixed (id, n, big, name, value, at, key, flag) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
PATIENT = {
    "read_request_timeout": "60s",
    "write_request_timeout": "60s",
    "range_request_timeout": "60s",
    "request_timeout": "60s",
}
PEER = "cassandra-driver, pages of tuples"
ROWS_OF_A_PARTITION = 20


class Cost(NamedTuple):
    """What reading the table once has cost, in seconds."""

    rows: int
    seconds: float
    cpu: float


def rows_of(count: int) -> Iterator[tuple[Any, ...]]:
    """Return the rows of the table."""
    for number in range(count):
        id_, n = divmod(number, ROWS_OF_A_PARTITION)
        yield (
            id_,
            n,
            number * 7919,
            f"name of {number}",
            number / 7,
            1_700_000_000_000 + number,
            UUID(int=number),
            number % 3 == 0,
        )


def measured(read: Callable[[], int]) -> Cost:
    """Read the table once."""
    wall, cpu = time.perf_counter(), time.process_time()
    rows = read()
    return Cost(rows, time.perf_counter() - wall, time.process_time() - cpu)


def ways(session: triocql.sync.Session, peer: Any) -> dict[str, Callable[[], int]]:
    """Return what is measured: each reads all rows and returns their number."""

    def pages_of_the_peer() -> int:
        return sum(1 for _ in peer.execute(f"SELECT * FROM {TABLE}"))

    def stream() -> int:
        with session.stream(f"SELECT * FROM {TABLE}", row_type=tuple) as rows:
            return sum(1 for _ in rows)

    def stream_arrow() -> int:
        return session.stream(f"SELECT * FROM {TABLE}").arrow().num_rows  # type: ignore[no-any-return]

    def scan_rows() -> int:
        with session.scan(TABLE) as scan:
            return sum(1 for _ in scan.rows(tuple))

    def scan_arrow() -> int:
        return session.scan(TABLE).arrow().num_rows  # type: ignore[no-any-return]

    def to_parquet() -> int:
        with tempfile.TemporaryDirectory() as folder:
            return session.scan(TABLE).export(folder)

    return {
        PEER: pages_of_the_peer,
        "our stream, tuples": stream,
        "our stream, Arrow": stream_arrow,
        "our scan, tuples": scan_rows,
        "our scan, Arrow": scan_arrow,
        "our scan, export to Parquet": to_parquet,
    }


def fill(cluster: CassandraCluster, count: int) -> None:
    """Make the table, fill it, and have it be on the disks of all nodes, as these know then how large it is."""
    began = time.perf_counter()
    # On all replicas: what is read is read from one of them.
    with triocql.sync.connect(cluster.contact_points, timeout=60.0, consistency="ALL") as session:
        for statement in SCHEMA:
            session.execute(statement)
        load(session, INSERT, rows_of(count))
    for node in cluster.nodes:
        node.nodetool("flush", TABLE.partition(".")[0])
        node.nodetool("refreshsizeestimates")
    print(f"{count:,} rows loaded in {time.perf_counter() - began:.0f} s")


def bench(count: int, rounds: int, nodes: int) -> None:
    """Measure, and print."""
    with CassandraCluster(nodes=nodes, name="bulk", yaml=PATIENT, start_timeout=300.0) as cluster:
        points = cluster.contact_points
        fill(cluster, count)
        profile = ExecutionProfile(row_factory=tuple_factory, request_timeout=60)
        peer = Cluster(
            [point.rpartition(":")[0] or point for point in points],
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        )
        with triocql.sync.connect(points, timeout=60.0, consistency="LOCAL_ONE") as session:
            found = ways(session, peer.connect())
            costs: dict[str, list[Cost]] = {name: [] for name in found}
            for number in range(rounds + 1):
                for name, read in found.items():
                    cost = measured(read)
                    assert cost.rows == count, f"{name}: {cost.rows} rows"
                    if number:  # the first round warms up
                        costs[name].append(cost)
        peer.shutdown()
    report(costs)


def report(costs: dict[str, list[Cost]]) -> None:
    """Print the medians, and how they compare with the first line and with our stream."""
    rate = {name: statistics.median(each.rows / each.seconds for each in of) for name, of in costs.items()}
    cpu = {name: statistics.median(each.cpu / each.rows * 1e6 for each in of) for name, of in costs.items()}
    print(f"{'':36}{'rows/s':>10}{'CPU µs/row':>12}{'× peer':>8}{'× stream':>10}")
    for name in costs:
        stream = rate["our stream, Arrow" if "tuples" not in name else "our stream, tuples"]
        ratios = f"{rate[name] / rate[PEER]:8.2f}{rate[name] / stream:10.2f}"
        print(f"{name:36}{rate[name]:10,.0f}{cpu[name]:12.2f}{ratios}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_bulk")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=3)
    arguments = parser.parse_args()
    bench(arguments.rows, arguments.rounds, arguments.nodes)


if __name__ == "__main__":
    main()
