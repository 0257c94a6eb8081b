"""What belongs to one loop alone: Trio's mock clock, checkpoints and system tasks, asyncio's debug mode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

from triocql.abc import Reactor
from triocql.reactors.asyncioreactor import AsyncioReactor
from triocql.reactors.base import nothing
from triocql.reactors.threadreactor import ThreadReactor
from triocql.reactors.trioreactor import TrioReactor

from .conftest import Run
from .peers import Peer, RecordingLink
from .test_connect import echo_once


def test_reactors_keep_the_contract() -> None:
    reactors: list[Reactor] = [TrioReactor(), AsyncioReactor(), ThreadReactor()]
    assert [reactor.name for reactor in reactors] == ["trio", "asyncio", "thread"]


def test_trio_mock_clock() -> None:
    async def main() -> list[float]:
        start, fired = trio.current_time(), []
        async with TrioReactor() as reactor:
            for seconds in (3600, 60):
                reactor.call_at(start + seconds, lambda: fired.append(reactor.now() - start))
            await reactor.sleep(7200)
        return fired

    clock = trio.testing.MockClock(autojump_threshold=0)
    assert trio.run(main, clock=clock) == pytest.approx([60, 3600])


def test_trio_checkpoints() -> None:
    async def main() -> None:
        async with TrioReactor() as reactor:
            resolved: Any = reactor.waiter(nothing)
            resolved.resolve(1)
            rejected: Any = reactor.waiter(nothing)
            rejected.reject(KeyError())
            with trio.testing.assert_checkpoints():
                await resolved.wait()
            with pytest.raises(KeyError), trio.testing.assert_checkpoints():
                await rejected.wait()
            with trio.testing.assert_checkpoints():
                await reactor.sleep(0)

    trio.run(main)


@pytest.fixture
async def trio_reactor() -> AsyncIterator[TrioReactor]:
    async with TrioReactor() as reactor:
        yield reactor


@pytest.mark.trio
async def test_in_a_fixture_of_pytest_trio(trio_reactor: TrioReactor) -> None:
    with Peer(trio_reactor) as peer:
        await echo_once(peer)


def test_trio_program_that_never_leaves() -> None:
    links: list[RecordingLink] = []

    async def main() -> None:
        reactor = await TrioReactor().__aenter__()
        with Peer(reactor) as peer:
            link, _, _ = await peer.connect()
            links.append(link)

    trio.run(main)
    assert links[0].losses == [None]


def test_asyncio_debug_mode() -> None:
    async def main() -> None:
        async with AsyncioReactor() as reactor:
            with Peer(reactor) as peer:
                await echo_once(peer)

    with asyncio.Runner(debug=True) as runner:
        runner.run(main())


def test_two_reactors_in_one_loop(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        async with type(reactor)() as second:
            with Peer(reactor) as peer, Peer(second) as other:
                await echo_once(peer)
                await echo_once(other)

    run(scenario)
