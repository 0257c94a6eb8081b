"""The loop below the simulated reactor: virtual time, tasks, and an order that a seed decides; no connections yet."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from random import Random
from typing import Any, ParamSpec, TypeVar

from triocql.reactors.base import Abortable, ReactorBase, nothing
from triocql.reactors.stepping import Task
from triocql.reactors.timers import Timers

from .simtasks import SimTask, SimWaiter

T = TypeVar("T")
P = ParamSpec("P")
TransportT = TypeVar("TransportT", bound=Abortable)


class Deadlock(RuntimeError):
    """Nothing can run any more, and no timer is left; the message names the tasks and where they wait."""


def _name(fn: Callable[..., object]) -> str:
    return str(getattr(fn, "__qualname__", fn))


class SimLoop(ReactorBase[TransportT]):
    """A virtual clock, and the tasks that go by it.

    Attributes:
        random: decides whatever is left open: the order of what is ready at one time.
        level: whether a cancelled task is cancelled at every checkpoint from then on.
        current: the task that is being stepped.
        tasks: those that have begun and not ended.
    """

    def __init__(self, seed: int, *, level: bool) -> None:
        super().__init__()
        self.random = Random(seed)  # noqa: S311 - repeatable on purpose
        self.level = level
        self.current: Task[Any] | None = None
        self.tasks: set[SimTask[Any]] = set()
        self._background: set[SimTask[Any]] = set()
        self._ready: list[Callable[[], None]] = []
        self._timers = Timers()
        self._now = 0.0

    # --- Running -------------------------------------------------------------------------------------------

    def run(self, fn: Callable[..., Coroutine[Any, Any, T]], *args: Any, limit: float = 86_400.0) -> T:
        """Run `await fn(*args)` to its end and return its result.

        Other tasks stay where they are then.

        Raises:
            Deadlock: nothing can run, or `limit` virtual seconds have passed.
        """
        main = self.start(fn, *args)
        end = self._now + limit
        while not main.done:
            self._turn(main, end)
        return main.result()

    def settle(self) -> None:
        """Run all that can run now, without letting time pass."""
        while self._ready or self._timers.next_due() <= self._now:
            self._run_ready()

    def advance(self, seconds: float) -> None:
        """Let virtual time pass, and run all that can run meanwhile."""
        end = self._now + seconds
        self.settle()
        while (due := self._timers.next_due()) <= end:
            self._now = max(due, self._now)
            self.settle()
        self._now = end

    def start(
        self,
        fn: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        name: str | None = None,
        cancel_at_checkpoint: int | None = None,
    ) -> SimTask[T]:
        """Start a task; with `cancel_at_checkpoint=n` it is cancelled when suspended for the n-th time, from 0."""
        task = SimTask(self, partial(fn, *args), name or _name(fn), cancel_at_checkpoint)
        self.soon(task.step)
        return task

    def current_task(self) -> SimTask[Any]:
        """Return the task that runs."""
        task = self.current
        if task is None:
            raise RuntimeError("not in a task of the simulated reactor")
        assert isinstance(task, SimTask)
        return task

    def soon(self, fn: Callable[[], None]) -> None:
        """Call `fn` in the next turn. The functions of one turn are called in an order that the seed decides."""
        self._ready.append(fn)

    def remember(self, task: Task[Any]) -> None:
        """Called when a task begins."""
        assert isinstance(task, SimTask)
        self.tasks.add(task)

    def forget(self, task: Task[Any]) -> None:
        """Called when a task has ended."""
        assert isinstance(task, SimTask)
        self.tasks.discard(task)
        self._background.discard(task)

    def _turn(self, main: SimTask[Any], end: float) -> None:
        if not self._ready:
            due = self._timers.next_due()
            if due == math.inf:
                raise Deadlock(f"nothing can run any more at {self._now:g} s\n{self._waiting()}")
            if due > end:
                raise Deadlock(f"{main.name} has not ended by {end:g} s\n{self._waiting()}")
            self._now = max(self._now, due)
        self._run_ready()

    def _run_ready(self) -> None:
        for fn in self._timers.pop_due(self._now):
            self.guard(fn)
        ready, self._ready = self._ready, []
        self.random.shuffle(ready)
        for fn in ready:
            fn()

    def _waiting(self) -> str:
        return "\n".join(sorted(f"  {task.name} waits {task.where()}" for task in self.tasks))

    # --- The contract, but for connections -----------------------------------------------------------------

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def waiter(self, on_cancel: Callable[[], None]) -> SimWaiter:
        """Make a waiter."""
        return SimWaiter(self, on_cancel)

    def call_at(self, when: float, fn: Callable[[], None]) -> Callable[[], None]:
        """Call `fn` once at `when`; returns its cancel."""
        return self._timers.add(when, fn)

    def spawn(self, fn: Callable[..., Awaitable[None]], *args: Any) -> Callable[[], None]:
        """Run `await fn(*args)` in the background; returns its cancel."""
        task = self.start(partial(self.run_background, fn, args), name=_name(fn))
        self._background.add(task)
        return task.cancel

    def protect(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Return `fn` as it is."""
        return fn

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` of virtual time pass."""
        waiter = self.waiter(nothing)
        cancel = self.call_at(self._now + max(seconds, 0), lambda: waiter.resolve(None))
        try:
            await waiter.wait()
        finally:
            cancel()

    async def outlast(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Await `wait()` to its end; a cancellation of the caller comes at its next checkpoint."""
        task = self.current_task()
        task.shield(1)
        try:
            await wait()
        finally:
            task.shield(-1)

    async def run_blocking(self, fn: Callable[..., T], *args: Any) -> T:
        """Call the function at once: nothing blocks virtual time."""
        await self.sleep(0)
        return fn(*args)
