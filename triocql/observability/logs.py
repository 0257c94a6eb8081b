"""Loggers that do not flood: each distinct line at most once a minute, with the number of those that were left out."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = 60.0
"""Seconds for which a line is not repeated."""

_LINES = 1000


class Aside:
    """Something that is told in a line and makes it no other one, as numbers do not.

    >>> logging.getLogger("shop").warning("%s was slow: %s", "a request", Aside("queued 2.5 s"))
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class _Line:
    """A line that was logged: when it is due again, and how often it was left out since."""

    __slots__ = ("due", "left_out")

    def __init__(self) -> None:
        self.due = [float("-inf")]  # empty while a thread decides: to take an item out is one step
        self.left_out = 0


class OnceAMinute(logging.Filter):
    """Lets a line pass that did not for `EVERY` seconds. Numbers, and what is an `Aside`, do not make it another line.

    Threads may log at the same time; a signal handler may, in the middle of this.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._lines: dict[tuple[object, ...], _Line] = {}

    def forget(self) -> None:
        """Let every line pass again."""
        self._lines = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line passes; what was left out since the last time is added to it."""
        now = self._now()
        line = self._line(record, now)
        try:
            due = line.due.pop()
        except IndexError:  # somebody else logs it right now
            line.left_out += 1
            return False
        try:
            if now < due:
                line.left_out += 1
                return False
            due = now + EVERY
        finally:
            line.due.append(due)
        left_out, line.left_out = line.left_out, 0
        if left_out and isinstance(record.args, tuple):
            text = str(record.msg) if record.args else str(record.msg).replace("%", "%%")
            record.msg = f"{text} (and %d times before that were left out)"
            record.args = (*record.args, left_out)
        return True

    def _line(self, record: logging.LogRecord, now: float) -> _Line:
        args = record.args if isinstance(record.args, tuple) else ()
        words = (_text(arg) for arg in args if not isinstance(arg, (int, float, Aside)))
        key = (record.name, record.levelno, record.msg, *words)
        if len(self._lines) >= _LINES:
            kept = [
                (key, line) for key, line in list(self._lines.items()) if now < max(line.due, default=now)
            ]
            self._lines = dict(kept[_LINES // 2 :])
        return self._lines.setdefault(key, _Line())


def _text(arg: object) -> str:
    """Return what tells an argument of a line from others. An exception of the user's may fail at that."""
    try:
        return str(arg)
    except Exception:
        return type(arg).__name__


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module, by its ``__name__``."""
    logger = logging.getLogger(name)
    logger.addFilter(once_a_minute)
    return logger


once_a_minute = OnceAMinute()
"""The filter of all these loggers."""
