"""Timestamp policies: who says when something was written."""

from __future__ import annotations

from typing import Protocol

from triocql.protocol.constants import SERVER


class TimestampPolicy(Protocol):
    """Gives the time of each write that has none of its own. Called on the loop: it must not block.

    What it raises fails the request that it was asked for. That it increases is its own affair: of two writes to one
    cell, the one with the higher timestamp stays.
    """

    def next(self) -> int:
        """Return the next timestamp, in microseconds since 1970."""


class ServerTimestamps:
    """Leaves the time of writes to the coordinators: no timestamp is sent, unless a statement or a call has one.

    The clocks of nodes differ, so that of two writes that follow each other the first one may win.
    """

    def next(self) -> int:
        """Return `triocql.SERVER`, which stands for the server's own time."""
        return SERVER
