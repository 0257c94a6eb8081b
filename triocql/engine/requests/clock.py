"""Deadlines of everything that waits, without a timer per request.

A deadline is a float on the thing that waits. The clock keeps one timer, set no later than the earliest deadline; when
it fires, every source sweeps what it holds and says what its earliest deadline is then. A request that ends in time
costs one comparison. With a uniform timeout the timer fires about once per timeout, however many requests pass.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from triocql.abc import Reactor
from triocql.engine.requests.alarms import Alarms
from triocql.engine.requests.telling import report
from triocql.engine.requests.timer import FINEST, LATE, Timer
from triocql.observability.meters import Moment

if TYPE_CHECKING:
    from triocql.engine.contracts import Source

# A sweep costs about 0.05 µs a waiting request; at one sweep per 1 µs a request its share of a core stays at 5 %.
_SPACING = 1e-6


class Clock(Timer):
    """Watches the deadlines of its sources. See the module's text.

    Attributes:
        alarms: makes calls at times, for what may not wait for a sweep.
        moment: when it was read last, for those who count what happens then.
    """

    def __init__(self, reactor: Reactor) -> None:
        Timer.__init__(self, reactor)
        # Queues come before connections: who waits for a shared request learns first that its own time is up.
        self._sources: dict[Source, None] = {}
        self.alarms = Alarms(reactor)
        self.moment = Moment()

    def look(self) -> float:
        """Read it for what is counted next."""
        self.moment.now = now = self.now()
        return now

    def add(self, source: Source) -> None:
        """Sweep `source` from now on."""
        self._sources[source] = None

    def discard(self, source: Source) -> None:
        """Forget `source`."""
        self._sources.pop(source, None)

    def close(self) -> None:
        """Stop the timers for good."""
        Timer.close(self)
        self.alarms.close()

    def ring(self) -> None:
        """Sweep (`Timer`)."""
        now = self.look()
        earliest, waiting = inf, 0
        for source in tuple(self._sources):
            try:
                deadline, count = source.expire(now)
            except Exception as bug:
                report(bug)
                deadline, count = now + LATE, 0
            earliest = min(earliest, deadline)
            waiting += count
        if earliest < self.armed:
            self.watch(max(earliest, now + max(FINEST, waiting * _SPACING)))
