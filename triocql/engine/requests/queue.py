"""Requests that are on no connection: being prepared, waiting for a connection or a stream id, or between attempts."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Generic, TypeVar

from triocql.engine.contracts import Held
from triocql.engine.phase import Phase
from triocql.engine.requests.clock import Clock
from triocql.engine.requests.telling import expire

R = TypeVar("R", bound=Held)


class RequestQueue(Generic[R]):
    """A first-in-first-out holder of requests, swept for their deadlines.

    Attributes:
        held: the requests that are here, oldest first, with the bytes of each, since when it is here, and what for.
        size: the bytes of their bodies, as they were when the requests came: meanwhile they may get others.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.held: OrderedDict[R, tuple[int, float, Any]] = OrderedDict()
        self.size = 0
        clock.add(self)

    def __len__(self) -> int:
        return len(self.held)

    def is_full(self, most: int, most_bytes: int) -> bool:
        """Whether it has so many requests, or so many bytes."""
        return len(self.held) >= most or self.size >= most_bytes

    def enter(self, request: R, phase: Phase, wanted: Any = None) -> None:
        """Hold `request`, which waits for what is `wanted`, until it is released or its deadline passes. What has ended
        is not held."""
        if request.phase is Phase.DONE:
            return
        request.parked()
        self._clock.watch(request.deadline)
        request.phase = phase
        request.holder = self
        size = len(request.body)
        self.held[request] = size, self._clock.now(), wanted
        self.size += size

    def release(self, request: Any, phase: Phase) -> None:
        """Let `request` go, if it is here (`Holder`); by now it may be in another one's hands, and is left there."""
        entry = self.held.pop(request, None)
        if entry is not None:
            size, since, _ = entry
            self.size -= size
            if request.holder is self:
                request.holder = None
            request.waited(phase, self._clock.now() - since)

    def wanted(self, request: Any) -> Any:
        """Return what `request`, which is here, waits for."""
        return self.held[request][2]

    def first(self) -> R:
        """Return the oldest request."""
        return next(iter(self.held))

    def requests(self) -> tuple[R, ...]:
        """Return what is here, oldest first."""
        return tuple(self.held)

    def expire(self, now: float) -> tuple[float, int]:
        """End what is due (`Source`)."""
        return expire(self.requests(), now), len(self.held)
