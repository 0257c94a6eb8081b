"""The tables, as aligned text or as Markdown, and what stands above them."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.harness import Cell, Figures, Row

PACKAGES = ("triocql", "trio", "uvloop", "acsylla", "cassandra-driver", "lz4", "Cython")


def header() -> str:
    """Return the machine, the Python and the versions that the figures belong to."""
    load = os.getloadavg()[0]
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, load {load:.1f}",
        f"{_processor()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}",
        f"{platform.python_implementation()} {platform.python_version()}, "
        + ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        f"cassandra-driver's decoder is {'compiled' if _decoder_compiled() else 'pure Python'}",
    ]
    return "\n".join(lines)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(in the checkout)" if package == "triocql" else "(missing)"


def _decoder_compiled() -> bool:
    try:
        from cassandra.cython_deps import HAVE_CYTHON
    except ImportError:
        return False
    return bool(HAVE_CYTHON)


def tables(figures: Figures, rows: Sequence[Row], cells: Sequence[Cell], *, markdown: bool) -> str:
    """Return two tables of what was measured: CPU time a request, and requests a second."""
    rows = [row for row in rows if any((row, cell) in figures.rounds for cell in cells)]
    cells = [cell for cell in cells if any((row, cell) in figures.rounds for row in rows)]

    def table(text: Callable[[Row, Cell], str]) -> list[list[str]]:
        return [
            [str(row), *(text(row, cell) if (row, cell) in figures.rounds else "" for cell in cells)]
            for row in rows
        ]

    cpu = table(lambda row, cell: f"{figures.cpu(row, cell):.2f}")
    rate = table(lambda row, cell: f"{figures.rate(row, cell):,.0f}")
    laid_out = layout(markdown=markdown)
    return "\n\n".join(
        [
            "CPU time of the client in µs a request (all its threads; medians), by number in flight:",
            laid_out(["", *map(str, cells)], cpu),
            "Requests a second (medians):",
            laid_out(["", *map(str, cells)], rate),
        ]
    )


def layout(*, markdown: bool) -> Callable[[list[str], list[list[str]]], str]:
    """Return what lays out a table of a head and lines."""
    return _markdown if markdown else _text


def _text(head: list[str], body: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in [head, *body]
    )


def _markdown(head: list[str], body: list[list[str]]) -> str:
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *body])


def say(line: str) -> None:
    """Tell the one who waits what is going on."""
    print(line, file=sys.stderr, flush=True)
