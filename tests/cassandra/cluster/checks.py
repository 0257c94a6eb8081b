"""What has to hold of loads, and of the sessions that they ran on."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import triocql.sync
from tests.cassandra.conftest import patient

from .load import READ, REST, RUNS
from .running import running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from triocql.testing.cassandra import CassandraCluster, Node

    from .load import Load, Report
    from .running import Remote, Running

MANY = 150
"""How many answers of each load a scene waits for."""

BACK_OFF: dict[str, Any] = {"reconnection_base": 0.5, "reconnection_maximum": 3.0}
SLOW = 45.0
"""What a machine on which nodes start may take to connect. (That there is no more than one delay is shown on virtual
time; here, that it is seconds, and no minutes.)
"""

ONE_STEP = 3.0 * 1.15 + SLOW
"""The longest delay of that until a node is dialled again, with jitter."""

ELSEWHERE = 1.0 + SLOW
"""The longest time without a control connection."""

CONNECTIONS = 2
"""To each node."""

on_trio = pytest.mark.parametrize(
    "on", ["trio", *(pytest.param(on, marks=pytest.mark.long) for on in ("asyncio", "thread"))]
)
"""On Trio, in make test-long on the other two as well."""


@contextmanager
def loads_on(cluster: CassandraCluster, *, stale: bool = False, **options: Any) -> Iterator[list[Running]]:
    """Run a load on each reactor, side by side, in sessions with these options; none may see an error afterwards.

    With `stale`, a read may miss what was written before it, which has to be there in the end. So it is while ranges
    move: nodes do not agree for a moment on who has them, and two quorums need have no node in common.
    """
    with ExitStack() as stack:
        names = ("trio", "asyncio", "thread")
        loads = [stack.enter_context(running(on, cluster.contact_points, **options)) for on in names]
        yield loads
    for load in loads:
        assert (load.report.failed if stale else load.report.errors) == []
    for load in loads:
        check_runs(cluster, load.report, **options)
        check_texts(cluster, load.load, **options)


def check_texts(cluster: CassandraCluster, load: Load, **options: Any) -> None:
    """All nodes have what was written last."""
    options = {**options, "consistency": "ALL"}
    with triocql.sync.connect(cluster.contact_points[0], **patient(**options)) as session:
        results = session.execute_concurrent_with_args(READ, [[key] for key in load.possible])
        found = {key: result.scalar() for key, (_, result) in zip(load.possible, results, strict=True)}
    assert {key: text for key, text in found.items() if text not in load.possible[key]} == {}


def executions(cluster: CassandraCluster, ids: set[UUID], **options: Any) -> Counter[UUID]:
    """Return how often each of these runs was executed: the rows that it has."""
    options = {**options, "consistency": "QUORUM"}
    with triocql.sync.connect(cluster.contact_points[0], **patient(**options)) as session:
        results = session.execute_concurrent_with_args(RUNS, [[id_] for id_ in ids])
        return Counter(row.id for _, result in results for row in result)


def check_runs(cluster: CassandraCluster, report: Report, **options: Any) -> None:
    """What may not be executed twice was not; each run was executed as often as its outcome says."""
    report.check_runs(executions(cluster, report.runs, **options))


def check(cluster: CassandraCluster, *reports: Report) -> None:
    """No request that may be executed twice has failed, and none of the others was executed twice."""
    for report in reports:
        assert report.errors == []
    for report in reports:
        check_runs(cluster, report)


def go_on(loads: Sequence[Running | Remote]) -> None:
    """Wait until each has had many more answers."""
    for load in loads:
        load.answered(MANY)


@contextmanager
def resting(*loads: Running | Remote) -> Iterator[None]:
    """Have them send little meanwhile: it leaves the machine to nodes that start."""
    for load in loads:
        load.rest(0.2)
    yield
    for load in loads:
        load.rest(REST)


def wait_for_pools(load: Running, nodes: int = 3) -> float:
    """Wait until a session has the two connections to each node, and no others; returns how many seconds that took."""
    began = time.monotonic()
    load.load.until(lambda: load.stats().connections == CONNECTIONS * nodes, f"pools of {nodes} nodes")
    return time.monotonic() - began


def wait_for_control(load: Running, lost: Node) -> float:
    """Wait until a session has its control connection to another node; returns how many seconds that took."""
    began = time.monotonic()
    load.load.until(lambda: load.control_node() not in {None, lost.address}, "another control connection")
    return time.monotonic() - began
