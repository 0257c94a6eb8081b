"""Every place of the library where a coroutine may be suspended is one of those where it is cancelled."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import triocql
from tests.engine import test_warming
from tests.session import test_checkpoints, test_lifetimes
from tests.session.loops import Stage, Stepped, run_on
from tests.session.test_checkpoints import REACHED, SCENARIOS, note, scripted
from triocql.testing.simloop import SimLoop

PLACES = (
    "session/session",
    "session/stream",
    "session/concurrent",
    "session/nursery",
    "session/traces",
    "results/result",
    "cluster/cluster",
    "cluster/connector",
    "cluster/query",
)
"""The modules whose checkpoints have to be reached."""


def awaits(path: Path) -> list[tuple[int, int]]:
    """Return the first and last line of every expression in a file that may suspend its coroutine."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Await):
            found.append((node.lineno, node.end_lineno or node.lineno))
        elif isinstance(node, ast.AsyncFor):
            found.append((node.lineno, node.iter.end_lineno or node.lineno))
        elif isinstance(node, ast.AsyncWith):
            found.append((node.lineno, node.items[-1].context_expr.end_lineno or node.lineno))
    return found


async def awaiting_connect(stage: Stage) -> None:
    async def connect() -> None:
        session = await stage.connect()
        await session.aclose()

    stepped = Stepped(connect())
    assert not await stage.cancelling(stepped)
    note(stepped)


def noting(fn: Callable[[], Coroutine[Any, Any, Any]]) -> Callable[[], Coroutine[Any, Any, Any]]:
    """Return a function that does the same, and notes its checkpoints."""

    async def run() -> Any:
        stepped = Stepped(fn())
        try:
            return await stepped
        finally:
            note(stepped)

    return run


start = SimLoop.start


def test_every_checkpoint_of_the_library_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """In tasks of the library they are gone through: these are cancelled with who waits for them, wherever they are."""
    monkeypatch.setattr(
        SimLoop, "start", lambda self, fn, *args, **options: start(self, noting(fn), *args, **options)
    )
    run_on("simulated", awaiting_connect, scripted())
    for name in SCENARIOS:
        test_checkpoints.test_cancelled_at_each_checkpoint("simulated", name, monkeypatch)
    # The simulated one does not wait.
    test_checkpoints.test_cancelled_at_each_checkpoint("trio", "columns_in_a_thread", monkeypatch)
    for options in ({}, {"keyspace": "shop"}):
        test_lifetimes.test_connecting_cancelled_at_each_checkpoint("simulated", options)
    test_warming.test_a_session_is_open_once_there_is_a_connection_to_each_node()
    for seconds in (0.5, 1.5, 3.0):
        test_warming.test_connect_can_be_cancelled_at_any_time(seconds, level=False)
    for step in ("OPTIONS", "QUERY"):
        test_lifetimes.test_connecting_cancelled_while_the_node_owes_an_answer("simulated", step)
    test_lifetimes.test_closing_cancelled_at_each_checkpoint("simulated")
    for loop in ("simulated", "trio"):
        test_lifetimes.test_connecting_in_vain_cancelled_at_each_checkpoint(loop)
        test_lifetimes.test_leaving_by_an_error_cancelled_at_each_checkpoint(loop)
    root = Path(inspect.getfile(triocql)).parent
    missed = [
        f"{place}.py:{first}"
        for place in PLACES
        for first, last in awaits(root / f"{place}.py")
        if not any((str(root / f"{place}.py"), line) in REACHED for line in range(first, last + 1))
    ]
    assert missed == [], missed
