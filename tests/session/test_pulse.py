"""A loop that stands still is seen from another thread."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import triocql.sync
from tests.cluster.world import World
from tests.session.loops import PATIENCE, Stage, run_on
from triocql.observability.health import Health
from triocql.testing.server import CqlServer

OFTEN = 0.05
"""Seconds of `heartbeat_timeout`, which is how often there is a look, too."""


def seen_standing_still(session: Any) -> Health:
    """Keep the caller, who is in the loop, until another thread sees it; return what it has seen."""
    seen: list[Health] = []

    def watch() -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            health = session.health()
            if health.tick_age > 0.25:
                seen.append(health)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    watcher.join()
    (health,) = seen
    return health


@pytest.mark.parametrize("loop", ["trio", "asyncio", "uvloop"])
def test_of_tasks(loop: str) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect(heartbeat_timeout=OFTEN) as session:
            health = seen_standing_still(session)
            assert health.is_open
            assert health.summary()["tick_age"] > 0.2
            await stage.until(lambda: session.health().tick_age < 0.2)

    run_on(loop, main)


def test_of_sessions_that_block() -> None:
    with (
        CqlServer(unprimed="echo") as server,
        triocql.sync.connect(server.contact_points, heartbeat_timeout=OFTEN) as session,
    ):
        seen: list[Health] = []
        future = session.execute_async("SELECT x")
        future.add_callback(lambda _: seen.append(seen_standing_still(session)))
        session.execute("SELECT y")
        assert seen[0].tick_age > 0.25


def test_a_loop_that_goes_round_is_no_older_than_heartbeats_are_apart() -> None:
    world = World()
    with world.session() as session:
        for _ in range(100):
            world.reactor.advance(0.7)
            assert 0.0 <= session.health().tick_age <= 5.0
