"""Waiters on asyncio and uvloop: tasks take them for futures; those that are resolved together are woken at once."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from triocql.errors import UsageError
from triocql.reactors.asyncioreactor import AsyncioReactor
from triocql.reactors.base import nothing

from .conftest import Run, run_on_asyncio, run_on_uvloop
from .peers import ticks

on_both = pytest.mark.parametrize("run", [run_on_asyncio, run_on_uvloop], ids=["asyncio", "uvloop"])


async def waiting(reactor: Any, count: int, then: Callable[[int], object]) -> tuple[list[Any], list[Any]]:
    """Return waiters, and the tasks that wait for them and call `then` with their numbers."""
    waiters = [reactor.waiter(nothing) for _ in range(count)]

    async def wait(number: int) -> None:
        await waiters[number].wait()
        then(number)

    tasks = [asyncio.ensure_future(wait(number)) for number in range(count)]
    await asyncio.sleep(0)
    return waiters, tasks


def test_those_that_are_resolved_together_are_woken_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(reactor: Any) -> None:
        woken: list[int] = []
        waiters, tasks = await waiting(reactor, 50, woken.append)
        loop, steps = asyncio.get_running_loop(), list[object]()
        call_soon = loop.call_soon

        def counted(fn: Any, *args: Any, context: Any = None) -> asyncio.Handle:
            steps.append(fn)
            return call_soon(fn, *args, context=context)

        monkeypatch.setattr(loop, "call_soon", counted)
        for waiter in reversed(waiters):
            waiter.resolve(None)
        assert len(steps) == 1
        monkeypatch.undo()
        await asyncio.gather(*tasks)
        assert woken == list(reversed(range(50)))

    run_on_asyncio(scenario)


@on_both
def test_each_is_woken_in_the_context_of_its_task(run: Run[None]) -> None:
    number: contextvars.ContextVar[int] = contextvars.ContextVar("number")

    async def scenario(reactor: Any) -> None:
        seen: dict[int, int] = {}
        waiters, tasks = await waiting(reactor, 3, lambda index: seen.setdefault(index, number.get()))
        assert not tasks[0].done()
        number.set(-1)  # of the one who resolves: it is nobody else's
        for waiter in waiters:
            waiter.resolve(None)
        with pytest.raises(LookupError):
            await tasks[0]
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not seen

    run(scenario)


@on_both
def test_what_a_woken_task_resolves_or_cancels_is_woken_after_it(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        woken: list[int] = []

        def then(number: int) -> None:
            woken.append(number)
            if number == 0:
                waiters[2].resolve(None)
                tasks[1].cancel("by the first")

        waiters, tasks = await waiting(reactor, 4, then)
        waiters[0].resolve(None)
        waiters[1].resolve(None)  # in the same batch as the one that cancels it
        outcomes = await asyncio.gather(*tasks[:3], return_exceptions=True)
        assert woken == [0, 2]
        assert isinstance(outcomes[1], asyncio.CancelledError)
        tasks[3].cancel("by the test")
        with pytest.raises(asyncio.CancelledError, match="by the test"):
            await tasks[3]

    run(scenario)


def test_a_task_that_ends_the_loop_keeps_nobody_from_being_woken() -> None:
    """`SystemExit` leaves the loop in the midst of a batch; a program may run the loop on, to clean up."""
    loop, woken = asyncio.new_event_loop(), list[int]()
    reactor = AsyncioReactor()

    def then(number: int) -> None:
        woken.append(number)
        if number == 1:
            raise SystemExit(number)

    async def begin() -> tuple[list[Any], list[Any]]:
        await reactor.__aenter__()
        return await waiting(reactor, 4, then)

    async def resolve(waiters: list[Any]) -> None:
        for waiter in waiters:
            waiter.resolve(None)
        await asyncio.sleep(60)

    try:
        waiters, tasks = loop.run_until_complete(begin())
        with pytest.raises(SystemExit):
            loop.run_until_complete(resolve(waiters))
        loop.run_until_complete(ticks(reactor))
        assert woken == [0, 1, 2, 3]
        assert isinstance(tasks[1].exception(), SystemExit)
        loop.run_until_complete(reactor.__aexit__(None, None, None))
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()


@on_both
def test_a_waiter_is_made_in_its_loop_only(run: Run[None]) -> None:
    async def scenario(reactor: Any) -> None:
        raised: list[BaseException] = []

        def make() -> None:
            try:
                reactor.waiter(nothing)
            except UsageError as error:
                raised.append(error)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        other = threading.Thread(target=asyncio.run, args=(_calling(make),))
        other.start()
        other.join()
        assert len(raised) == 2

    run(scenario)
    with pytest.raises(RuntimeError, match="not running"):
        AsyncioReactor().waiter(nothing)


async def _calling(fn: Callable[[], None]) -> None:
    fn()


def test_the_clock_is_that_of_the_loop() -> None:
    class Later(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return super().time() + 1e6

    async def main() -> None:
        async with AsyncioReactor() as reactor:
            assert abs(reactor.now() - asyncio.get_running_loop().time()) < 60

    for factory in (Later, asyncio.SelectorEventLoop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())
