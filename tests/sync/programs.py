"""Programs in processes of their own, beside a node of the test's."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def start(program: str, port: int, *options: str, first: str = "") -> subprocess.Popen[str]:
    """Start a program in which `connect()` connects to the node at `port`; `first` comes before all imports."""
    head = f"{first}\nimport os, sys, threading, triocql.sync\n"
    head += f"def connect(): return triocql.sync.connect(port={port}, connections_local=1)\n"
    return subprocess.Popen(
        [sys.executable, *options, "-c", head + textwrap.dedent(program)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(program: str, port: int, *options: str, first: str = "") -> tuple[list[str], str]:
    """Run a program to its end: the lines that it printed, and its stderr. It has to succeed."""
    with start(program, port, *options, first=first) as process:
        try:
            out, err = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 0, err
    return out.splitlines(), err
