"""The loops of this process: which of them each thread drives, and what an exit and a fork mean for all."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Generic, Protocol, TypeVar

EXIT_TIMEOUT = 1.0
"""Seconds that the end of the interpreter waits for a loop that still runs."""


class Loop(Protocol):
    """A loop with a thread of its own."""

    @property
    def is_open(self) -> bool:
        """Whether the loop runs, in this process."""

    def stop(self) -> None:
        """Have the loop end at its next turn."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended."""

    def leave_to_parent(self) -> None:
        """Called in the child of a fork, which has no copy of the thread."""


L = TypeVar("L", bound=Loop)


class Loops(Generic[L]):
    """The loops of one kind, made once for the process.

    Attributes:
        started: those that were started.
        running: those that are driven now, by the ident of the thread that does it.
    """

    def __init__(self) -> None:
        self.started: weakref.WeakSet[L] = weakref.WeakSet()
        self.running: dict[int, L] = {}
        atexit.register(self._end)
        os.register_at_fork(after_in_child=self._leave_to_parent)

    def _end(self) -> None:
        """End the loops before the interpreter does."""
        started = list(self.started)
        for loop in started:
            loop.stop()
        for loop in started:
            loop.join(EXIT_TIMEOUT)

    def _leave_to_parent(self) -> None:
        for loop in list(self.started):
            if loop.is_open:
                loop.leave_to_parent()
        self.running.clear()
