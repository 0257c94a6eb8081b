"""What the examples print with: headings, a progress bar, a table. Colours only where a terminal shows them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

TERMINAL = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
COLOURS = TERMINAL and "NO_COLOR" not in os.environ
_BAR = 28
_REDRAW_EVERY = 0.1


def _styled(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOURS else text


def bold(text: str) -> str:
    return _styled("1", text)


def dim(text: str) -> str:
    return _styled("2", text)


def green(text: str) -> str:
    return _styled("32", text)


def heading(text: str) -> None:
    print(f"\n{_styled('1;36', text)}", flush=True)


def fact(label: str, value: str) -> None:
    print(f"  {label:<28}{value}", flush=True)


def done(label: str, value: str) -> None:
    print(f"  {green('✓')} {label:<26}{value}", flush=True)


def progress(items: Iterable[T], total: int, noun: str) -> Iterator[T]:
    """Pass the items on and draw how many there were, how fast, and how many seconds are left."""
    began = drawn = time.monotonic()
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if TERMINAL and now - drawn > _REDRAW_EVERY:
            drawn = now
            rate = count / (now - began)
            filled = _BAR * count // total
            bar = green("█" * filled) + dim("░" * (_BAR - filled))
            left = (total - count) / rate
            print(f"\r  {bar} {count:>9,} {noun}  {rate:>8,.0f}/s  {left:>3.0f} s left ", end="", flush=True)
    if TERMINAL:
        print("\r\033[K", end="")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: numbers to the right, text to the left, columns as wide as they need to be."""
    cells = [[_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    right = [isinstance(value, (int, float)) for value in rows[0]] if rows else [False] * len(columns)

    def line(texts: Sequence[str]) -> str:
        aligned = (
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(texts, widths, right, strict=True)
        )
        return "  " + "  ".join(aligned).rstrip()

    print("\n" + bold(line(columns)))
    print(dim("  " + "  ".join("─" * width for width in widths)))
    for row in cells:
        print(line(row))
    print(flush=True)


def _text(value: object) -> str:
    return (
        f"{value:,.1f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )
