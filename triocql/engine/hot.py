"""The classes that every request passes through: compiled where that can be had, else their pure twins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._impl import compiled

if TYPE_CHECKING or not compiled:
    from triocql.engine.execution import Execution
    from triocql.engine.launch import ExecuteMessage, Launch
    from triocql.engine.request import Request
    from triocql.engine.response import Response
    from triocql.engine.streams import Streams, Turn
    from triocql.engine.window import CollectingWindow, Entry, PullingWindow, Window
    from triocql.policies.timestamps import MonotonicTimestamps
else:
    from triocql.engine._hot import (
        CollectingWindow,
        Entry,
        ExecuteMessage,
        Execution,
        Launch,
        MonotonicTimestamps,
        PullingWindow,
        Request,
        Response,
        Streams,
        Turn,
        Window,
    )

__all__ = [
    "CollectingWindow",
    "Entry",
    "ExecuteMessage",
    "Execution",
    "Launch",
    "MonotonicTimestamps",
    "PullingWindow",
    "Request",
    "Response",
    "Streams",
    "Turn",
    "Window",
]
