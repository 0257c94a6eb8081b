"""Between the bytes of CQL values and Python objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._impl import compiled

if TYPE_CHECKING or not compiled:
    from triocql.codecs.routing import routing_key
else:
    from triocql.codecs._routing import routing_key

__all__ = ["routing_key"]
