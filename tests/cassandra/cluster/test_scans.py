"""Whole tables of three real nodes: scans give what plain reading gives, from the nodes that have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.to_thread
import pytest

import triocql
import triocql.sync
from tests.cassandra.conftest import patient
from triocql.bulk.estimates import question, size_of
from triocql.bulk.intervals import space_of

from .scanned import PER_PARTITION, elsewhere, keys, load, replicas, row_of

if TYPE_CHECKING:
    from triocql.testing.cassandra import CassandraCluster

pytestmark = pytest.mark.cassandra

PARTITIONS = 2_500
ROWS = PARTITIONS * PER_PARTITION


@pytest.fixture(scope="module")
def readings(three_nodes: CassandraCluster) -> str:
    """A table of 50,000 rows; its name."""
    return load(three_nodes, "readings", PARTITIONS)


@pytest.fixture
def session(three: CassandraCluster, readings: str) -> Iterator[triocql.sync.Session]:
    with triocql.sync.connect(three.contact_points, **patient()) as session:
        yield session


def comparable(row: Any) -> tuple[Any, ...]:
    return *row[:5], round(row[5].timestamp() * 1000), *row[6:]


def test_a_scan_has_the_rows_that_plain_reading_has(session: triocql.sync.Session, readings: str) -> None:
    with session.stream(f"SELECT sensor, n FROM {readings}", row_type=tuple) as rows:
        plain = set(rows)
    assert plain == keys(PARTITIONS)
    with session.scan(readings, columns=["sensor", "n"]) as scan:
        found = [row for batch in scan for row in batch.rows(tuple)]
    assert len(found) == ROWS
    assert set(found) == plain


@pytest.mark.anyio
async def test_rows_are_what_was_written(three: CassandraCluster, readings: str) -> None:
    """On Trio and asyncio."""
    found = wrong = 0
    columns = ["sensor", "n", "place", "value", "part", "at", "id", "fine", "parts", "note"]
    with anyio.fail_after(120):
        async with (
            triocql.connect(three.contact_points, **patient()) as session,
            session.scan(readings, columns=columns) as scan,
        ):
            async for batch in scan:
                for row in batch.rows(tuple):
                    found += 1
                    wrong += found % 50 == 0 and comparable(row) != row_of(row[0], row[1])
    assert (found, wrong) == (ROWS, 0)


def test_nodes_are_asked_for_what_they_have(
    session: triocql.sync.Session, three: CassandraCluster, readings: str
) -> None:
    # Nodes may not know yet how large the table has become.
    with session.scan(readings, columns=["n"], tasks=96) as scan:
        batches = list(scan)
    work: Counter[str] = Counter()
    for batch in batches:
        work[str(batch.node)] += len(batch)
    # The plan is even, as the tests of it show; here, a node that is faster takes over what is left of others.
    assert len(work) == 3, work
    assert elsewhere(batches, replicas(three)) <= ROWS * 0.05, (
        "but for ranges that are too narrow to be asked alone"
    )


def test_in_the_order_of_the_ring(session: triocql.sync.Session, readings: str) -> None:
    with session.scan(readings, columns=["sensor", "n"], ordered=True) as scan:
        found = [row for batch in scan for row in batch.rows(tuple)]
    with session.stream(f"SELECT sensor, n FROM {readings}", row_type=tuple) as rows:
        assert found == list(rows), "as plain reading has them"


@pytest.mark.parametrize("limit", [1, 12_345, ROWS + 1])
def test_as_many_rows_as_are_wanted(session: triocql.sync.Session, readings: str, limit: int) -> None:
    with session.scan(readings, columns=["sensor", "n"], limit=limit) as scan:
        found = [row for batch in scan for row in batch.rows(tuple)]
    assert len(found) == len(set(found)) == min(limit, ROWS)


def test_nodes_count_and_filter(session: triocql.sync.Session, readings: str) -> None:
    assert session.scan(readings).count() == ROWS
    few = {"where": "n >= ? AND fine = true", "parameters": [15], "allow_filtering": True}
    assert session.scan(readings, **few).count() == 2 * PARTITIONS  # type: ignore[arg-type]
    with session.scan(readings, columns=["n"], **few) as scan:  # type: ignore[arg-type]
        assert {row.n for row in scan.rows()} == {16, 18}


def test_what_nodes_estimate_is_near_enough(
    session: triocql.sync.Session, three: CassandraCluster, readings: str
) -> None:
    keyspace, _, name = readings.partition(".")
    text = question(session.metadata.keyspaces[keyspace].tables[name])
    rows: list[dict[str, Any]] = []
    for node in three.nodes:
        node.nodetool("flush", keyspace)
        node.nodetool("refreshsizeestimates")
    for known in session.metadata.nodes:
        rows += session.execute(text, node=known, row_type=dict).rows
    ring = session.metadata.ring
    space = None if ring is None else space_of(ring.partitioner)
    assert ring is not None
    assert space is not None
    size = size_of(rows, ring.partitioner, space)
    assert size is not None
    assert 0.5 * PARTITIONS < size.partitions < 2 * PARTITIONS
    assert 50 * ROWS < size.bytes < 500 * ROWS


# --- Progress, checkpoints ------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_scan_that_was_cut_off_goes_on_where_it_was(three: CassandraCluster, readings: str) -> None:
    done: list[tuple[int, int]] = []
    async with triocql.connect(three.contact_points, **patient()) as session:
        checkpoint, runs = None, 0
        with anyio.fail_after(120):
            while checkpoint is None or checkpoint.rows < ROWS:
                runs += 1
                batches = 0
                taken: list[tuple[Any, list[tuple[int, int]]]] = []
                scan = session.scan(
                    readings, columns=["sensor", "n"], resume=checkpoint, tasks=30 + runs, page_size=1_000
                )
                with anyio.CancelScope() as scope:
                    async with scan:
                        async for batch in scan:
                            taken.append((batch.token_range, batch.rows(tuple)))
                            batches += 1
                            if batches == 15:
                                scope.cancel()
                checkpoint = scan.checkpoint()
                # What is not acknowledged comes again.
                done += [row for part, rows in taken if part in checkpoint.done for row in rows]
    assert runs > 3
    assert len(done) == ROWS
    assert set(done) == keys(PARTITIONS)


# --- Nodes that are lost --------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("how", ["kill", "pause"])
@pytest.mark.anyio
async def test_a_node_that_is_lost_in_the_middle_loses_no_row(
    three: CassandraCluster, readings: str, how: Literal["kill", "pause"]
) -> None:
    found: list[tuple[int, int]] = []
    node = three.nodes[1]
    with anyio.fail_after(300):
        async with (
            triocql.connect(three.contact_points, **patient(attempt_timeout=10.0)) as session,
            session.scan(readings, columns=["sensor", "n"], page_size=500, max_bytes=2**18) as scan,
        ):
            batches = 0
            async for batch in scan:
                found += batch.rows(tuple)
                batches += 1
                if batches == 20:
                    await anyio.to_thread.run_sync(getattr(node, how))
                elif batches == 60:
                    await anyio.to_thread.run_sync(node.launch if how == "kill" else node.resume)
            assert not scan.failed_ranges
    assert len(found) == ROWS
    assert set(found) == keys(PARTITIONS)
