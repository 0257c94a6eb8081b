"""Loggers that do not flood: each distinct line at most once a minute, with the number of those that were left out; and
nothing in it is longer than a page, whatever servers tell."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = 60.0
"""Seconds for which a line is not repeated."""

_LINES = 1000
_LONGEST = 2000


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
        args = tuple(map(_Told, record.args)) if isinstance(record.args, tuple) else ()
        line = self._line(record, args, now)
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
        told = {"event": record.msg, "values": [arg.value for arg in args], "left_out": left_out}
        record.triocql = {**told, **getattr(record, "triocql", {})}
        if isinstance(record.args, tuple):
            record.args = tuple(arg.bounded() for arg in args)
            if left_out:
                text = str(record.msg) if args else str(record.msg).replace("%", "%%")
                record.msg = f"{text} (and %d times before that were left out)"
                record.args = (*record.args, left_out)
        return True

    def _line(self, record: logging.LogRecord, args: tuple[_Told, ...], now: float) -> _Line:
        words = (arg.value for arg in args if not isinstance(arg.given, (int, float, Aside)))
        key = (record.name, record.levelno, record.msg, *words)
        if len(self._lines) >= _LINES:
            kept = [
                (key, line) for key, line in list(self._lines.items()) if now < max(line.due, default=now)
            ]
            self._lines = dict(kept[_LINES // 2 :])
        return self._lines.setdefault(key, _Line())


class _Told:
    """An argument of a line. Its text is made once: it may be long, and an exception of the user's may fail at that.

    Attributes:
        given: the argument.
        value: what is told of it: a number, or the beginning of its text.
    """

    __slots__ = ("_fits", "given", "value")

    def __init__(self, given: object) -> None:
        self.given = given
        self._fits = True
        if isinstance(given, (int, float)):
            self.value: int | float | str = given
            return
        try:
            text = str(given)
        except Exception:
            text = type(given).__name__
        self._fits = len(text) <= _LONGEST
        self.value = text if self._fits else f"{text[:_LONGEST]}…"

    def bounded(self) -> object:
        """Return the argument, for `logging` may format it by another than its text; or the beginning of that."""
        return self.given if self._fits else self.value


_UNHANDLED = logging.Handler()


class GuardedLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose handlers and filters, which are the program's, may fail: that is told on stderr, as `logging` does
    it, if there it can be, and is nothing to who logs.
    """

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a line, as `logging.Logger.log` does."""
        if not self.logger.isEnabledFor(level):
            return
        try:
            self.logger.log(level, msg, *args, stacklevel=2, **kwargs)  # as of the caller's line
        except Exception:
            with suppress(Exception):  # of a stderr that is closed, or the program's own
                _UNHANDLED.handleError(logging.makeLogRecord({"name": self.logger.name, "msg": msg}))


def get_logger(name: str) -> GuardedLogger:
    """Return the logger of a module, by its ``__name__``."""
    logger = logging.getLogger(name)
    logger.addFilter(once_a_minute)
    return GuardedLogger(logger, {})


once_a_minute = OnceAMinute()
"""The filter of all these loggers."""
