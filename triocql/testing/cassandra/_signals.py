"""Puts off what would end a process, while it cleans up."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off SIGINT, SIGTERM and SIGHUP to the end of a block. Python has only the main thread take signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in _ENDINGS}
    put_off = [ending for ending, handler in handlers.items() if handler not in (None, signal.SIG_IGN)]
    try:
        for ending in put_off:
            signal.signal(ending, lambda number, _: came.append(number))
        yield
    finally:
        for ending in put_off:
            signal.signal(ending, handlers[ending])
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
