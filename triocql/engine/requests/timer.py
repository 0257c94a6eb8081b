"""One timer of the loop, set to the earliest time that something is due."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from triocql.abc import Reactor

# A timer this late means that the loop was blocked: what lies in the socket buffers by now may be the answers.
LATE = 0.1
FINEST = 0.001
"""Seconds: nothing is due twice within less."""


class Timer:
    """Calls `ring`, which subclasses have, at the earliest time that it was armed for; if it is late, the loop first
    reads once more.

    Attributes:
        armed: when that is; inf for never.
    """

    def __init__(self, reactor: Reactor) -> None:
        self.now = reactor.now
        self.armed = inf
        self._call_at = reactor.call_at
        self._protected = reactor.protect(self._ring)
        self._cancel: Callable[[], None] | None = None
        self._closed = False

    def ring(self) -> None:
        """Do what is due, with the timer off."""
        raise NotImplementedError

    def watch(self, when: float) -> None:
        """Have it ring at `when`, or before."""
        if when < self.armed and not self._closed:
            # If that raises, as where the stack is at its end, it is armed as before.
            cancel = self._call_at(when, self._fire)
            former, self._cancel = self._cancel, cancel
            self.armed = when
            if former is not None:
                former()

    def close(self) -> None:
        """Never ring again."""
        self._closed = True
        self.disarm()

    def disarm(self) -> None:
        """Switch it off."""
        self.armed = inf
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    def _ring(self) -> None:
        self.disarm()
        self.ring()

    def _fire(self) -> None:
        now = self.now()
        late = now - self.armed > LATE
        self._cancel, self.armed = None, inf
        if late:
            self._cancel = self._call_at(now + FINEST, self._protected)
            self.armed = now + FINEST
        else:
            self._protected()
