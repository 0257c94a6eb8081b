"""Ctrl-C while the thread of a caller drives a loop: it is let in where the loop waits, and nowhere else.

Python calls the handlers of signals in the main thread, between any two instructions, and what they raise is raised
there: in the middle of a step of the engine it would tear it.
"""

from __future__ import annotations

import signal
import threading

# `signal` makes enumerations of what these take and return, which takes longer than a request.
from _signal import getsignal  # type: ignore[import-not-found]
from _signal import signal as set_handler
from signal import SIGINT
from types import FrameType, TracebackType

# Those of real-time are left out: nobody handles them in Python, and asking for them takes as long as for all others.
_OTHERS = tuple(
    int(each) for each in signal.valid_signals() - {SIGINT} if each < getattr(signal, "SIGRTMIN", 64)
)


class Interruptions:
    """Around steps that must not be interrupted: for a thread in which no handler raises, there is nothing to do."""

    def __enter__(self) -> Interruptions:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        pass

    def allow(self) -> None:
        """From now on an interruption is raised at once; one that came before is raised now."""

    def forbid(self) -> None:
        """From now on an interruption is kept for later."""


class KeyboardInterruptions(Interruptions):
    """The same for the main thread, as long as Ctrl-C does what Python makes it do."""

    def __init__(self) -> None:
        self._allowed = False
        self._pressed = False

    def __enter__(self) -> Interruptions:
        set_handler(SIGINT, self._press)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        set_handler(SIGINT, signal.default_int_handler)
        if self._pressed and exc is None:
            raise KeyboardInterrupt

    def allow(self) -> None:
        """From now on an interruption is raised at once; one that came before is raised now."""
        self._allowed = True
        if self._pressed:
            self._allowed = False
            raise KeyboardInterrupt

    def forbid(self) -> None:
        """From now on an interruption is kept for later."""
        self._allowed = False

    def _press(self, _signal: int, _frame: FrameType | None) -> None:
        self._pressed = True
        if self._allowed:
            self._allowed = False  # once: what follows must not be interrupted again
            raise KeyboardInterrupt


_NONE = Interruptions()


def interruptions() -> Interruptions | None:
    """Return what keeps interruptions out of the steps of this thread, None if nothing can.

    That is so in the main thread of a program with handlers of its own: they may raise whatever they like.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return _NONE
    if any(map(callable, map(getsignal, _OTHERS))):
        return None
    handler = getsignal(SIGINT)
    if handler is signal.default_int_handler:
        return KeyboardInterruptions()
    return None if callable(handler) else _NONE
