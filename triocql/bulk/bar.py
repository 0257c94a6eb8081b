"""A progress bar for those who look on: at a terminal, in a notebook, or later, in a log."""

from __future__ import annotations

import os
import sys
import time
from html import escape
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from triocql.bulk.progress import duration_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from triocql.bulk.progress import Progress

REDRAWN: Final = 0.1
"""Seconds between two drawings; where each is a line that stays, ..."""
REPEATED: Final = 10.0
"""... seconds between two of these."""

_SHOWN: Final = 0.001
"""The least that is not shown as "0.0 %"."""

_WIDEST: Final = 40
_NARROWEST: Final = 8
_COLUMNS: Final = 80
"""Of a terminal that does not tell how many it has."""


class Progressing(Protocol):
    """What tells how far it has come: a scan."""

    @property
    def progress(self) -> Progress:
        """How far it has come."""


class Display(Protocol):
    """Where a bar is drawn."""

    def draw(self, label: str, progress: Progress) -> float:
        """Draw it, and return in how many seconds it is worth while to draw it again."""

    def end(self, label: str, progress: Progress) -> None:
        """Draw it for the last time."""


class ProgressBar:
    """Shows how far a scan has come: a line that is drawn again and again on a terminal, in a notebook a bar in the
    output of the cell, anywhere else a line now and then. Scans without one know nothing of it.

    It is written to stderr, and a stderr that is closed, or cannot be written to, keeps no scan from going on.

    Args:
        label: what is written before it, such as the name of the table.
        file: what it is written to in place of stderr, or of a notebook.

    Example::

        with triocql.ProgressBar("shop.events") as bar:
            async for batch in scan:
                bar.show(scan)
    """

    def __init__(self, label: str = "", *, file: TextIO | None = None) -> None:
        self._label = " ".join(label.split())
        self._file = file
        self._display: Display | None = None
        self._shown: Progressing | None = None
        self._next = 0.0
        self._now: Callable[[], float] = time.monotonic

    def show(self, scan: Progressing) -> None:
        """Show how far a scan has come, unless it was shown a moment ago: it may be called as often as one likes."""
        self._shown = scan
        now = self._now()
        if now < self._next:
            return
        if self._display is None:
            self._display = _display(self._file)
        self._next = now + self._display.draw(self._label, scan.progress)

    def close(self) -> None:
        """Show it for the last time, and leave it there. A bar that is closed may be used again, for another scan."""
        shown, self._shown = self._shown, None
        self._next = 0.0
        if shown is not None and self._display is not None:
            self._display.end(self._label, shown.progress)
            self._display = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _display(file: TextIO | None) -> Display:
    """Return where a bar is drawn in this program."""
    if file is None:
        shell = _notebook()
        if shell is not None:
            return _Notebook(shell)
    stream = sys.stderr if file is None else file
    return _Terminal(stream) if _is_terminal(stream) else _Lines(stream)


def _text(progress: Progress, *, ended: bool) -> str:
    text = str(progress)
    return f"{text}, in {duration_text(progress.seconds)}" if ended else text


class _Terminal:
    """A line of a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._length = 0
        encoding = getattr(stream, "encoding", None) or "ascii"
        self._full, self._empty = ("━", "─") if _can_encode("━─", encoding) else ("#", "-")

    def draw(self, label: str, progress: Progress) -> float:
        self._draw(label, progress, ended=False)
        return REDRAWN

    def end(self, label: str, progress: Progress) -> None:
        self._draw(label, progress, ended=True)
        _write(self._stream, "\n")

    def _draw(self, label: str, progress: Progress, *, ended: bool) -> None:
        room = _columns(self._stream) - 1  # a full line would have the terminal begin another one
        line = self._line(label, progress, room, ended=ended)
        # What is longer than the line that was there before hides it; a shorter one is filled up.
        _write(self._stream, f"\r{line}{' ' * min(self._length - len(line), room - len(line))}")
        self._length = len(line)

    def _line(self, label: str, progress: Progress, room: int, *, ended: bool) -> str:
        """Return as much as there is room for: what comes first is the most important."""
        parts = _text(progress, ended=ended).split(", ")
        shown = f"{label} {parts.pop(0)}".lstrip()
        left = room - len(shown) - len(", ".join(parts)) - 2
        width = min(max(left, _NARROWEST), _WIDEST)
        if len(shown) + 1 + width <= room:
            shown += f" {self._bar(progress.fraction, width)}"
        for number, part in enumerate(parts):
            longer = f"{shown}{', ' if number else ' '}{part}"
            if len(longer) > room:
                break
            shown = longer
        return shown[: max(room, 0)]

    def _bar(self, fraction: float, width: int) -> str:
        full = int(fraction * width)
        return self._full * full + self._empty * (width - full)


class _Lines:
    """Lines that stay, in a log. The first one comes when something is done, or after a while: before, it would tell
    nothing.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def draw(self, label: str, progress: Progress) -> float:
        if progress.fraction < _SHOWN and progress.seconds < REPEATED:
            return REDRAWN
        self._write(label, _text(progress, ended=False))
        return REPEATED

    def end(self, label: str, progress: Progress) -> None:
        self._write(label, _text(progress, ended=True))

    def _write(self, label: str, text: str) -> None:
        _write(self._stream, f"{label}: {text}\n" if label else f"{text}\n")


class _Notebook:
    """The output of a notebook's cell."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None

    def draw(self, label: str, progress: Progress) -> float:
        self._draw(label, progress, ended=False)
        return REDRAWN

    def end(self, label: str, progress: Progress) -> None:
        self._draw(label, progress, ended=True)

    def _draw(self, label: str, progress: Progress, *, ended: bool) -> None:
        text = f"{label} {_text(progress, ended=ended)}".lstrip()
        bar = f'<progress value="{progress.fraction:.4f}" max="1"></progress>'
        data = {
            "text/plain": text,
            "text/html": f"{escape(label)} {bar} {escape(_text(progress, ended=ended))}",
        }
        if self._handle is None:
            self._handle = self._display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _notebook() -> Callable[..., Any] | None:
    """Return what shows something in the notebook that this program is a kernel of; None where it is none. Whoever is
    one has imported IPython already.
    """
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return None
    shell = ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display

    shown: Callable[..., Any] = display
    return shown


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


def _columns(stream: TextIO) -> int:
    """Return how many columns the terminal has now: its window may have become another size."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True


def _write(stream: TextIO | None, text: str) -> None:
    """Write, if it is possible: nothing depends on it."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):  # of a closed file, and of one that cannot have these letters
        pass
