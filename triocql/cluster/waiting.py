"""Waiting, in neutral coroutines: for something to happen or a time to come, whichever is first."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from triocql.abc import Reactor, Waiter
    from triocql.metadata.building import Steps

T = TypeVar("T")


def nothing() -> None:
    """Do nothing: the `on_cancel` of a wait that cleans up itself."""


async def until(reactor: Reactor, waiter: Waiter[T], when: float, otherwise: T) -> T:
    """Return what `waiter` is resolved with or, at `when` by the reactor's clock, `otherwise`. inf is no bound."""
    cancel = nothing if when == inf else reactor.call_at(when, lambda: waiter.resolve(otherwise))
    try:
        return await waiter.wait()
    finally:
        cancel()


async def sliced(reactor: Reactor, steps: Steps[T]) -> T:
    """Take all steps, let others run in between, and return what they build."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            built: T = end.value
            return built
        await reactor.sleep(0)


class Due:
    """When a task has something to do: it waits for that time, which others may bring forward.

    Attributes:
        when: the time, by the reactor's clock; inf while there is nothing to do.
    """

    def __init__(self, reactor: Reactor) -> None:
        self.when = inf
        self._reactor = reactor
        self._waiter: Waiter[None] | None = None

    @property
    def has_come(self) -> bool:
        """Whether there is something to do now."""
        return self.when <= self._reactor.now()

    def by(self, when: float) -> None:
        """Have something done at `when`, or before."""
        if when < self.when:
            self.when = when
            self.wake()

    def wake(self) -> None:
        """Have whoever waits look again."""
        if self._waiter is not None:
            self._waiter.resolve(None)

    async def pause(self) -> None:
        """Wait until the time has come, or has been brought forward. One task at a time."""
        self._waiter = waiter = self._reactor.waiter(nothing)
        try:
            await until(self._reactor, waiter, self.when, None)
        finally:
            self._waiter = None
