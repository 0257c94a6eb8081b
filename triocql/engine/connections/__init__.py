"""Connections: stream ids, what is in flight on them, and the pool of a node. Streams are compiled if possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._impl import compiled

if TYPE_CHECKING or not compiled:
    from triocql.engine.connections.streams import Streams, Target, Turn
else:
    from triocql.engine.connections._streams import Streams, Target, Turn

__all__ = ["Streams", "Target", "Turn"]
