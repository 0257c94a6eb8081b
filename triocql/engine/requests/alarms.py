"""Calls at times, to the millisecond: of requests that wait before they are tried again, of copies that become due.

Deadlines are another matter: see `engine.requests.clock`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from triocql.abc import Reactor
from triocql.engine.requests.telling import call
from triocql.reactors.timers import Timers

# A timer this late means that the loop was blocked: what lies in the socket buffers by now may be the answers.
_LATE = 0.1
_SOON = 0.001


class Alarms:
    """Makes calls when they are due, by one timer for all of them. None is set while there are none, but for the last
    one that was cancelled.
    """

    def __init__(self, reactor: Reactor) -> None:
        self._now = reactor.now
        self._call_at = reactor.call_at
        self._protected = reactor.protect(self._ring)
        self._timers = Timers()
        self._cancel: Callable[[], None] | None = None
        self._armed = inf
        self._closed = False

    @property
    def next_due(self) -> float:
        """When the first call is due, infinity if there is none."""
        return self._timers.next_due()

    def set(self, when: float, action: Callable[[], None]) -> Callable[[], None]:
        """Call `action` at `when`, by the loop's clock; return the function that cancels that. What it raises is
        logged.
        """
        cancel = self._timers.add(when, action)
        if when < self._armed:
            self._arm(when)
        return cancel

    def close(self) -> None:
        """Make no more calls."""
        self._closed = True
        self._timers = Timers()
        self._disarm()

    def _arm(self, when: float) -> None:
        if not self._closed:
            cancel = self._call_at(when, self._fire)
            self._disarm()
            self._cancel, self._armed = cancel, when

    def _disarm(self) -> None:
        self._armed = inf
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    def _fire(self) -> None:
        now = self._now()
        late = now - self._armed > _LATE
        self._cancel, self._armed = None, inf
        if late:
            self._cancel = self._call_at(now + _SOON, self._protected)
            self._armed = now + _SOON
        else:
            self._protected()

    def _ring(self) -> None:
        """Make the calls that are due."""
        self._disarm()
        call(self._timers.pop_due(self._now()))
        if (when := self.next_due) < self._armed:
            self._arm(when)
