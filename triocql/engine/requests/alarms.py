"""Calls at times, to the millisecond: of requests that wait before they are tried again, of copies that become due.

Deadlines are another matter: see `engine.requests.clock`.
"""

from __future__ import annotations

from collections.abc import Callable

from triocql.abc import Reactor
from triocql.engine.requests.telling import call
from triocql.engine.requests.timer import Timer
from triocql.reactors.timers import Timers


class Alarms(Timer):
    """Makes calls when they are due, by one timer for all of them. None is set while there are none, but for the last
    one that was cancelled.
    """

    def __init__(self, reactor: Reactor) -> None:
        Timer.__init__(self, reactor)
        self._timers = Timers()

    @property
    def next_due(self) -> float:
        """When the first call is due, infinity if there is none."""
        return self._timers.next_due()

    def set(self, when: float, action: Callable[[], None]) -> Callable[[], None]:
        """Call `action` at `when`, by the loop's clock; return the function that cancels that. What it raises is
        logged.
        """
        cancel = self._timers.add(when, action)
        self.watch(when)
        return cancel

    def close(self) -> None:
        """Make no more calls."""
        self._timers = Timers()
        Timer.close(self)

    def ring(self) -> None:
        """Make the calls that are due (`Timer`)."""
        call(self._timers.pop_due(self.now()))
        self.watch(self.next_due)
