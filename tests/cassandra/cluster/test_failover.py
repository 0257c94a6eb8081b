"""Nodes that are killed, stopped, paused and restarted while requests go on, at QUORUM with three replicas."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.cassandra.services import held

from .checks import BACK_OFF, MANY, ONE_STEP, check, check_runs, on_trio, wait_for_pools
from .conftest import whole
from .running import WORKERS, Remote, Running, running, running_under_gevent

if TYPE_CHECKING:
    from triocql.testing.cassandra import CassandraCluster

pytestmark = pytest.mark.cassandra


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
    """What is in flight there times out, and nothing else; with a bound for each attempt, not even that."""
    node = three.nodes[0]
    with (
        running(on, three.contact_points, timeout=1.0) as plain,
        running(on, three.contact_points, timeout=10.0, attempt_timeout=1.0) as bounded,
    ):
        for load in (plain, bounded):
            load.answered(MANY)
        with held(node):
            plain.failed(3)
            bounded.answered(100)
        for load in (plain, bounded):
            load.answered(MANY)
    assert {failure.error for failure in plain.report.failures} == {"RequestTimeout"}
    assert plain.report.wrong == []
    check_runs(three, plain.report)
    check(three, bounded.report)


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
    check_runs(three, load.report)
