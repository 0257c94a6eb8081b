"""Programs of AnyIO, on both of its backends: its scopes around everything that waits."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from triocql.reactors import select
from triocql.reactors.base import nothing

from .peers import Peer, RecordingLink, black_hole

pytestmark = pytest.mark.anyio


async def test_scope_around_everything_that_waits() -> None:
    calls: list[str] = []
    async with select() as reactor:
        with black_hole() as address:
            awaitables: list[Any] = [
                lambda: reactor.sleep(60),
                lambda: reactor.waiter(lambda: calls.append("on_cancel")).wait(),
                lambda: reactor.connect(address, RecordingLink(reactor), timeout=60),
            ]
            for awaitable in awaitables:
                for seconds in (0, 0.01):
                    with anyio.move_on_after(seconds) as scope:
                        await awaitable()
                    assert scope.cancelled_caught
    assert calls == ["on_cancel"] * 2


async def test_whole_reactor_in_a_cancelled_task_group() -> None:
    link: RecordingLink | None = None
    async with anyio.create_task_group() as group:

        async def task() -> None:
            nonlocal link
            async with select() as reactor:
                with Peer(reactor) as peer:
                    link = RecordingLink(reactor)
                    await reactor.connect(peer.address, link, timeout=10)
                    group.cancel_scope.cancel()
                    await reactor.sleep(60)

        group.start_soon(task)
    assert link is not None
    assert link.losses == [None]


async def test_many_requests_some_cancelled() -> None:
    """Echoes under scopes that end at any time: what is not cancelled gets its own answer."""
    async with select() as reactor:
        with Peer(reactor) as peer:
            link, _, sock = await peer.connect()
            answers: list[int] = []

            async def request(number: int) -> None:
                waiter = reactor.waiter(nothing)
                reactor.call_at(reactor.now() + number % 5 / 1000, lambda: waiter.resolve(number))
                link.send(b"%4d" % number)
                with anyio.move_on_after((0, 0.002, math.inf)[number % 3]):
                    assert await waiter.wait() == number
                    answers.append(number)

            async with anyio.create_task_group() as group:
                for number in range(100):
                    group.start_soon(request, number)
            sent = await peer.read(sock, 400)
            assert sorted(sent[i : i + 4] for i in range(0, 400, 4)) == [b"%4d" % n for n in range(100)]
            assert set(range(2, 100, 3)) <= set(answers)


async def test_shielded_close() -> None:
    async with select() as reactor:
        with Peer(reactor) as peer:
            link, transport, sock = await peer.connect()
            with anyio.CancelScope() as scope:
                scope.cancel()
                link.send(b"bye")
                transport.close()
                with anyio.CancelScope(shield=True):
                    await link.until_lost()
            assert await peer.read(sock, 4) == b"bye"
