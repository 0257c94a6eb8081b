"""Runs in a loop for somebody who does not wait for it: for who is being deleted, say."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .current import running_loop

if TYPE_CHECKING:
    import asyncio

_under_way: set[asyncio.Task[None]] = set()  # a loop holds its tasks weakly


def unattended(fn: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None] | None:
    """Return what has ``await fn()`` run as a task of the asyncio loop that runs here; None if another one runs.

    It may be called in any thread and amid anything else, as by the garbage collector, and does nothing once the loop
    has ended.
    """
    if running_loop() != "asyncio":
        return None
    import asyncio  # not at the top: programs on Trio do without it

    loop = asyncio.get_running_loop()

    def run() -> None:
        task = loop.create_task(fn())
        _under_way.add(task)
        task.add_done_callback(_under_way.discard)

    def run_soon() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(run)

    return run_soon
