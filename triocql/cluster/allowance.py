"""How often one node may be dialled, whatever the reason: a node that lies, or loses what it has, is no storm."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triocql.engine.connections.pool import Pool

_A_SECOND = 32.0
"""So many dials a second are allowed in the long run."""

_SOME = 64
"""So many dials more than fill the pool may follow each other at once."""


class Allowance:
    """A bucket of dials: full, it has as many as fill the pool, and some; it fills slowly."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._spent = 0.0
        self._at = -inf

    def spend(self, now: float) -> None:
        """The node is dialled now."""
        self._spent = max(0.0, self._spent - (now - self._at) * _A_SECOND) + 1
        self._at = now

    @property
    def next(self) -> float:
        """When the next dial is allowed."""
        too_many = self._spent - self._pool.wanted - _SOME
        return self._at + max(0.0, too_many / _A_SECOND)
