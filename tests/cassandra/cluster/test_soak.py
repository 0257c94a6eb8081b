"""Nodes killed, stopped and paused for half an hour, or for MINUTES of the environment: nothing is left over."""

from __future__ import annotations

import gc
import os
import random
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.cassandra.services import eventually, held

from .checks import BACK_OFF, CONNECTIONS, check, go_on, resting, wait_for_pools
from .running import Running, running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triocql.testing.cassandra import CassandraCluster, Node

pytestmark = [pytest.mark.cassandra, pytest.mark.long]

MINUTES = float(os.environ.get("MINUTES", "30"))
MEBIBYTE = 2**20
SLOW: dict[str, float] = {"timeout": 60.0, "attempt_timeout": 12.0}
"""Seconds until a node that is paused is given up. Those that are not may be slow, too, as nodes that have just been
started on the same machine are; that is no error as long as each may be asked once."""

GROWTH = 32 * MEBIBYTE
"""What a process may have more of than at first, whatever the number of faults."""


class Held(NamedTuple):
    """What this process and its sessions have: it is to be the same in the end."""

    tasks: int
    sockets: int
    threads: int


def tasks_on_trio() -> int:
    import trio

    return trio.lowlevel.current_statistics().tasks_living


def tasks_on_asyncio() -> int:
    import asyncio

    return len(asyncio.all_tasks())


TASKS: dict[str, Callable[[], int]] = {
    "trio": tasks_on_trio,
    "asyncio": tasks_on_asyncio,
    "thread": lambda: 0,
}


def what_is_held(loads: dict[str, Running]) -> Held:
    """Count what there is while the loads have stopped."""
    tasks = sum(load.call(TASKS[on]) for on, load in loads.items())
    links = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return Held(tasks, sum(link.startswith("socket:") for link in links), threading.active_count())


def memory() -> int:
    """Return the bytes of memory that this process has."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pause(node: Node, loads: Sequence[Running]) -> None:
    with held(node):
        go_on(loads)


def kill(node: Node, loads: Sequence[Running]) -> None:
    node.kill()
    go_on(loads)
    with resting(*loads):
        node.start()


def stop(node: Node, loads: Sequence[Running]) -> None:
    node.stop()
    go_on(loads)
    with resting(*loads):
        node.start()


def quiet(loads: Sequence[Running]) -> None:
    """Have the loads stop, and their sessions have whole pools and nothing under way."""
    for load in loads:
        load.stop()
        eventually(lambda load=load: load.stats()[:4] == (3 * CONNECTIONS, 0, 0, 0))  # type: ignore[misc]


def test_faults_leave_nothing_behind(three: CassandraCluster) -> None:
    chance = random.Random(1)
    end = time.monotonic() + MINUTES * 60
    with ExitStack() as stack:
        loads = {
            on: stack.enter_context(running(on, three.contact_points, **SLOW, **BACK_OFF))
            for on in ("trio", "asyncio", "thread")
        }
        each = list(loads.values())
        pause(three.nodes[0], each)  # once, so that what is made but once is there
        quiet(each)
        before, memory_before = what_is_held(loads), memory()
        faults = 0
        while time.monotonic() < end or not faults:
            for load in each:
                load.start()
            fault = chance.choice([pause, pause, kill, stop])
            fault(chance.choice(three.nodes), each)
            three.wait_for_gossip()
            for load in each:
                wait_for_pools(load)
            go_on(each)
            quiet(each)
            check(three, *(load.load.take_report() for load in each))
            faults += 1
        assert what_is_held(loads) == before
        assert memory() - memory_before < GROWTH, f"after {faults} faults"
