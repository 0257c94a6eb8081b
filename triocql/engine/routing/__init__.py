"""Routing: which connection a request goes to. What each prepared statement passes through is compiled if possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._impl import compiled

if TYPE_CHECKING or not compiled:
    from triocql.engine.routing.route import Route, Routes
else:
    from triocql.engine.routing._route import Route, Routes

__all__ = ["Route", "Routes"]
