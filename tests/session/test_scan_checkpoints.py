"""Scans, cancelled at each of their checkpoints, on every loop: nothing of them is left, and the session is as good as
new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
import trio

import triocql
from tests.bulk.table import NAME, Shop
from tests.session.loops import AsyncioStage, Stage, Stepped, TrioStage
from tests.session.test_scans import ROWS, SCHEMA
from triocql.errors import ScanIncomplete
from triocql.session.session import Session
from triocql.testing.server import CqlServer, ErrorCode, error

Scenario = Callable[[Session], Coroutine[Any, Any, None]]
TIMEOUT = error(ErrorCode.READ_TIMEOUT, received=0, required=1, data_present=0)


async def batches(session: Session) -> None:
    async with session.scan(NAME, page_size=20, tasks=4) as scan:
        async for batch in scan:
            batch.rows()


async def rows(session: Session) -> None:
    async with session.scan(NAME, page_size=20, tasks=4, ordered=True) as scan:
        async for _ in scan.rows():
            pass


async def arrow(session: Session) -> None:
    await session.scan(NAME, page_size=20, tasks=4).arrow()


async def counting(session: Session) -> None:
    await session.scan(NAME).count()


async def parts(session: Session) -> None:
    async with session.scan(NAME, page_size=20).parts(restart=True) as pieces:
        async for _ in pieces:
            pass


SCENARIOS = [batches, rows, arrow, counting, parts]


def left(session: Session) -> list[Any]:
    """Return what is under way: of requests, those that were abandoned excepted, and what waits."""
    stats = session.stats()
    return [each for each in (stats.in_flight, stats.queued) if each]


async def cancelled_in_turn(stage: Stage, session: Session, scenario: Scenario) -> int:
    """Cancel the scenario at its first suspension, its second, ... until it ends before; return how many it had."""
    for number in count():
        stepped = Stepped(scenario(session), number)
        cancelled = await stage.cancelling(stepped)
        await stage.until(lambda: not left(session))  # a PREPARE goes on: it is everybody's
        if not cancelled:
            return number
    raise AssertionError


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(("partitions", "most"), [(12, 15), pytest.param(30, 60, marks=pytest.mark.long)])
def test_on_virtual_time(scenario: Scenario, fails: bool, level: bool, partitions: int, most: int) -> None:
    """Where partitions fail, at so many suspensions at most: the rest is trying again."""
    shop = Shop(partitions=partitions, size=5, level=level)
    if fails:
        shop.table.fail(shop.table.token(7), TIMEOUT, times=1_000)
    with shop.session() as session:
        for number in range(most if fails else 10_000):
            cancelled = interrupted(shop, scenario(session), number)
            shop.reactor.advance(0.01)  # what was written arrives
            requests = len(shop.pages())
            shop.reactor.advance(10.0)
            assert len(shop.pages()) == requests
            assert not left(session)
            if not cancelled:
                break
        assert number > 3
        shop.table.heal()
        shop.call(scenario, session)


def interrupted(shop: Shop, coroutine: Coroutine[Any, Any, None], number: int) -> bool:
    """Cancel a coroutine at its `number`-th suspension; return whether it had so many."""
    stepped = Stepped(coroutine, number)

    async def run() -> None:
        with suppress(ScanIncomplete):
            await stepped

    task = shop.reactor.start(run)
    stepped.cancel = task.cancel
    shop.reactor.run(task.wait)
    if not task.cancelled:
        task.result()
    return task.cancelled


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_on_each_loop(loop: str, scenario: Scenario) -> None:
    async def play(make: Callable[..., Stage]) -> None:
        async with CqlServer(2, num_tokens=2, schema=SCHEMA) as server:
            server.serve_table(NAME, ROWS)
            async with triocql.connect(server.contact_points, connections_local=1) as session:
                stage = make(None, None)
                assert await cancelled_in_turn(stage, session, scenario) > 3
                await scenario(session)

    if loop == "trio":
        trio.run(play, TrioStage)
    else:
        asyncio.run(play(AsyncioStage))
