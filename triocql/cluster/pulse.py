"""Whether the loop of a session goes round, to be seen from outside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.abc import Reactor
    from triocql.config.groups import ConnectionOptions
    from triocql.engine.requests.clock import Clock


class Pulse:
    """Looks at the clock now and then, as often as is looked for heartbeats. Whoever reads answers, or sweeps, looks at
    it, too. Code that keeps the loop to itself hinders all of them, as does a thread that stands still.

    Args:
        reactor: the loop.
        clock: the session's.
        limits: say how often.
    """

    def __init__(self, reactor: Reactor, clock: Clock, limits: ConnectionOptions) -> None:
        self._reactor = reactor
        self._clock = clock
        self._every = limits.watch_interval
        self._cancel: Callable[[], None] | None = None

    def beat(self) -> None:
        """Look at the clock, from now on again and again."""
        self._cancel = self._reactor.call_at(self._clock.look() + self._every, self.beat)

    def stop(self) -> None:
        """Look at it no more."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    @property
    def age(self) -> float:
        """How many seconds ago anything in the loop has looked; any thread may ask."""
        moment = self._clock.moment.now  # read first: what is looked at meanwhile is later
        return max(0.0, self._clock.now() - moment) if moment else 0.0
