"""Balancing policies: the order of nodes for a request."""

from __future__ import annotations

from collections import Counter

from triocql.abc import Address
from triocql.metadata.node import Node
from triocql.metadata.snapshot import Snapshot
from triocql.policies.balancing import RoundRobin, RoutedRequest

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
