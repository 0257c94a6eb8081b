"""Decisions that users may want to take themselves: small protocols without I/O, and their defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._impl import compiled

if TYPE_CHECKING or not compiled:
    from triocql.policies.timestamps import MonotonicTimestamps
else:
    from triocql.policies._timestamps import MonotonicTimestamps

__all__ = ["MonotonicTimestamps"]
