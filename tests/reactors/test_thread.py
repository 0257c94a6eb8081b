"""The loop in a thread: its callers in other threads, cancellation, its end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from triocql.abc import Address
from triocql.errors import SessionClosed, UsageError
from triocql.reactors import dial
from triocql.reactors.base import nothing
from triocql.reactors.stepping import Cancelled
from triocql.reactors.threadloop import ThreadLoop, running_thread_loop
from triocql.reactors.threadreactor import ThreadReactor

from .conftest import run_on_thread
from .peers import Peer, RecordingLink, black_hole, ticks


@pytest.fixture
def loop() -> Iterator[ThreadLoop]:
    loop = ThreadLoop()
    loop.start()
    yield loop
    loop.stop()
    loop.join(60)
    assert loop.ended


async def cancelled_after(reactor: Any, turns: int, fn: Callable[[], Awaitable[object]]) -> list[str]:
    """Run `fn` in a task that is cancelled after some turns; say how it ended."""
    log: list[str] = []
    ended = reactor.waiter(nothing)

    async def task() -> None:
        try:
            await fn()
            log.append("done")
        except Cancelled:
            log.append("cancelled")
            raise
        finally:
            ended.resolve(None)

    cancel = reactor.spawn(task)
    await ticks(reactor, turns)
    cancel()
    await ended.wait()
    return log


# --- Callers ------------------------------------------------------------------------------------------------------


def test_run(loop: ThreadLoop) -> None:
    async def main(number: int) -> int:
        assert running_thread_loop() is loop
        return number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda number: loop.run(main, number), range(500))) == list(range(500))
    assert running_thread_loop() is None


def test_errors_reach_the_caller(loop: ThreadLoop) -> None:
    async def failing(error: BaseException) -> None:
        raise error

    for error in (KeyError("mine"), SystemExit(3), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            loop.run(failing, error)
        assert caught.value is error
    with pytest.raises(SessionClosed):
        loop.run(failing, Cancelled())


def test_not_from_its_own_thread(loop: ThreadLoop) -> None:
    async def main() -> None:
        loop.run(main)

    with pytest.raises(UsageError, match="was made in the thread that does its work"):
        loop.run(main)


def test_wake_ups_are_never_lost(loop: ThreadLoop) -> None:
    called: list[int] = []
    done = threading.Event()
    for number in range(5000):
        loop.post(lambda number=number: called.append(number))  # type: ignore[misc]
    loop.post(done.set)
    assert done.wait(60)
    assert called == list(range(5000))


def test_a_reactor_works_in_a_loop_only() -> None:
    with pytest.raises(RuntimeError, match="in the thread of a ThreadLoop"):
        ThreadReactor().__aenter__().send(None)


# --- Cancellation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(1, 12))
def test_connect_cancelled(turns: int) -> None:
    async def scenario(reactor: Any) -> None:
        with black_hole() as address:
            link = RecordingLink(reactor)
            assert await cancelled_after(
                reactor, turns, lambda: reactor.connect(address, link, timeout=60)
            ) == ["cancelled"]
            assert link.events == []

    run_on_thread(scenario)


def test_resolving_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread is left behind; nobody waits for it."""
    release, left = threading.Event(), threading.Event()

    def slow(address: Address, flags: int) -> list[dial.Target]:
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        release.wait(10)
        left.set()
        return []

    async def scenario(reactor: Any) -> None:
        def connect() -> Awaitable[object]:
            return reactor.connect(Address("db.example", 1), RecordingLink(reactor), timeout=60)  # type: ignore[no-any-return]

        assert await cancelled_after(reactor, 10, connect) == ["cancelled"]

    monkeypatch.setattr(dial, "_getaddrinfo", slow)
    run_on_thread(scenario)
    release.set()
    assert left.wait(60)


def test_blocking_work_cancelled() -> None:
    release = threading.Event()

    async def scenario(reactor: Any) -> None:
        def work() -> Awaitable[object]:
            return reactor.run_blocking(release.wait, 10)  # type: ignore[no-any-return]

        assert await cancelled_after(reactor, 3, work) == ["cancelled"]

    run_on_thread(scenario)
    release.set()


@pytest.mark.parametrize("turns", range(8))
def test_a_reactor_cancelled(turns: int) -> None:
    """In its block, and while it is being left."""

    async def scenario(reactor: Any) -> None:
        links: list[RecordingLink] = []

        async def block() -> None:
            async with ThreadReactor() as inner:
                links.append(RecordingLink(inner))
                transport = await inner.connect(peer.address, links[0], timeout=10)
                links[0].send(bytes(1 << 24))
                await ticks(inner, 3)
                transport.close()

        with Peer(reactor) as peer:
            assert await cancelled_after(reactor, 5 + turns, block) == ["cancelled"]
            assert all(link.losses in ([], [None]) for link in links)

    run_on_thread(scenario)


def test_a_task_that_cancels_itself() -> None:
    async def scenario(reactor: Any) -> None:
        log: list[str] = []

        async def task() -> None:
            cancel()
            log.append("still running")
            try:
                await reactor.sleep(60)
            finally:
                log.append("ended")

        cancel = reactor.spawn(task)
        await ticks(reactor)
        assert log == ["still running", "ended"]

    run_on_thread(scenario)


def test_entered_and_left_in_different_tasks(loop: ThreadLoop) -> None:
    reactor = ThreadReactor()
    loop.run(reactor.__aenter__)
    link = RecordingLink(reactor)

    async def connect() -> None:
        await reactor.connect(peer.address, link, timeout=10)

    with Peer(reactor) as peer:
        loop.run(connect)
        loop.run(reactor.__aexit__, None, None, None)
    assert link.losses == [None]


def test_own_exception_leaves_unwrapped(loop: ThreadLoop) -> None:
    async def main() -> None:
        async with ThreadReactor() as reactor:
            reactor.spawn(reactor.sleep, 60)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        loop.run(main)


# --- The end ------------------------------------------------------------------------------------------------------


def test_the_end_ends_everything() -> None:
    loop = ThreadLoop()
    loop.start()
    reactor = ThreadReactor()
    log: list[str] = []

    async def stubborn() -> None:
        try:
            await reactor.sleep(60)
        finally:
            log.append("cancelled")
            await reactor.sleep(0)
            log.append("went on")

    async def start() -> None:
        await reactor.__aenter__()
        reactor.spawn(stubborn)

    loop.run(start)
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(loop.run, reactor.sleep, 60) for _ in range(3)]
        loop.run(reactor.sleep, 0.01)
        loop.stop()
        loop.stop()
        loop.join()
        for each in waiting:
            assert isinstance(each.exception(10), SessionClosed)
    assert log == ["cancelled", "went on"]
    with pytest.raises(SessionClosed):
        loop.run(reactor.sleep, 0)


def test_calls_while_it_ends() -> None:
    """Whoever comes too late is refused or told; nobody waits for ever."""

    async def nothing_much() -> int:
        return 1

    def work(loop: ThreadLoop, outcomes: list[int]) -> None:
        while True:
            try:
                outcomes.append(loop.run(nothing_much))
            except SessionClosed:
                return

    for _ in range(20):
        loop = ThreadLoop()
        loop.start()
        outcomes: list[int] = []
        callers = [threading.Thread(target=work, args=(loop, outcomes)) for _ in range(4)]
        for caller in callers:
            caller.start()
        loop.run(nothing_much)
        loop.stop()
        for caller in callers:
            caller.join(60)
            assert not caller.is_alive()
        loop.join()
