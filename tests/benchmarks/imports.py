"""How long `import` takes in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from tests.benchmarks.child import ROOT

GOAL = 0.1  # seconds, for triocql
MODULES = ("triocql", "acsylla", "cassandra.cluster")
_PROGRAM = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def import_time(module: str, rounds: int = 5) -> float:
    """Return the median of the seconds that `import module` takes in processes of their own."""
    command = [sys.executable, "-c", _PROGRAM.format(module)]
    return median(
        float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        for _ in range(rounds)
    )


def report(modules: tuple[str, ...] = MODULES) -> str:
    """Return a line that compares the modules."""
    return "import: " + ", ".join(f"{name} {import_time(name):.3f} s" for name in modules)
