"""What is raised as a step of the loop begins, or within it, such as a second Ctrl-C: the loop may be run on.

asyncio has taken such a step off its queue by then. It is made up for, so that the session goes on.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
import uvloop

from triocql.reactors import asyncioreactor, asynciotransport, asynciowaiter
from triocql.reactors.asyncioreactor import AsyncioReactor
from triocql.reactors.base import nothing

from .conftest import PATIENCE
from .peers import Peer, passed

pytestmark = pytest.mark.usefixtures("rings_often")

MODULES = tuple(f"{os.sep}{name}.py" for name in ("asynciotransport", "asynciowaiter", "test_lost_steps"))
STEPS = {"_flush", "flush", "_wake", "wake", "resume"}


@pytest.fixture
def rings_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncioreactor, "RING_EVERY", 0.005)


def losing(kind: Any) -> Any:
    """Return a kind of loop that raises before it calls the next function of a name, once."""

    class Losing(kind):  # type: ignore[misc]
        losing = ""

        def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
            return super().call_soon(self._losing(callback), *args, context=context)

        def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
            return super().call_at(when, self._losing(callback), *args, context=context)

        def _losing(self, callback: Callable[..., object]) -> Callable[..., object]:
            name = getattr(callback, "__name__", None)

            def call(*args: Any) -> None:
                if name == self.losing:
                    self.losing = ""
                    raise KeyboardInterrupt
                callback(*args)

            return callback if name is None else call

    return Losing


@pytest.mark.parametrize("kind", [asyncio.SelectorEventLoop, uvloop.Loop])
@pytest.mark.parametrize("step", ["_flush", "_wake", "_ring"])
def test_a_step_that_is_lost_as_it_begins_is_made_up_for(kind: type[Any], step: str) -> None:
    loop = losing(kind)()

    async def act() -> bytes:
        async with AsyncioReactor() as reactor:
            with Peer(reactor) as peer:
                link, _, sock = await peer.connect()
                loop.losing = step
                link.send(b"sent")
                sent = await peer.read(sock, 4)
                await passed(reactor, 0.001)
                return sent

    try:
        task = loop.create_task(act())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(task)
        assert not task.done()
        assert loop.run_until_complete(asyncio.wait_for(task, PATIENCE)) == b"sent"
    finally:
        loop.close()


def test_a_task_whose_end_was_told_to_nobody_holds_nothing_up() -> None:
    loop = losing(asyncio.SelectorEventLoop)()

    async def act() -> None:
        async with AsyncioReactor() as reactor:
            loop.losing = "_ended"
            reactor.spawn(reactor.sleep, 0)
            await passed(reactor, 0.01)

    try:
        task = loop.create_task(act())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(task)
        loop.call_later(PATIENCE, loop.stop)
        loop.run_until_complete(task)
    finally:
        loop.close()


class Raiser:
    """Raises in a step of the loop's, at the `at`-th moment in its block at which Python looks for signals."""

    def __init__(self, at: int) -> None:
        self.raised = False
        self._left = at

    def __enter__(self) -> Raiser:
        sys.setprofile(self._looked)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)

    def _looked(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event in ("call", "c_return") and code.co_name in STEPS and code.co_filename.endswith(MODULES):
            if not self._left:
                sys.setprofile(None)
                self.raised = True
                raise KeyboardInterrupt
            self._left -= 1


def run_on(loop: asyncio.AbstractEventLoop, at: int, is_done: Callable[[], bool]) -> bool:
    """Run a loop, and on once something was raised in a step; return whether that was."""

    async def until_done() -> None:
        while not is_done():  # noqa: ASYNC110 - there is nothing that would tell
            await asyncio.sleep(0)

    with Raiser(at) as raiser, suppress(KeyboardInterrupt):
        loop.run_until_complete(asyncio.wait_for(until_done(), PATIENCE))
    loop.run_until_complete(asyncio.wait_for(until_done(), PATIENCE))
    return raiser.raised


def moments(run: Callable[[int], bool]) -> int:
    """Run with something raised at the first moment, the second one, and so on; return how many there are."""
    at = 0
    while run(at):
        at += 1
    return at


class Flushed:
    def __init__(self) -> None:
        self.count = 0

    def flush(self) -> None:
        self.count += 1


def test_every_transport_is_flushed_whenever_something_is_raised() -> None:
    def run(at: int) -> bool:
        loop = asyncio.new_event_loop()
        transports = [Flushed() for _ in range(3)]
        try:
            flusher = asynciotransport.Flusher(loop)
            for transport in transports:
                flusher.flush_soon(transport)
            loop.call_later(0.001, flusher.resume)
            return run_on(loop, at, lambda: all(transport.count for transport in transports))
        finally:
            loop.close()

    assert moments(run) > 7


def test_every_task_is_woken_whenever_something_is_raised() -> None:
    def run(at: int) -> bool:
        loop = asyncio.new_event_loop()
        waker = asynciowaiter.Waker(loop, nothing, asyncioreactor._waiting)

        async def begin() -> list[tuple[asynciowaiter.AsyncioWaiter, asyncio.Task[Any]]]:
            waiters = [asynciowaiter.AsyncioWaiter(waker, nothing) for _ in range(3)]
            return [(waiter, asyncio.ensure_future(waiter.wait())) for waiter in waiters]

        try:
            waiters, tasks = zip(*loop.run_until_complete(begin()), strict=True)
            for number, waiter in enumerate(waiters):
                waiter.resolve(number)
            loop.call_later(0.001, waker.resume)
            raised = run_on(loop, at, lambda: all(task.done() for task in tasks))
            assert [task.result() for task in tasks] == [0, 1, 2]
            return raised
        finally:
            loop.close()

    assert moments(run) > 7
