"""Nodes that are killed, stopped and restarted while requests go on, at QUORUM with three replicas."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

import triocql.sync
from tests.cassandra.services import held

from .conftest import whole
from .load import KEYSPACE
from .running import WORKERS, Remote, Running, running, running_under_gevent

if TYPE_CHECKING:
    from uuid import UUID

    from triocql.testing.cassandra import CassandraCluster

    from .load import Report

pytestmark = pytest.mark.cassandra

MANY = 300
BACK_OFF: dict[str, Any] = {"reconnection_base": 0.5, "reconnection_maximum": 3.0}
ONE_STEP = 3.0 * 1.15 + 1.5
"""The longest delay of that until a node is dialled again, with jitter, and what a slow machine takes to connect."""

CONNECTIONS = 6
"""Two to each of the three nodes."""

on_trio = pytest.mark.parametrize(
    "on", ["trio", *(pytest.param(on, marks=pytest.mark.long) for on in ("asyncio", "thread"))]
)
"""On Trio, in make test-long on the other two as well."""


def executions(cluster: CassandraCluster) -> Counter[UUID]:
    """Return how often each run was executed: the rows that it has."""
    with triocql.sync.connect(cluster.contact_points, timeout=60.0) as session:
        with session.stream(f"SELECT id FROM {KEYSPACE}.runs", consistency="QUORUM") as rows:
            return Counter(row.id for row in rows)


def check(cluster: CassandraCluster, *reports: Report) -> None:
    """No request that may be executed twice has failed, and none of the others was executed twice."""
    for report in reports:
        assert report.errors == []
    rows = executions(cluster)
    for report in reports:
        report.check_runs(rows)


def wait_for_pools(load: Running) -> float:
    """Wait until the session of a load has all its connections; returns how many seconds that took."""
    began = time.monotonic()
    load.load.until(lambda: load.stats().connections == CONNECTIONS, "a whole pool for each node")
    return time.monotonic() - began


def test_a_node_is_killed_and_comes_back(three: CassandraCluster) -> None:
    """On every loop, and without one: side by side, so that a node has to die but once."""
    node = three.nodes[1]
    loads: list[Running | Remote] = []
    with ExitStack() as stack:
        for on in ("trio", "asyncio", "thread"):
            loads.append(stack.enter_context(running(on, three.contact_points)))
        loads.append(stack.enter_context(running_under_gevent(three.contact_points)))
        for happen in (node.is_up, node.kill, node.start):
            happen()
            for load in loads:
                load.answered(MANY)
    check(three, *(load.report for load in loads))


@on_trio
def test_a_node_is_stopped_and_comes_back(three: CassandraCluster, on: str) -> None:
    node = three.nodes[2]
    with running(on, three.contact_points, **BACK_OFF) as load:
        wait_for_pools(load)
        load.answered(MANY)
        node.stop()
        load.answered(MANY)
        node.start()
        assert wait_for_pools(load) < ONE_STEP
        load.answered(MANY)
    check(three, load.report)


@on_trio
@pytest.mark.long
def test_a_rolling_restart(three: CassandraCluster, on: str) -> None:
    with running(on, three.contact_points, **BACK_OFF) as load:
        for node in three.nodes:
            load.answered(MANY)
            node.restart()
            assert wait_for_pools(load) < ONE_STEP
            three.wait_for_gossip()
        load.answered(MANY)
    check(three, load.report)


@on_trio
def test_a_node_is_paused(three: CassandraCluster, on: str) -> None:
    """What is in flight there times out, and nothing else."""
    node = three.nodes[0]
    with running(on, three.contact_points, timeout=1.0) as load:
        load.answered(MANY)
        with held(node):
            load.failed(3)
        load.answered(MANY)
    report = load.report
    assert {failure.error for failure in report.failures} == {"RequestTimeout"}
    assert report.wrong == []
    report.check_runs(executions(three))


@on_trio
def test_all_nodes_are_killed_and_come_back(three: CassandraCluster, on: str) -> None:
    """Meanwhile requests fail at once, and say why for each node."""
    with running(on, three.contact_points, **BACK_OFF) as load:
        load.answered(MANY)
        for node in three.nodes:
            node.kill()
        load.failed(WORKERS)  # what was under way
        before = len(load.report.failures)
        load.failed(100)
        failures = load.report.failures[before:]
        whole(three)
        assert wait_for_pools(load) < ONE_STEP
        load.answered(MANY)
    assert {failure.error for failure in failures} == {"NoNodeAvailable"}
    assert max(failure.seconds for failure in failures) < 1.0
    for failure in failures:
        assert {name.partition(":")[0] for name in failure.nodes} == {node.address for node in three.nodes}
        assert not failure.maybe_executed
    assert load.report.wrong == []
    load.report.check_runs(executions(three))
