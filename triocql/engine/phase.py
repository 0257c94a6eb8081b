"""The phases of requests, from their start to their end."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """The phase of a request; the values are what users see in `RequestTimeout.phase`."""

    NEW = "new"
    PREPARING = "preparing"
    CONNECTING = "connecting"
    QUEUED = "queued"
    THROTTLED = "throttled"
    BACKING_OFF = "backing off"
    SENDING = "sending"
    WAITING = "waiting"
    DONE = "done"
