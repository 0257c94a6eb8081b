"""The execution log and its assertions."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.testserver.world import INSERT, SELECT, World
from triocql.session.session import Session
from triocql.testing.server import CqlServer, ErrorCode, Opcode, error, rows, void


def logged() -> CqlServer:
    world = World(2)
    world.server.when(SELECT).then(rows({"name": "text"}, [["Ann"]]))
    world.server.when(INSERT).then(void())
    world.server.when("SELECT 1").then(error(ErrorCode.WRITE_TIMEOUT))
    world.server.when("SELECT 2").then(error(ErrorCode.UNAVAILABLE))

    async def scenario(session: Session) -> None:
        for number in (1, 2, 2):
            await session.execute(INSERT, [number, "x"])
        await session.execute(SELECT, [1])
        for text in ("SELECT 1", "SELECT 2"):
            with pytest.raises(Exception, match="primed"):
                await session.execute(text, idempotent=False, timeout=5)

    world.run(scenario)
    return world.server


def test_what_ran() -> None:
    log = logged().log
    assert log.count() == 5
    assert log.count(INSERT) == 3
    assert log.count(INSERT, values=[2, "x"]) == 2
    assert log.count(re.compile("shop.users")) == 4
    assert log.count(INSERT, node=0) + log.count(INSERT, node=1) == 3
    assert log.count("SELECT 1") == 1
    assert log.count("SELECT 2") == 0
    assert not any(each.system for each in log)
    assert len(log.requests(Opcode.STARTUP)) == 3  # of two pools and the control connection


def test_assertions() -> None:
    log = logged().log
    log.assert_executed(INSERT)
    log.assert_executed(INSERT, times=3)
    log.assert_executed(INSERT, times=1, values=[1, "x"])
    log.assert_not_executed("SELECT 2")
    log.assert_at_most_once(SELECT)
    with pytest.raises(AssertionError, match=r"was executed 3 times, not 4 times; the last requests:(\n.*)+"):
        log.assert_executed(INSERT, times=4)
    with pytest.raises(AssertionError, match=r"'SELECT 2' was executed 0 times, not at least once"):
        log.assert_executed("SELECT 2")
    with pytest.raises(AssertionError, match=r"QUERY SELECT 2 \(not executed\)"):
        log.assert_executed(INSERT, values=[9, "x"])
    with pytest.raises(AssertionError, match="was executed 1 times, not 0"):
        log.assert_not_executed("SELECT 1")
    with pytest.raises(AssertionError, match=r"more than once with the same values: 'INSERT .*' \(2 times\)"):
        log.assert_at_most_once()
    log.clear()
    with pytest.raises(AssertionError, match="there was no request at all"):
        log.assert_executed()


def test_the_log_has_a_bound_and_says_when_it_has_forgotten_something() -> None:
    world = World(log_bytes=10 * 1100)
    log = world.server.log
    world.server.when("DELETE FROM t").then(void())

    async def scenario(session: Session) -> None:
        log.clear()
        for _ in range(8):
            await session.execute("DELETE FROM t")
        assert log.count("DELETE FROM t") == 8
        for _ in range(1000):
            await session.execute("DELETE FROM t")

    world.run(scenario)
    assert len(log._entries) == 10
    asked: list[Callable[[], object]] = [
        lambda: log.everything,
        lambda: list(log),
        lambda: len(log),
        lambda: log.count("DELETE FROM t"),
        lambda: log.requests(Opcode.QUERY),
        lambda: log.assert_not_executed("SELECT 2"),
        lambda: log.assert_at_most_once(),
    ]
    for ask in asked:
        with pytest.raises(
            RuntimeError, match=r"forgotten \d+ requests, as it keeps 11,000 bytes.*log_bytes"
        ):
            ask()
    log.clear()
    assert log.everything == []
    log.assert_not_executed("SELECT 2")


def test_a_single_request_is_kept_however_long_it_is() -> None:
    world = World(log_bytes=1)
    world.run(lambda session: session.execute("SELECT key FROM system.local"))
    with pytest.raises(RuntimeError, match="forgotten"):
        world.server.log.count()
    assert len(world.server.log._entries) == 1
