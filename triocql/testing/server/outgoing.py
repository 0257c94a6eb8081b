"""The bytes that a connection has to send, with the breaks that faults put into them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from .faults import Pause, Piece
from .framing import segments

Ending = Literal["close", "reset"]


class Outgoing:
    """A queue of bytes, frames that share segments, breaks, and the end of the connection.

    Args:
        call_later: has a function called after so many seconds.
        wake: is called when there is something to send.
        end: is called when the end has come.
    """

    def __init__(
        self,
        call_later: Callable[[float, Callable[[], None]], object],
        wake: Callable[[], None],
        end: Callable[[Ending], None],
    ) -> None:
        self.compressed = False
        self._call_later = call_later
        self._wake = wake
        self._end = end
        self._items: deque[Piece | list[bytes] | Ending] = deque()
        self._waiting = False

    def add(self, pieces: Sequence[Piece]) -> None:
        """Queue bytes and breaks."""
        self._items += pieces
        self._wake()

    def add_frame(self, frame: bytes) -> None:
        """Queue a frame that goes into a segment, with the frames before it if they were not sent yet."""
        if self._items and isinstance(self._items[-1], list):
            self._items[-1].append(frame)
        else:
            self._items.append([frame])
        self._wake()

    def add_end(self, how: Ending) -> None:
        """Queue the end."""
        self._items.append(how)
        self._wake()

    def clear(self) -> None:
        """Forget all that was not sent."""
        self._items.clear()

    def take(self) -> bytes:
        """Return what is to be sent now, up to the next break."""
        data = bytearray()
        while self._items and not self._waiting:
            item = self._items[0]
            if isinstance(item, str):
                self._finish(item, data)
                break
            self._items.popleft()
            if isinstance(item, Pause):
                self._pause(item.seconds)
            else:
                data += segments(item, compressed=self.compressed) if isinstance(item, list) else item
        return bytes(data)

    def _finish(self, how: Ending, data: bytearray) -> None:
        """End the connection, once what comes before the end has been handed over."""
        if data:
            self._wake()
        else:
            self._items.clear()
            self._end(how)

    def _pause(self, seconds: float) -> None:
        self._waiting = True
        if seconds < math.inf:
            self._call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._waiting = False
        self._wake()
