"""The loops: every test that takes `run` runs on the four real ones, with `run_any` on the simulated one as well.

`run_hosted` is for what needs a loop of the program's own: on it AnyIO's scopes work, and Ctrl-C reaches it.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import pytest
import trio
import uvloop

from tests.files import open_files
from triocql.abc import Reactor
from triocql.reactors.asyncioreactor import AsyncioReactor
from triocql.reactors.threadloop import ThreadLoop
from triocql.reactors.threadreactor import ThreadReactor
from triocql.reactors.trioreactor import TrioReactor
from triocql.testing.simulated import SimulatedReactor

T = TypeVar("T")
Scenario = Callable[[Any], Awaitable[T]]
Run = Callable[[Scenario[T]], T]

PATIENCE = 60.0
"""Seconds after which a test that hangs fails."""


async def _inside(reactor: Reactor, scenario: Scenario[T]) -> T:
    async with reactor:
        return await scenario(reactor)


def run_on_trio(scenario: Scenario[T]) -> T:
    async def main() -> T:
        with trio.fail_after(PATIENCE):
            return await _inside(TrioReactor(), scenario)

    return trio.run(main)


async def _asyncio_main(scenario: Scenario[T]) -> T:
    async with asyncio.timeout(PATIENCE):
        return await _inside(AsyncioReactor(), scenario)


def run_on_asyncio(scenario: Scenario[T]) -> T:
    with asyncio.Runner() as runner:
        return runner.run(_asyncio_main(scenario))


def run_on_uvloop(scenario: Scenario[T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_asyncio_main(scenario))


def run_on_thread(scenario: Scenario[T]) -> T:
    loop = ThreadLoop()
    loop.start()
    impatient = threading.Timer(PATIENCE, loop.stop)
    impatient.start()
    try:
        return loop.run(_inside, ThreadReactor(), scenario)
    finally:
        impatient.cancel()
        loop.stop()
        loop.join()


HOSTED: dict[str, Run[Any]] = {"trio": run_on_trio, "asyncio": run_on_asyncio, "uvloop": run_on_uvloop}
BACKENDS: dict[str, Run[Any]] = {**HOSTED, "thread": run_on_thread}


def run_simulated(scenario: Scenario[T]) -> T:
    reactor = SimulatedReactor()
    result: T = reactor.run(_inside, reactor, scenario)
    assert not reactor.tasks
    return result


@functools.cache
def _warm(run: Run[Any]) -> None:
    """Have a loop make what it makes once a process, before open files are counted."""

    async def nothing(reactor: Reactor) -> None:
        await reactor.run_blocking(int)

    run(nothing)


def _checked(run: Run[Any]) -> Run[Any]:
    """Have `run` fail if a file descriptor is left open, or a warning comes up as garbage is collected."""
    _warm(run)

    def checked(scenario: Scenario[T]) -> T:
        before = open_files()
        try:
            return cast("T", run(scenario))
        finally:
            gc.collect()
            assert open_files() == before

    return checked


@pytest.fixture(params=BACKENDS)
def run(request: pytest.FixtureRequest) -> Run[Any]:
    """Run `await scenario(reactor)` in an entered reactor of a real loop; what it leaves open fails the test."""
    return _checked(BACKENDS[request.param])


@pytest.fixture(params=HOSTED)
def run_hosted(request: pytest.FixtureRequest) -> Run[Any]:
    """The same on the loops that a program runs itself."""
    return _checked(HOSTED[request.param])


@pytest.fixture(params=[*BACKENDS, "simulated"])
def run_any(request: pytest.FixtureRequest) -> Run[Any]:
    """The same on every reactor."""
    return run_simulated if request.param == "simulated" else _checked(BACKENDS[request.param])
