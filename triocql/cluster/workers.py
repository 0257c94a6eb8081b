"""Steps of users' code that block, such as those of an authenticator: each in a thread, until a deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from triocql.abc import Reactor, Waiter
from triocql.cluster.waiting import nothing
from triocql.errors import ConnectError

T = TypeVar("T")

_MOST = 16
"""How many steps may be under way, those included that nobody waits for any more."""


class Workers:
    """Runs steps in threads. One that does not come back holds nobody up: whoever waited goes on at the deadline, or
    when cancelled, and its thread is abandoned. If there are very many of those, no more steps are begun.

    Args:
        whose: what the steps are of, for messages.
    """

    def __init__(self, reactor: Reactor, whose: str = "the authenticator") -> None:
        self._reactor = reactor
        self._whose = whose
        self._running: set[object] = set()  # the threads add and discard themselves, which takes no lock

    async def run(self, step: Callable[[], T], deadline: float) -> T:
        """Return what `step()` returns, or raise what it raises.

        Raises TimeoutError at `deadline`, by the reactor's clock, and ConnectError if too many steps hang.
        """
        if len(self._running) >= _MOST:
            raise ConnectError(f"{len(self._running)} steps of {self._whose} have begun and do not come back")
        waiter: Waiter[T] = self._reactor.waiter(nothing)
        cancels = (
            self._reactor.spawn(self._work, iter((step,)), waiter),
            self._reactor.call_at(deadline, lambda: waiter.reject(TimeoutError("a step took too long"))),
        )
        try:
            return await waiter.wait()
        finally:
            for cancel in cancels:
                cancel()

    async def _work(self, steps: Iterator[Callable[[], Any]], waiter: Waiter[Any]) -> None:
        """Run the step once: a task that was cancelled from outside is run again (`Reactor.spawn`)."""
        try:
            for step in steps:
                waiter.resolve(await self._reactor.run_blocking(self._counted, step))
            waiter.reject(ConnectError(f"a program cancelled what was to wait for {self._whose}"))
        except Exception as error:
            waiter.reject(error)

    def _counted(self, step: Callable[[], T]) -> T:
        mark = object()
        self._running.add(mark)
        try:
            return step()
        finally:
            self._running.discard(mark)
