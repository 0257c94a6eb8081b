"""Requests that are on no connection: being prepared, waiting for a connection or a stream id, or between attempts."""

from __future__ import annotations

from collections import OrderedDict
from math import inf
from typing import Generic, TypeVar

from triocql.engine.clock import Clock
from triocql.engine.hot import Request
from triocql.engine.phase import Phase

R = TypeVar("R", bound=Request)


class Parking(Generic[R]):
    """A first-in-first-out holder of requests, swept for their deadlines.

    Attributes:
        size: the bytes of their bodies, as they were when the requests came: meanwhile they may get others.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._requests: OrderedDict[R, int] = OrderedDict()
        self.size = 0
        clock.add(self)

    def __len__(self) -> int:
        return len(self._requests)

    def enter(self, request: R, phase: Phase) -> None:
        """Hold `request` until it is taken, released, or its deadline passes."""
        request.phase = phase
        request.holder = self
        self._requests[request] = size = len(request.body)
        self.size += size
        self._clock.watch(request.deadline)

    def release(self, request: Request) -> None:
        """Let `request` go, if it is here (`Holder`)."""
        held: OrderedDict[Request, int] = self._requests  # type: ignore[assignment]
        size = held.pop(request, None)
        if size is not None:
            self.size -= size
            request.holder = None

    def take_first(self) -> R:
        """Remove and return the oldest request."""
        request, size = self._requests.popitem(last=False)
        self.size -= size
        request.holder = None
        return request

    def requests(self) -> tuple[R, ...]:
        """Return what is parked, oldest first."""
        return tuple(self._requests)

    def expire(self, now: float) -> tuple[float, int]:
        """End what is due (`Source`)."""
        earliest = inf
        for request in self.requests():
            if request.deadline <= now:
                request.time_out()
            else:
                earliest = min(earliest, request.deadline)
        return earliest, len(self._requests)
