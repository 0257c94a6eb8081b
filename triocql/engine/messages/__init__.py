"""The messages of requests, and how their answers are read. EXECUTE is compiled if possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._impl import compiled

if TYPE_CHECKING or not compiled:
    from triocql.engine.messages.message import ExecuteMessage, Message
else:
    from triocql.engine.messages._message import ExecuteMessage, Message

__all__ = ["ExecuteMessage", "Message"]
