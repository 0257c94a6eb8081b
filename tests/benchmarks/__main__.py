"""`python -m tests.benchmarks`: triocql, other drivers and raw sockets against a server of canned answers."""

from __future__ import annotations

import argparse
import re
import sys

from tests.benchmarks import imports, lineup, report, server
from tests.benchmarks.harness import measure


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--gates", action="store_true", help="only what the gates need; 1 if one fails")
    parser.add_argument("--quick", action="store_true", help="only 100 in flight, and short rounds")
    parser.add_argument("--only", metavar="TEXT", default="", help="only rows whose name has this pattern")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each figure (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    short = options.gates or options.quick
    rows = lineup.GATE_ROWS if options.gates else lineup.OURS + lineup.OTHERS
    rows = [row for row in rows if re.search(options.only, str(row))]
    cells = lineup.GATE_CELLS if short else lineup.CELLS
    seconds = 0.08 if options.quick else 0.15
    print(report.header(), end="\n\n", flush=True)
    with server.running() as port:
        figures = measure(rows, cells, port, rounds=options.rounds, seconds=seconds, progress=report.say)
        threads = [row for row in lineup.THREADS if not short and re.search(options.only, str(row))]
        blocked = measure(
            threads, lineup.THREAD_CELLS, port, rounds=options.rounds, seconds=seconds, progress=report.say
        )
    print(report.tables(figures, rows, cells, markdown=options.markdown))
    if threads:
        print("\nThreads that block, by their number; for the raw socket, by the requests of a window:\n")
        print(report.tables(blocked, threads, lineup.THREAD_CELLS, markdown=options.markdown))
    gates = [gate for gate in lineup.GATES if {gate.row, lineup.ACSYLLA} <= set(rows)]
    if gates:
        print("\nGates, as ratios to acsylla's CPU time in the same rounds, 100 in flight:")
        print("\n".join(gate.line(figures) for gate in gates))
    if not (options.gates or options.only):
        print(f"\n{imports.report()} (goal for triocql: under {imports.GOAL} s)")
    return int(options.gates and not all(gate.passed(figures) for gate in gates))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
