"""`python -m tests.benchmarks`: triocql, other drivers and raw sockets against a server of canned answers."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from tests.benchmarks import bench_costs, imports, lineup, report, server
from tests.benchmarks.harness import Figures, measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.harness import Plan
    from tests.benchmarks.lineup import Gate


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
    seconds = 0.08 if options.quick else 0.15
    print(report.header(), end="\n\n", flush=True)
    one = _of_one(options, seconds)
    several = _of_several(options, seconds)
    if not (options.gates or options.only):
        print(f"\n{bench_costs.report_of_clocks(options.rounds, markdown=options.markdown)}")
        print(f"\n{imports.report()} (goal for triocql: under {imports.GOAL} s)")
    return int(options.gates and not (one and several))


def _of_one(options: argparse.Namespace, seconds: float) -> bool:
    """Measure on one node, print it, and return whether the gates hold."""
    plan = _only(options.only, lineup.plan(gates=options.gates, quick=options.quick))
    with server.running() as port:
        figures = measure(plan, port, rounds=options.rounds, seconds=seconds, progress=report.say)
        # By themselves, since a row that follows one that works hard finds the processor faster.
        judged = figures if options.gates or options.only else _judge(port, options.rounds, seconds)
    print(report.tables(figures, lineup.OURS + lineup.OTHERS, lineup.CELLS, markdown=options.markdown))
    if not (options.gates or options.quick):
        print("\nThreads that block, by their number; for the raw socket, by the requests of a window:\n")
        print(report.tables(figures, lineup.THREADS, lineup.THREAD_CELLS, markdown=options.markdown))
    return _verdict(lineup.GATES, judged)


def _of_several(options: argparse.Namespace, seconds: float) -> bool:
    """Measure on several nodes, print it, and return whether the gates hold."""
    plan = _only(options.only, lineup.plan_of_nodes(gates=options.gates))
    with server.running(lineup.NODES) as port:
        figures = measure(plan, port, rounds=options.rounds, seconds=seconds, progress=report.say)
    print(f"\nOn {lineup.NODES} nodes, each request to the one replica of its row:\n")
    print(report.tables(figures, lineup.OF_NODES, lineup.CELLS, markdown=options.markdown))
    return _verdict(lineup.GATES_OF_NODES, figures)


def _only(pattern: str, plan: Plan) -> Plan:
    return {cell: [row for row in rows if re.search(pattern, str(row))] for cell, rows in plan.items()}


def _verdict(gates: Sequence[Gate], figures: Figures) -> bool:
    measured = [gate for gate in gates if gate.measured(figures)]
    if measured:
        print("\nGates, as ratios in the same rounds:")
        print("\n".join(gate.line(figures) for gate in measured))
    return all(gate.passed(figures) for gate in measured)


def _judge(port: int, rounds: int, seconds: float) -> Figures:
    plan = lineup.plan(gates=True, quick=False)
    return measure(plan, port, rounds=rounds, seconds=seconds, progress=report.say)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
