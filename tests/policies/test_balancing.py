"""Balancing policies: the order of nodes for a request."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Any

import pytest

import triocql
from triocql.abc import Address
from triocql.errors import OptionError
from triocql.metadata.node import Distance, Node, NodeState
from triocql.metadata.snapshot import Snapshot
from triocql.policies.balancing import DefaultBalancing, FilteredBalancing, RoundRobin, RoutedRequest, latency
from triocql.policies.balancing.latency import ENOUGH, EVERY, WINDOW, Latencies

A, B, C = (Node(Address(f"10.0.0.{number}", 9042)) for number in (1, 2, 3))


def test_a_routing_key_is_looked_for_when_it_is_asked_for_and_once() -> None:
    asked = []

    def find() -> bytes:
        asked.append(1)
        return b"key"

    request = RoutedRequest("SELECT", routing_key=find)
    assert asked == []
    assert (request.routing_key, request.routing_key, asked) == (b"key", b"key", [1])
    assert RoutedRequest("SELECT").routing_key is None


def test_round_robin_begins_with_each_node_equally_often() -> None:
    policy = RoundRobin()
    plans = [tuple(policy.plan(RoutedRequest(""), Snapshot((A, B, C)))) for _ in range(30)]
    assert Counter(plan[0] for plan in plans) == {A: 10, B: 10, C: 10}
    assert all(set(plan) == {A, B, C} for plan in plans)
    assert policy.plan(RoutedRequest(""), Snapshot()) == ()


# --- The default policy ------------------------------------------------------------------------------------------


def cluster(*places: str) -> tuple[Node, ...]:
    """Return nodes in these data centres and racks: "dc1/r1"."""
    nodes = tuple(Node(Address(f"10.0.1.{number}", 9042)) for number in range(len(places)))
    for node, place in zip(nodes, places, strict=True):
        node.data_centre, node.rack = place.split("/")
    return nodes


def test_the_data_centre_of_the_first_contact_point_is_the_local_one_for_good() -> None:
    near, far = cluster("dc1/r", "dc2/r")
    policy = DefaultBalancing().in_session((near.address,))
    both = Snapshot((far, near))
    assert [policy.distance(node, both) for node in (near, far)] == [Distance.LOCAL, Distance.IGNORED]
    assert policy.distance(far, Snapshot((far,))) is Distance.IGNORED


def test_contact_points_in_several_data_centres_are_an_error_that_names_them() -> None:
    near, far = cluster("dc1/r", "dc2/r")
    policy = DefaultBalancing().in_session((near.address, far.address))
    with pytest.raises(
        OptionError, match=r"'dc1' \(10.0.1.0:9042\), 'dc2' \(10.0.1.1:9042\); set local_data_centre="
    ):
        policy.distance(near, Snapshot((near, far)))


def test_a_rack_that_no_local_node_is_in_is_told_of_once_until_one_is() -> None:
    near, other, far = cluster("dc1/r1", "dc1/r2", "dc2/r3")
    policy = DefaultBalancing(local_data_centre="dc1", local_rack="r3")
    missed = "no local node is in the rack 'r3' (known are 'r1', 'r2')"

    def follow() -> str | None:
        snapshot = Snapshot((near, other, far))
        for node in snapshot.nodes:
            policy.distance(node, snapshot)
        return policy.missed_rack(snapshot)

    assert [follow(), follow()] == [missed, None]
    near.rack = "r3"
    assert follow() is None
    near.rack = "r1"
    assert [follow(), follow()] == [missed, None]
    assert DefaultBalancing(local_rack="r3").missed_rack(Snapshot()) is None


def test_sessions_learn_nothing_from_each_other() -> None:
    near, far = cluster("dc1/r", "dc2/r")
    shared = DefaultBalancing()
    one, other = shared.in_session((near.address,)), shared.in_session((far.address,))
    snapshot = Snapshot((near, far))
    assert one.distance(near, snapshot) is other.distance(far, snapshot) is Distance.LOCAL
    assert shared.local_data_centre is None


def test_an_empty_plan_can_be_explained() -> None:
    nodes = cluster("dc1/r", "dc2/r")
    policy = DefaultBalancing(local_data_centre="dc3")
    for node in nodes:
        node.distance = policy.distance(node, Snapshot(nodes))
    assert (
        policy.explain(Snapshot(nodes)) == "no node of the local data centre 'dc3' (known are 'dc1', 'dc2')"
    )


def test_nodes_that_are_down_come_last_and_take_no_turn() -> None:
    nodes = cluster("dc1/r", "dc1/r", "dc1/r")
    nodes[1].state = NodeState.DOWN
    policy = DefaultBalancing()
    plans = [list(policy.plan(RoutedRequest(""), Snapshot(nodes))) for _ in range(20)]
    assert Counter(plan[0] for plan in plans) == {nodes[0]: 10, nodes[2]: 10}
    assert {plan[-1] for plan in plans} == {nodes[1]}


@pytest.mark.parametrize(
    "options",
    [
        {"local_data_centre": 7},
        {"local_rack": ""},
        {"remote_data_centres": "dc1"},
        {"remote_data_centres": [7]},
    ],
)
def test_what_is_no_name_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        DefaultBalancing(**options)  # type: ignore[arg-type]
    with pytest.raises(OptionError):
        triocql.Options(**options)  # type: ignore[arg-type]


def test_a_data_centre_beside_a_policy_is_refused() -> None:
    policies = triocql.PolicyOptions(balancing=RoundRobin())
    with pytest.raises(OptionError, match="give data centres and rack to that"):
        triocql.Options(policies=policies, local_data_centre="dc1")


def test_a_filter_leaves_out_what_it_denies_or_does_not_allow() -> None:
    nodes = cluster("dc1/r1", "dc1/r2", "dc1/r3", "dc1/r4")
    policy = FilteredBalancing(
        RoundRobin(),
        allow=["10.0.1.0:9042", "10.0.1.1", "10.0.1.2"],
        deny=["10.0.1.1"],
        predicate=lambda node: node.rack != "r3",
    )
    snapshot = Snapshot(nodes)
    for node in nodes:
        node.distance = policy.distance(node, snapshot)
    assert list(policy.plan(RoutedRequest(""), snapshot)) == [nodes[0]]
    assert policy.explain(snapshot) == "the filter leaves out 3 of 4 nodes"
    with pytest.raises(OptionError):
        FilteredBalancing()
    with pytest.raises(OptionError):
        FilteredBalancing(deny="10.0.1.1")


# --- Slow nodes ----------------------------------------------------------------------------------------------------


def test_a_node_is_slow_from_enough_measurements_on_until_they_are_old() -> None:
    latencies, now = Latencies(), 100.0
    for _ in range(ENOUGH - 1):
        now += EVERY
        for node, seconds in ((A, 0.001), (B, 0.001), (C, 0.0021)):
            latencies.record(node, seconds, now)
    assert latencies.slow == frozenset()
    changes = []
    for _ in range(30):
        now += EVERY
        for node, seconds in ((A, 0.001), (B, 0.001), (C, 0.0021)):
            changes.append(latencies.record(node, seconds, now))
    assert latencies.slow == {C}
    assert changes.count(True) == 1
    for _ in range(int(WINDOW / EVERY) + 30):
        now += EVERY
        for node in (A, B):
            latencies.record(node, 0.001, now)
    assert latencies.slow == frozenset()


def test_no_step_goes_through_what_many_nodes_took(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(values: Iterable[float]) -> float:
        values = list(values)
        seen.append(len(values))
        return median(values)

    monkeypatch.setattr(latency, "median", counted)
    latencies, now = Latencies(), 100.0
    nodes = [Node(Address(f"10.0.1.{number}", 9042)) for number in range(100)]
    for _ in range(2 * ENOUGH):
        now += EVERY
        for node in nodes:
            before = len(seen)
            latencies.record(node, 0.005 if node is nodes[0] else 0.001, now)
            assert sum(seen[before:]) <= int(WINDOW / EVERY) + len(nodes)
    assert latencies.slow == {nodes[0]}


def test_no_step_goes_through_what_has_become_old_while_nothing_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a pause of the program: what 300 nodes took then is 75,000 numbers."""
    touched: list[int] = []

    class Counted(deque[tuple[float, float]]):
        def __iter__(self) -> Iterator[tuple[float, float]]:
            touched.append(len(self))
            return super().__iter__()

        def __getitem__(self, index: Any) -> Any:
            touched.append(1)
            return super().__getitem__(index)

        def popleft(self) -> tuple[float, float]:
            touched.append(1)
            return super().popleft()

    monkeypatch.setattr(latency, "deque", Counted)
    latencies, now = Latencies(), 100.0
    nodes = [Node(Address(f"10.0.1.{number}", 9042)) for number in range(30)]
    for _ in range(int(WINDOW / EVERY)):
        now += EVERY
        for node in nodes:
            latencies.record(node, 0.005 if node is nodes[0] else 0.001, now)
    assert latencies.slow == {nodes[0]}
    for pause in (WINDOW - 1.0, 2.0, WINDOW + 1.0):
        now += pause
        touched.clear()
        latencies.record(nodes[1], 0.001, now)
        assert sum(touched) <= int(WINDOW / EVERY) + 4 * len(nodes)
    assert latencies.slow == frozenset()


def test_twice_the_median_is_not_too_slow() -> None:
    latencies, now = Latencies(), 100.0
    for _ in range(2 * ENOUGH):
        now += EVERY
        for node, seconds in ((A, 0.001), (B, 0.001), (C, 0.0019)):
            latencies.record(node, seconds, now)
    assert latencies.slow == frozenset()
