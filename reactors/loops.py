"""The thread loops of this process: which of them runs the caller, and what an exit and a fork mean for all."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .threadloop import ThreadLoop

EXIT_TIMEOUT = 1.0
"""Seconds that the end of the interpreter waits for a loop that still runs."""

running: dict[int, ThreadLoop] = {}
"""The loops that are driven now, by the ident of the thread that does it."""

loops: weakref.WeakSet[ThreadLoop] = weakref.WeakSet()
"""The loops that were started."""


def running_thread_loop() -> ThreadLoop | None:
    """Return the loop that runs the caller, None outside any."""
    return running.get(threading.get_ident())


def _end_all() -> None:
    """End the loops before the interpreter does."""
    started = list(loops)
    for loop in started:
        loop.stop()
    for loop in started:
        loop.join(EXIT_TIMEOUT)


def _leave_all_to_parent() -> None:
    for loop in list(loops):
        if loop.is_open:
            loop.leave_to_parent()
    running.clear()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_leave_all_to_parent)
