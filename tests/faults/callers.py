"""Tasks that each wait for a request, as those of an application do, and the loop's own way to cancel them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.faults.scene import Call, Scene
from triocql import Error
from triocql.reactors.stepping import Stepper, Task
from triocql.reactors.threadreactor import ThreadReactor
from triocql.statements.prepared import PreparedStatement
from triocql.testing.simulated import SimTask, SimulatedReactor

Main = Callable[[], Coroutine[Any, Any, None]]
Start = Callable[[Main], Callable[[], object]]
"""Runs an async function in a task and returns its cancel."""


class Caller(Call):
    """A task that waits for a request.

    Attributes:
        cancel: cancels the task as its loop does.
        begun: whether the task has begun; one that is cancelled before does nothing at all.
        over: whether the task has ended.
    """

    cancel: Callable[[], object]
    begun = over = False

    @property
    def value(self) -> Any:
        """The token that came back."""
        (result,) = self.outcomes
        return result.scalar()

    async def run(self, statement: PreparedStatement, timeout: float) -> None:
        """Execute the statement, and keep what comes of it."""
        self.begun = True
        try:
            self.resolve(
                await self.scene.session.execute(
                    statement, [self.token], timeout=timeout, idempotent=self.idempotent
                )
            )
        except Error as error:
            self.reject(error)
        except BaseException:
            self.abandoned = True
            raise
        finally:
            self.over = True


class Callers:
    """The callers of a block.

    Attributes:
        all: all of them.
        start: starts any other task in the block.
    """

    def __init__(self, scene: Scene, start: Start) -> None:
        self.all: list[Caller] = []
        self.start = start
        self._scene = scene

    def read(self, token: int, timeout: float = 10.0) -> Caller:
        """Start a task that SELECTs, and whose answer has to hold `token`."""
        return self._call(token, self._scene.select, True, timeout)

    def write(self, token: int, timeout: float = 10.0) -> Caller:
        """Start a task that INSERTs `token`; it is not idempotent."""
        return self._call(token, self._scene.insert, False, timeout)

    def _call(self, token: int, statement: PreparedStatement, reads: bool, timeout: float) -> Caller:
        caller = Caller(self._scene, token, reads=reads, idempotent=reads, timeout=timeout)
        self._scene.calls.append(caller)
        self.all.append(caller)
        caller.cancel = self.start(lambda: caller.run(statement, timeout))
        return caller

    async def begun(self) -> None:
        """Wait until all tasks have begun."""
        await self._scene.until(lambda: all(caller.begun for caller in self.all))

    async def ended(self) -> None:
        """Wait until all tasks have ended."""
        await self._scene.until(lambda: all(caller.over for caller in self.all))


@asynccontextmanager
async def callers(scene: Scene) -> AsyncIterator[Callers]:
    """Open a block of callers; it ends when all of them have ended."""
    async with _tasks(scene) as start:
        group = Callers(scene, start)
        yield group
        await group.ended()


@asynccontextmanager
async def _tasks(scene: Scene) -> AsyncIterator[Start]:
    """Return what starts tasks: of the loop that the session is in, not of the session, which ends its own."""
    reactor = scene.session._context.reactor
    if reactor.name == "trio":
        async with trio.open_nursery() as nursery:
            yield lambda fn: _start_on_trio(nursery, fn)
    elif reactor.name == "asyncio":
        async with asyncio.TaskGroup() as group:
            yield lambda fn: group.create_task(fn()).cancel
    elif isinstance(reactor, SimulatedReactor):
        tasks: list[SimTask[None]] = []
        yield lambda fn: _start_simulated(reactor, tasks, fn)
        for task in tasks:
            await task.wait()
            assert task.cancelled or task.result() is None
    else:
        assert isinstance(reactor, ThreadReactor)
        stepped = _OnThread(reactor.loop)
        yield stepped.start
        await scene.until(lambda: stepped.ended == stepped.started)
        assert stepped.errors == []


def _start_simulated(reactor: SimulatedReactor, tasks: list[SimTask[None]], fn: Main) -> Callable[[], object]:
    task = reactor.start(fn)
    tasks.append(task)
    return task.cancel


class _OnThread:
    """Tasks of a thread's loop."""

    def __init__(self, loop: Stepper) -> None:
        self.started = 0
        self.ended = 0
        self.errors: list[Exception] = []
        self._loop = loop

    def start(self, fn: Main) -> Callable[[], object]:
        task = Task(self._loop, fn, self._end)
        self.started += 1
        self._loop.soon(task.step)
        return task.cancel

    def _end(self, _value: None, error: BaseException | None) -> None:
        self.ended += 1
        if isinstance(error, Exception):
            self.errors.append(error)


def _start_on_trio(nursery: trio.Nursery, fn: Main) -> Callable[[], object]:
    scope = trio.CancelScope()

    async def run() -> None:
        with scope:
            await fn()

    nursery.start_soon(run)
    return scope.cancel
