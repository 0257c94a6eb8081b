"""Nodes that are killed, stopped, paused and restarted while requests go on, at QUORUM with three replicas."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.cassandra.services import held
from triocql import PolicyOptions
from triocql.policies.speculation import ConstantSpeculation

from .checks import (
    BACK_OFF,
    ELSEWHERE,
    MANY,
    ONE_STEP,
    check,
    check_runs,
    go_on,
    on_trio,
    resting,
    wait_for_control,
    wait_for_pools,
)
from .conftest import whole
from .running import Remote, Running, running, running_under_gevent

if TYPE_CHECKING:
    from triocql.testing.cassandra import CassandraCluster

pytestmark = pytest.mark.cassandra

AT_ONCE = 20.0
"""Seconds: less than any timeout of a load."""


def test_a_node_is_killed_and_comes_back(three: CassandraCluster) -> None:
    """On every loop, and without one: side by side, so that a node has to die but once. It is the one that each was
    given as contact point, and has its control connection to.
    """
    node = three.nodes[0]
    contact_points = [node.address]
    with ExitStack() as stack:
        here = [stack.enter_context(running(on, contact_points)) for on in ("trio", "asyncio", "thread")]
        loads: list[Running | Remote] = [*here, stack.enter_context(running_under_gevent(contact_points))]
        go_on(loads)
        assert {load.control_node() for load in here} == {node.address}
        node.kill()
        for load in here:
            assert wait_for_control(load, node) < ELSEWHERE
        go_on(loads)
        with resting(*loads):
            node.start()
        go_on(loads)
    reports = [load.report for load in loads]
    check(three, *reports)
    for report in reports:
        assert {name.partition(":")[0] for name in report.served} == {each.address for each in three.nodes}


@on_trio
def test_a_node_is_stopped_and_comes_back(three: CassandraCluster, on: str) -> None:
    node = three.nodes[2]
    with running(on, three.contact_points[:1], **BACK_OFF) as load:
        wait_for_pools(load)
        load.answered(MANY)
        node.stop()
        load.answered(MANY)
        with resting(load):
            node.start()
        assert wait_for_pools(load) < ONE_STEP
        load.answered(MANY)
    check(three, load.report)


@on_trio
@pytest.mark.long
def test_a_rolling_restart(three: CassandraCluster, on: str) -> None:
    with running(on, three.contact_points[:1], **BACK_OFF) as load:
        for node in three.nodes:
            load.answered(MANY)
            node.restart()
            assert wait_for_pools(load) < ONE_STEP
            three.wait_for_gossip()
        load.answered(MANY)
    check(three, load.report)


@on_trio
def test_a_node_is_paused(three: CassandraCluster, on: str) -> None:
    """What is in flight there times out, and nothing else. What may be executed twice does not, with a bound for each
    attempt, and neither with copies to other nodes. (The bound is short: where the others are slow, too, each of them
    was asked.)
    """
    node = three.nodes[0]
    contact_points = three.contact_points[:1]
    copies = PolicyOptions(speculation=ConstantSpeculation(0.2, max_attempts=3))
    with (
        running(on, contact_points, timeout=1.0) as plain,
        running(on, contact_points, attempt_timeout=1.0) as bounded,
        running(on, contact_points, policies=copies) as copied,
    ):
        go_on([plain, bounded, copied])
        with held(node):
            plain.failed(3)
            bounded.answered(100)
            copied.answered(100)
        go_on([plain, bounded, copied])
    assert {failure.error for failure in plain.report.failures} == {"RequestTimeout"}
    assert plain.report.wrong == []
    check_runs(three, plain.report)
    for failure in bounded.report.failures:
        assert not failure.idempotent or len(set(failure.nodes)) == len(three.nodes), failure.text
    assert bounded.report.wrong == []
    check_runs(three, bounded.report)
    check(three, copied.report)


@on_trio
@pytest.mark.long
def test_all_nodes_are_killed_and_come_back(three: CassandraCluster, on: str) -> None:
    """Meanwhile requests fail at once, and say why for each node. (With a single node: `test_failures.py`.)"""
    with running(on, three.contact_points[:1], **BACK_OFF) as load:
        load.answered(MANY)
        for node in three.nodes:
            node.kill()
        load.load.until(lambda: load.stats().connections == 0, "the loss of all connections")
        all_killed = time.monotonic()
        load.failed(100)
        failures = [failure for failure in load.report.failures if failure.began > all_killed]
        with resting(load):
            whole(three)
        assert wait_for_pools(load) < ONE_STEP
        load.answered(MANY)
    assert {failure.error for failure in failures} == {"NoNodeAvailable"}
    for failure in failures:
        assert failure.seconds < AT_ONCE, failure.text
        assert {name.partition(":")[0] for name in failure.nodes} == {node.address for node in three.nodes}
        assert not failure.maybe_executed
    assert load.report.wrong == []
    check_runs(three, load.report)
