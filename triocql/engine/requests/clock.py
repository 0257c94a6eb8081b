"""Deadlines of everything that waits, without a timer per request.

A deadline is a float on the thing that waits. The clock keeps one timer, set no later than the earliest deadline; when
it fires, every source sweeps what it holds and says what its earliest deadline is then. A request that ends in time
costs one comparison. With a uniform timeout the timer fires about once per timeout, however many requests pass.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from triocql.abc import Reactor
from triocql.engine.requests.alarms import Alarms
from triocql.engine.requests.telling import report

if TYPE_CHECKING:
    from triocql.engine.contracts import Source

# A sweep costs about 0.05 µs a waiting request; at one sweep per 1 µs a request its share of a core stays at 5 %.
_SPACING = 1e-6
_FINEST = 0.001
# A timer this late means that the loop was blocked: what lies in the socket buffers by now may be the answers.
_LATE = 0.1


class Clock:
    """Watches the deadlines of its sources. See the module's text.

    Attributes:
        alarms: makes calls at times, for what may not wait for a sweep.
    """

    def __init__(self, reactor: Reactor) -> None:
        self.now = reactor.now
        self._call_at = reactor.call_at
        self._sweep_protected = reactor.protect(self._sweep)
        # Queues come before connections: who waits for a shared request learns first that its own time is up.
        self._sources: dict[Source, None] = {}
        self._cancel: Callable[[], None] | None = None
        self._closed = False
        self.armed = inf
        self.alarms = Alarms(reactor)

    def add(self, source: Source) -> None:
        """Sweep `source` from now on."""
        self._sources[source] = None

    def discard(self, source: Source) -> None:
        """Forget `source`."""
        self._sources.pop(source, None)

    def watch(self, deadline: float) -> None:
        """Have a sweep happen at `deadline`, or soon after."""
        if deadline < self.armed and not self._closed:
            self._arm(deadline)

    def close(self) -> None:
        """Stop the timers for good."""
        self._closed = True
        self._disarm()
        self.alarms.close()

    def _arm(self, when: float) -> None:
        # If that raises, as where the stack is at its end, the clock is armed as before.
        cancel = self._call_at(when, self._fire)
        former, self._cancel = self._cancel, cancel
        self.armed = when
        if former is not None:
            former()

    def _disarm(self) -> None:
        self.armed = inf
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    def _fire(self) -> None:
        now = self.now()
        late = now - self.armed > _LATE
        self._cancel, self.armed = None, inf
        if late:
            self._cancel = self._call_at(now + _FINEST, self._sweep_protected)
            self.armed = now + _FINEST
        else:
            self._sweep_protected()

    def _sweep(self) -> None:
        self._disarm()
        now = self.now()
        earliest, waiting = inf, 0
        for source in tuple(self._sources):
            try:
                deadline, count = source.expire(now)
            except Exception as bug:
                report(bug)
                deadline, count = now + _LATE, 0
            earliest = min(earliest, deadline)
            waiting += count
        if earliest < self.armed and not self._closed:
            self._arm(max(earliest, now + max(_FINEST, waiting * _SPACING)))
