"""`python -m tests.benchmarks`: triocql, other drivers and raw sockets against a server of canned answers."""

from __future__ import annotations

import argparse
import re
import sys

from tests.benchmarks import imports, lineup, report, server
from tests.benchmarks.harness import Figures, measure


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
    everything = lineup.plan(gates=options.gates, quick=options.quick)
    plan = {
        cell: [row for row in rows if re.search(options.only, str(row))] for cell, rows in everything.items()
    }
    seconds = 0.08 if options.quick else 0.15
    print(report.header(), end="\n\n", flush=True)
    with server.running() as port:
        figures = measure(plan, port, rounds=options.rounds, seconds=seconds, progress=report.say)
        # By themselves, since a row that follows one that works hard finds the processor faster.
        judged = figures if options.gates or options.only else _judge(port, options.rounds, seconds)
    print(report.tables(figures, lineup.OURS + lineup.OTHERS, lineup.CELLS, markdown=options.markdown))
    if not (options.gates or options.quick):
        print("\nThreads that block, by their number; for the raw socket, by the requests of a window:\n")
        print(report.tables(figures, lineup.THREADS, lineup.THREAD_CELLS, markdown=options.markdown))
    gates = [gate for gate in lineup.GATES if gate.measured(judged)]
    if gates:
        print("\nGates, as ratios in the same rounds:")
        print("\n".join(gate.line(judged) for gate in gates))
    if not (options.gates or options.only):
        print(f"\n{imports.report()} (goal for triocql: under {imports.GOAL} s)")
    return int(options.gates and not all(gate.passed(judged) for gate in gates))


def _judge(port: int, rounds: int, seconds: float) -> Figures:
    plan = lineup.plan(gates=True, quick=False)
    return measure(plan, port, rounds=rounds, seconds=seconds, progress=report.say)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
