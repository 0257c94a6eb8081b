"""`Session.metrics` on every loop, and of programs that block."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import triocql.sync
from tests.session.loops import LOOPS, Stage, run_on
from triocql.observability.metrics import Metrics
from triocql.testing.server import CqlServer

EVERYWHERE = pytest.mark.parametrize("loop", LOOPS)
SCHEMA = "CREATE KEYSPACE shop; CREATE TABLE shop.users (id int PRIMARY KEY, name text)"
INSERT = "INSERT INTO shop.users (id) VALUES (?)"


def check(metrics: Metrics, count: int) -> None:
    inserts = metrics.durations(operation="INSERT", outcome="success")
    assert inserts.count == count
    assert inserts.sum >= 0
    together = metrics.all_nodes
    assert together.attempts["success"].count >= count
    assert together.attempts.keys() == {"success"}
    assert (together.in_flight, metrics.queued, metrics.waiting) == (0, 0, 0)
    assert together.bytes_sent > 0
    assert together.connections >= 1


@EVERYWHERE
def test_requests_and_connections_are_counted(loop: str) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect() as session:
            insert = await session.prepare("INSERT INTO t (k) VALUES (?)")
            await session.execute(insert, [1])
            await session.execute_concurrent_with_args(insert, [[n] for n in range(9)])
            check(session.metrics, 10)

    run_on(loop, main)


def test_of_a_session_that_blocks_from_any_thread_while_it_works() -> None:
    seen: list[Any] = []
    over = threading.Event()
    with CqlServer(schema=SCHEMA, unprimed="echo") as server:
        with triocql.sync.connect(server.contact_points) as session:

            def look() -> None:
                while not over.is_set():
                    seen.append(session.metrics.durations(operation="INSERT").count)

            insert = session.prepare(INSERT)
            watcher = threading.Thread(target=look)
            watcher.start()
            try:
                session.execute_concurrent_with_args(insert, [[n] for n in range(1000)])
            finally:
                over.set()
                watcher.join()
            check(session.metrics, 1000)
            assert seen == sorted(seen)
        assert session.metrics.durations(operation="INSERT").count == 1000
