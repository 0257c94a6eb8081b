"""Seeing what goes on: the log, hooks on requests, and what is counted of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._impl import compiled

if TYPE_CHECKING or not compiled:
    from triocql.observability.histogram import Histogram
else:
    from triocql.observability._histogram import Histogram

__all__ = ["Histogram"]
