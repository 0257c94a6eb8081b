"""What it costs to watch a session, each way on and off: for a request, and for a look at it.

`python -m tests.benchmarks.bench_costs`; with `--instructions`, what requests take is counted by valgrind's callgrind,
which is the same on a busy machine: it takes some three minutes on an idle one, most of it the start of Python under
valgrind, once for each way. `make bench` prints the CPU time, too.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest

import triocql.sync
from tests.benchmarks import instructions, report, server
from tests.benchmarks.bench_codecs import cpu
from tests.benchmarks.contenders import STATEMENTS, Contender
from tests.benchmarks.contenders.watching import WATCHING
from tests.benchmarks.harness import Cell, Row, measure
from triocql.observability.prometheus import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.contenders import Shape

SHAPES: tuple[Shape, ...] = ("concurrent", "tasks")
CELL = Cell("INSERT", 100)
NODES = 3
COUNTED, COUNTS = 500, 3
"""The requests and the rounds whose instructions are counted: differences between ways are large beside the noise."""


def rows(shape: Shape) -> list[Row]:
    """Return the way without anything, and after it all others."""
    return [Row(Contender("triocql", "trio", watching=name), shape) for name in WATCHING]


def by_clocks(port: int, rounds: int) -> list[list[str]]:
    """Return for each way the CPU time in µs that it adds to a request."""
    lines = {name: [name] for name in WATCHING}
    for shape in SHAPES:
        figures = measure({CELL: rows(shape)}, port, rounds=rounds, seconds=0.15, progress=report.say)
        base, *others = rows(shape)
        lines[""].append(f"{figures.cpu(base, CELL):.2f}")
        for row in others:
            pairs = zip(figures.rounds[row, CELL], figures.rounds[base, CELL], strict=True)
            lines[row.contender.watching].append(f"{median(a.cpu - b.cpu for a, b in pairs):+.2f}")
    return list(lines.values())


def by_instructions(port: int) -> list[list[str]]:
    """Return for each way how many instructions it adds to a request."""
    lines = {name: [name] for name in WATCHING}
    base: list[float] = []
    for name in WATCHING:
        report.say(f"counting {name or 'without anything'}")
        contender = Contender("triocql", "trio", watching=name)
        workloads = [(Row(contender, shape), CELL) for shape in SHAPES]
        counted = instructions.count(contender, port, workloads, requests=COUNTED, rounds=COUNTS)
        counts = [median(each) / COUNTED for each in counted]
        base = base or counts
        lines[name] += [
            f"{count - start:+,.0f}" if name else f"{count:,.0f}"
            for count, start in zip(counts, base, strict=True)
        ]
    return list(lines.values())


def looks(port: int) -> list[list[str]]:
    """Return the CPU time in µs of each way to look at a session with three nodes, and some kinds of requests."""
    registry = CollectorRegistry()
    with triocql.sync.connect("127.0.0.1", port=port) as session:
        Collector(registry).add(session, "bench")
        for text in STATEMENTS.values():
            statement = session.prepare(text)
            values = [[number, "x"][: text.count("?")] for number in range(300)]
            session.execute_concurrent_with_args(statement, values)
        health = session.health()
        ways: dict[str, Callable[[], object]] = {
            "session.metrics": lambda: session.metrics,
            "a scrape of Prometheus": lambda: generate_latest(registry),
            "session.health()": session.health,
            'health.can_serve("bench", "LOCAL_QUORUM")': lambda: health.can_serve("bench", "LOCAL_QUORUM"),
        }
        return [[name, f"{cpu(way, 50):,.0f}"] for name, way in ways.items()]


def tables(requests: Sequence[Sequence[str]], port: int, unit: str, *, markdown: bool) -> str:
    """Return what is printed."""
    layout = report.layout(markdown=markdown)
    head = ["", *(f"{shape}, {unit}" for shape in SHAPES)]
    named = [[name or "(nothing beside metrics)", *figures] for name, *figures in requests]
    return "\n\n".join(
        [
            f"What watching adds to an INSERT, {CELL.in_flight} in flight:",
            layout(head, named),
            f"What a look costs, with {NODES} nodes:",
            layout(["", "CPU µs"], looks(port)),
        ]
    )


def report_of_clocks(rounds: int, *, markdown: bool) -> str:
    """Measure, and return the tables."""
    with server.running(NODES) as port:
        return tables(by_clocks(port, rounds), port, "CPU µs", markdown=markdown)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_costs", description=__doc__)
    parser.add_argument("--instructions", action="store_true", help="count instructions instead of CPU time")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each figure (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    options = parser.parse_args()
    if not options.instructions:
        print(report_of_clocks(options.rounds, markdown=options.markdown))
        return
    with server.running(NODES) as port:
        print(tables(by_instructions(port), port, "instructions", markdown=options.markdown))


if __name__ == "__main__":
    main()
