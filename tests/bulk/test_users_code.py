"""What code of the user's does in the midst of a scan: it ends the scan, or not; never is a range left out, or waited
for in vain."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.bulk.table import Shop, read
from tests.bulk.test_failures import TIMEOUT
from triocql import Session
from triocql.errors import BindValueError, SessionClosed


class Raising:
    """A codec that raises for one value, for which it is called twice where the place is to be told of."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error
        self.calls = self.at = 0

    def encode(self, value: str) -> str:
        self.calls += 1
        if 0 < self.at <= self.calls <= self.at + 1:
            raise self.error("of the user")
        return value

    def decode(self, value: str) -> str:
        return value


@pytest.mark.parametrize("divided", [False, True], ids=["ranges that begin", "ranges that are divided"])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_codec_that_raises_while_a_condition_is_bound_for_another_range_ends_the_scan(
    error: type[BaseException], ordered: bool, divided: bool
) -> None:
    shop = Shop(partitions=60, size=2)
    codec = Raising(error)

    async def scan(session: Session) -> list[tuple[int, int, str]]:
        return await read(
            session,
            where="n >= ?",
            parameters=[0],
            allow_filtering=True,
            page_size=5,
            tasks=1 if divided else 24,
            concurrency_per_node=1,
            ordered=ordered,
        )

    with shop.session() as session:
        session.codecs.register_column("shop", "events", "n", codec)
        for at in range(13):
            if divided:
                shop.table.fail(shop.table.token(7), TIMEOUT, times=8)
            codec.calls, codec.at = 0, at
            try:
                found = shop.call(scan, session)
            except (BindValueError, KeyboardInterrupt):
                assert codec.calls >= codec.at > 0
            else:
                assert sorted(found) == shop.rows
                assert codec.calls < codec.at or not codec.at
        assert codec.calls > 3


class Ending:
    """A tracker that ends the session when it is told of the end of a request."""

    def __init__(self) -> None:
        self.left = 0
        self.end: Callable[[], object] = list

    def start(self, request: Any) -> int:
        return 1

    def attempt(self, *told: Any) -> None:
        """Do nothing."""

    retry = attempt

    def finish(self, token: int, error: BaseException | None) -> None:
        self.left -= 1
        if self.left == 0:
            self.end()


@pytest.mark.parametrize("ordered", [False, True])
def test_a_tracker_that_ends_the_session_with_a_page_ends_the_scan(
    ordered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The page comes after that, and others were told of the end before."""
    for at in (2, 5, 6, 7, 8):
        tracker = Ending()
        shop = Shop(partitions=60, size=2, tracker=tracker)
        with shop.session() as session:
            tracker.left, tracker.end = at, session._context.cluster.close
            with pytest.raises(SessionClosed):
                shop.call(read, session, page_size=5, tasks=12, ordered=ordered)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
