"""Permits for what may go on so many times at once: whoever asks first gets the next one."""

from __future__ import annotations

from collections import deque

from triocql.abc import Reactor, Waiter
from triocql.cluster.waiting import nothing


class Permits:
    """A fair semaphore over a reactor: `await acquire()`, then `release()`, which is synchronous."""

    def __init__(self, reactor: Reactor, count: int) -> None:
        self._reactor = reactor
        self._free = count
        self._waiting: deque[Waiter[None]] = deque()

    async def acquire(self) -> None:
        """Take a permit, once one is free and everybody who asked before has one."""
        if self._free:
            self._free -= 1
            return
        waiter = self._reactor.waiter(nothing)
        self._waiting.append(waiter)
        try:
            await waiter.wait()
        except BaseException:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:  # it was given in the same moment
                self.release()
            raise

    def release(self) -> None:
        """Give a permit back, to whoever has waited longest."""
        if self._waiting:
            self._waiting.popleft().resolve(None)
        else:
            self._free += 1
