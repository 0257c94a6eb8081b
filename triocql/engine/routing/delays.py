"""Requests that are tried again, but not yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from triocql.engine.phase import Phase
from triocql.engine.requests.queue import RequestQueue

if TYPE_CHECKING:
    from triocql.engine.requests import Request
    from triocql.engine.requests.clock import Clock


class Delays(RequestQueue["Request"]):
    """Holds requests until their time comes: who lets go of one, by whatever reason, has it not sent."""

    def __init__(self, clock: Clock) -> None:
        RequestQueue.__init__(self, clock)
        self._cancels: dict[Request, Callable[[], None]] = {}

    def hold(self, request: Request, when: float, following: Callable[[Request], object]) -> None:
        """Hold `request` until `when`, by the loop's clock; then let go of it and call `following` with it."""
        self.enter(request, Phase.BACKING_OFF)
        if request.holder is self:
            self._cancels[request] = self._clock.alarms.set(when, partial(self._go_on, request, following))

    def release(self, request: Any, phase: Phase) -> None:
        """Let `request` go, if it is here (`Holder`)."""
        cancel = self._cancels.pop(request, None)
        if cancel is not None:
            cancel()
        RequestQueue.release(self, request, phase)

    def _go_on(self, request: Request, following: Callable[[Request], object]) -> None:
        request.leave()
        following(request)
