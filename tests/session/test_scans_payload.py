"""Scans whose custom payload a function of the user's makes, for each page: what it raises ends the scan alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import trio

import triocql
from tests.session.test_scans import ROWS, SCHEMA
from triocql.session.session import Session
from triocql.testing.server import CqlServer


class Raising:
    """Makes payloads, until it raises, once."""

    def __init__(self, error: type[BaseException]) -> None:
        self.calls = 0
        self.at = 0
        self._error = error

    def __call__(self) -> dict[str, bytes | None]:
        self.calls += 1
        if self.calls == self.at:
            raise self._error("of the user")
        return {"call": b"%d" % self.calls}

    def begin(self, at: int) -> None:
        self.calls, self.at = 0, at


async def read(session: Session, how: str) -> None:
    if how == "count":
        await session.scan("shop.events", tasks=8).count()
        return
    async with session.scan("shop.events", page_size=10, tasks=4, ordered=how == "ordered") as scan:
        assert sorted([tuple(row) async for row in scan.rows()]) == ROWS


async def play(error: type[BaseException], how: str) -> None:
    payload = Raising(error)
    async with CqlServer(2, num_tokens=3, schema=SCHEMA) as server:
        server.serve_table("shop.events", ROWS)
        async with triocql.connect(
            server.contact_points, connections_local=1, custom_payload=payload
        ) as session:
            await read(session, how)
            calls = payload.calls
            assert calls >= 8
            for at in (1, 2, 5, calls - 2):
                payload.begin(at)
                raised: BaseException | None = None
                try:
                    await read(session, how)
                except error as caught:
                    raised = caught
                assert raised is not None or payload.calls < at
                assert session.stats().queued == 0
            await read(session, how)


@pytest.mark.parametrize("how", ["ordered", "any order", "count"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("run", [trio.run, lambda fn, *args: asyncio.run(fn(*args))], ids=["trio", "asyncio"])
def test_a_payload_that_cannot_be_made_ends_the_scan_and_nothing_else(
    run: Callable[..., None], error: type[BaseException], how: str
) -> None:
    run(play, error, how)
