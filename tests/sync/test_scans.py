"""Scans for programs that block: as batches, rows and columns, as a live stream, with threads, greenlets and Ctrl-C."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import triocql.sync
from tests.session.test_scans import ROWS, SCHEMA
from tests.sync.programs import ROOT
from triocql.errors import SessionClosed, UsageError
from triocql.sync import Session
from triocql.testing.server import CqlServer


@pytest.fixture
def server() -> Iterator[CqlServer]:
    with CqlServer(2, num_tokens=3, schema=SCHEMA) as server:
        server.serve_table("shop.events", ROWS)
        server.serve_table("shop.empty", [])
        yield server


@pytest.fixture
def session(server: CqlServer) -> Iterator[Session]:
    with triocql.sync.connect(server.contact_points, connections_local=1) as session:
        yield session
        stats = session.stats()
        assert (stats.in_flight, stats.queued) == (0, 0)


def test_batches(session: Session) -> None:
    with session.scan("shop.events", page_size=7) as scan:
        found = [row for batch in scan for row in batch.rows(tuple)]
    assert sorted(found) == ROWS
    assert scan.progress.fraction == 1
    assert scan.checkpoint().rows == len(ROWS)
    assert scan.failed_ranges == []


def test_rows(session: Session) -> None:
    with session.scan("shop.events", columns=["Name"], ordered=True) as scan:
        assert sorted(row["Name"] for row in scan.rows(dict)) == sorted(row[2] for row in ROWS)


def test_columns(session: Session) -> None:
    table = session.scan("shop.events", page_size=7).arrow()
    assert sorted(zip(*table.to_pydict().values(), strict=True)) == ROWS
    assert len(session.scan("shop.events").polars()) == len(session.scan("shop.events").pandas()) == len(ROWS)
    assert session.scan("shop.empty").arrow().schema == pa.schema([("id", pa.int32())])
    assert session.scan("shop.events").count() == len(ROWS)


def test_a_live_stream(session: Session) -> None:
    assert len(pl.DataFrame(session.scan("shop.events", page_size=7))) == len(ROWS)
    reader = pa.RecordBatchReader.from_stream(session.scan("shop.events", page_size=7, columns=["n"]))
    assert len(reader.read_next_batch()) <= 7
    assert reader.schema.names == ["n"]
    assert sum(len(batch) for batch in reader) + 7 >= len(ROWS)


def test_a_live_stream_that_is_dropped(session: Session) -> None:
    reader = pa.RecordBatchReader.from_stream(session.scan("shop.events", page_size=1, max_bytes=1000))
    reader.read_next_batch()
    del reader


def test_a_checkpoint_in_a_file(session: Session, tmp_path: Any) -> None:
    with session.scan("shop.events", page_size=7) as scan:
        for number, _ in enumerate(scan):
            if number == 10:
                break
    scan.checkpoint().save(tmp_path / "events.json")
    done = scan.checkpoint().rows
    assert 0 < done < len(ROWS)
    with session.scan("shop.events", resume=tmp_path / "events.json") as scan:
        assert sum(map(len, scan)) == len(ROWS) - done


def test_outside_of_its_block(session: Session) -> None:
    scan = session.scan("shop.events")
    with pytest.raises(UsageError, match="write `with"):
        next(scan)
    with scan:
        batch = next(scan)
    assert len(batch.rows()) == len(batch)
    with pytest.raises(UsageError, match="after its block"):
        next(scan)
    with pytest.raises(UsageError, match="`async with` is for triocql"):
        scan.__aenter__()  # type: ignore[attr-defined]


def test_the_session_is_closed_within_the_block(server: CqlServer) -> None:
    with triocql.sync.connect(server.contact_points, connections_local=1) as session:
        with session.scan("shop.events", page_size=1, max_bytes=1000) as scan:
            next(scan)
            session.close()
            with pytest.raises((SessionClosed, UsageError)):
                list(scan)


def test_threads_have_a_scan_each(session: Session) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(list(_rows(session))))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [len(ROWS)] * 4


def _rows(session: Session) -> Iterator[Any]:
    with session.scan("shop.events", page_size=7) as scan:
        yield from scan.rows()


GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, sys, triocql.sync
with triocql.sync.connect(sys.argv[1:], connections_local=1) as session:
    def read(number):
        with session.scan("shop.events", page_size=7) as scan:
            return sum(len(batch) for batch in scan)
    readers = [gevent.spawn(read, number) for number in range(4)]
    gevent.wait(readers)
    def forever():
        while True:
            read(0)
    killed = gevent.spawn(forever)
    gevent.sleep(0.05)
    killed.kill()
    while (stats := session.stats()).in_flight or stats.queued:  # what was given up may still be answered
        gevent.sleep(0.01)
    print([each.value for each in readers], stats.in_flight, stats.queued)
"""


def test_under_gevent(server: CqlServer) -> None:
    pytest.importorskip("gevent")
    done = subprocess.run(
        [sys.executable, "-c", GEVENT, *server.contact_points],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == f"{[len(ROWS)] * 4} 0 0"
