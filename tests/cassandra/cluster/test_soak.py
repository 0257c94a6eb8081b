"""Nodes killed, stopped and paused for half an hour, or for MINUTES of the environment: nothing is left over."""

from __future__ import annotations

import ctypes
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

from .checks import BACK_OFF, CONNECTIONS, check, check_texts, go_on, resting, wait_for_pools
from .running import Running, running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from triocql.testing.cassandra import CassandraCluster, Node

    Fault: TypeAlias = Callable[[Node, Sequence[Running]], None]

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
    """Return the bytes of memory that this process has, less what was freed and is kept for later."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
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


def endure(cluster: CassandraCluster, loads: Sequence[Running], fault: Fault, node: Node) -> None:
    """Have one fault while all loads go on, and nothing lost afterwards."""
    for load in loads:
        load.start()
    fault(node, loads)
    cluster.wait_for_gossip()
    for load in loads:
        wait_for_pools(load)
    go_on(loads)
    quiet(loads)
    check(cluster, *(load.load.take_report() for load in loads))


def test_faults_leave_nothing_behind(three: CassandraCluster) -> None:
    chance = random.Random(1)
    with ExitStack() as stack:
        loads = {
            on: stack.enter_context(running(on, three.contact_points, **SLOW, **BACK_OFF))
            for on in ("trio", "asyncio", "thread")
        }
        each = list(loads.values())
        quiet(each)
        endure(three, each, pause, three.nodes[0])  # once, so that what is made but once is there
        memory_before, before = memory(), what_is_held(loads)
        began, faults, grown = time.monotonic(), 0, 0
        while time.monotonic() < began + MINUTES * 60 or not faults:
            fault = chance.choice([pause, pause, kill, stop])
            endure(three, each, fault, chance.choice(three.nodes))
            faults += 1
            grown = memory() - memory_before
            print(f"{time.monotonic() - began:4.0f} s, {fault.__name__}: {grown / MEBIBYTE:.1f} MiB more")
        eventually(lambda: what_is_held(loads) == before)
        assert grown < GROWTH, f"after {faults} faults"
        for load in each:
            check_texts(three, load.load)
