"""What the examples print with: headings, a progress bar, a table; colours only on a terminal."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import TypeVar

import triocql

T = TypeVar("T")

TERMINAL = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
COLOURS = TERMINAL and "NO_COLOR" not in os.environ
BAR = 28
REDRAW_EVERY = 0.1


def styled(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOURS else text


def bold(text: str) -> str:
    return styled("1", text)


def heading(text: str) -> None:
    print(f"\n{styled('1;36', text)}", flush=True)


def done(label: str, value: str, by: str = "") -> None:
    print(f"  {styled('32', '✓')} {label:<22} {value}{styled('2', f'  by {by}') if by else ''}", flush=True)


def note(label: str, value: str) -> None:
    """Tell of what happens, on a line of its own even while a bar is drawn."""
    clear = "\r\033[K" if TERMINAL else ""
    print(f"{clear}  {styled('33', '!')} {label:<22} {value}", flush=True)


class Notes(logging.Handler):
    """Shows what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        note(record.name.partition(".")[0], record.getMessage())


def progress(items: Iterable[T], total: int, noun: str) -> Iterator[T]:
    """Pass the items on, and on a terminal draw how many there were, how fast, and for how long still."""
    began = drawn = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if TERMINAL and now - drawn > REDRAW_EVERY:
            drawn, rate = now, count / (now - began)
            filled = BAR * count // total
            bar = styled("32", "█" * filled) + styled("2", "░" * (BAR - filled))
            left = (total - count) / rate
            print(f"\r  {bar} {count:>9,} {noun} {rate:>8,.0f}/s {left:>4.0f} s left ", end="", flush=True)
    if TERMINAL:
        print("\r\033[K", end="")


def bar(label: str) -> triocql.ProgressBar:
    """Return a bar that shows on a terminal how far a scan is, and elsewhere nothing."""
    return triocql.ProgressBar(label, file=sys.stdout if TERMINAL else StringIO())


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: numbers to the right, text to the left."""
    cells = [[in_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    numeric = [all(isinstance(row[n], (int, float)) for row in rows) for n in range(len(columns))]

    def line(texts: Sequence[str]) -> str:
        places = zip(texts, widths, numeric, strict=True)
        return "    " + "  ".join(f"{text:{'>' if right else '<'}{width}}" for text, width, right in places)

    print("\n" + bold(line(columns).rstrip()))
    print(styled("2", line(["─" * width for width in widths])))
    for row in cells:
        print(line(row).rstrip())
    print(flush=True)


def in_text(value: object) -> str:
    return (
        f"{value:,.1f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )
