"""What requests do, from their start to their end."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """What a request is doing; the values are what users see in `RequestTimeout.phase`."""

    NEW = "new"
    PREPARING = "preparing"
    CONNECTING = "connecting"
    QUEUED = "queued"
    SENDING = "sending"
    WAITING = "waiting"
    DONE = "done"
