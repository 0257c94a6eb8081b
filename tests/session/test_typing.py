from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SNIPPETS = sorted(map(str, Path(__file__).parent.glob("typing_*.py")))


def check(*command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command, *SNIPPETS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_knows_the_rows() -> None:
    check("mypy", "--strict")


def test_pyright_knows_the_rows() -> None:
    check("pyright", "--pythonpath", sys.executable)
