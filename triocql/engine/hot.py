"""The classes that every request passes through: compiled where that can be had, else their pure twins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._impl import compiled

if TYPE_CHECKING or not compiled:
    from triocql.engine.connections.streams import Streams, Target
    from triocql.engine.executing.execution import Execution
    from triocql.engine.executing.template import ExecuteMessage, ExecuteTemplate
    from triocql.engine.executing.window import CollectingWindow, Entry, PullingWindow, Window
    from triocql.engine.requests.request import Request
    from triocql.engine.requests.response import Response
    from triocql.policies.timestamps import MonotonicTimestamps
else:
    from triocql.engine._hot import (
        CollectingWindow,
        Entry,
        ExecuteMessage,
        ExecuteTemplate,
        Execution,
        MonotonicTimestamps,
        PullingWindow,
        Request,
        Response,
        Streams,
        Target,
        Window,
    )

__all__ = [
    "CollectingWindow",
    "Entry",
    "ExecuteMessage",
    "ExecuteTemplate",
    "Execution",
    "MonotonicTimestamps",
    "PullingWindow",
    "Request",
    "Response",
    "Streams",
    "Target",
    "Window",
]
