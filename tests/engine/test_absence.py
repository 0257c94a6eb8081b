"""An empty plan says why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

import triocql
from tests.engine.world import World
from triocql import errors
from triocql.metadata.node import Distance, Node
from triocql.metadata.snapshot import Snapshot
from triocql.policies.balancing import DefaultBalancing, FilteredBalancing, RoutedRequest


class Without:
    """A policy with no node for anything; it ignores those in "far"."""

    def __init__(self, reason: Any = None) -> None:
        self.reason = reason

    def distance(self, node: Node, snapshot: Snapshot) -> Distance:
        return Distance.IGNORED if node.data_centre == "far" else Distance.LOCAL

    def plan(self, request: RoutedRequest, snapshot: Snapshot) -> Iterator[Node]:
        return iter(())


class Explaining(Without):
    def explain(self, snapshot: Snapshot) -> str | None:
        if isinstance(self.reason, Exception):
            raise self.reason
        return self.reason  # type: ignore[no-any-return]


def refusal(world: World, session: triocql.Session) -> errors.NoNodeAvailable:
    with pytest.raises(errors.NoNodeAvailable) as caught:
        world.call(session.execute, "SELECT x")
    return caught.value


def with_policy(policy: Any, count: int = 1) -> World:
    return World(count=count, policies=triocql.PolicyOptions(balancing=policy))


def test_no_node_is_known() -> None:
    world = World()
    with world.session() as session:
        session._context.cluster.nodes.apply(Snapshot())
        assert str(refusal(world, session)) == "no node of the cluster is known"


def test_no_connection_to_any_node_names_them_with_their_last_failures() -> None:
    world = World(count=2)
    with world.session() as session:
        for listener in world.listeners:
            listener.refuse = True
            listener.accepted[0].reset()
        world.settle()
        error = refusal(world, session)
        first, second = error.attempts
        assert str(error).splitlines() == [
            # In the order of the plan.
            f"no connection to any node: {first.node} (down in dc1), {second.node} (down in dc1)",
            f"  {first}",
            f"  {second}",
        ]
        assert "ConnectError" in str(first)
        assert first.decision.startswith("dialled again in ")
        assert {str(first.node), str(second.node)} == {"10.0.0.1:9042", "10.0.0.2:9042"}
        for listener in world.listeners:
            listener.refuse = False


def test_very_many_nodes_are_not_all_named() -> None:
    world = World(count=12)
    with world.session() as session:
        for listener in world.listeners:
            listener.refuse = True
            listener.accepted[0].reset()
        world.settle()
        assert str(refusal(world, session)).splitlines()[0].endswith(" (down in dc1) and 4 more")
        for listener in world.listeners:
            listener.refuse = False


def test_a_policy_explains_why_it_has_no_node() -> None:
    reason = "no node of the local data centre 'x' (known are 'y', 'z')"
    world = with_policy(Explaining(reason))
    with world.session() as session:
        assert str(refusal(world, session)) == f"no node for this request: {reason}"


@pytest.mark.parametrize(
    "policy", [Without(), Explaining(), Explaining(KeyError("bug")), Explaining(5), Explaining(b"x")]
)
def test_a_policy_that_does_not_explain(policy: Any, caplog: pytest.LogCaptureFixture) -> None:
    world = with_policy(policy, count=2)
    with world.session() as session:
        node = session._context.cluster.nodes.snapshot.nodes[1]
        node.data_centre = "far"
        session._context.cluster.router.apply(session._context.cluster.nodes.snapshot)
        assert str(refusal(world, session)) == (
            "the balancing policy has no node for this request; known are "
            "10.0.0.1:9042 (up in dc1), 10.0.0.2:9042 (up in far, ignored)"
        )
    assert (len(caplog.records) > 0) is (policy.reason is not None)
    caplog.clear()


def test_there_is_no_node_in_the_local_data_centre() -> None:
    world = with_policy(DefaultBalancing(local_data_centre="dc1"), count=2)
    with world.session() as session:
        snapshot = session._context.cluster.nodes.snapshot
        for node, name in zip(snapshot.nodes, ("z", "y"), strict=True):
            node.data_centre = name
        session._context.cluster.router.apply(snapshot)
        assert str(refusal(world, session)) == (
            "no node for this request: no node of the local data centre 'dc1' (known are 'y', 'z')"
        )


class Ignoring(Without):
    def distance(self, node: Node, snapshot: Snapshot) -> Distance:
        return Distance.IGNORED


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (
            DefaultBalancing(local_data_centre="DC1"),
            "no node of the local data centre 'DC1' (known are 'dc1')",
        ),
        (FilteredBalancing(allow=["10.9.9.9"]), "the filter leaves out 2 of 2 nodes"),
        (Ignoring(), "the balancing policy ignores every node: "),
    ],
    ids=["a misspelt data centre", "a filter that lets none through", "a policy of the user's"],
)
def test_a_session_that_would_have_no_node_is_not_opened(policy: Any, reason: str) -> None:
    world = with_policy(policy, count=2)
    with pytest.raises(errors.OptionError, match=re.escape(f"the session would have no node: {reason}")):
        world.call(world.connect().__aenter__)
    world.assert_closed()


@pytest.mark.parametrize("local", [None, "dc1"])
def test_a_filter_leaves_none(local: str | None) -> None:
    policy = DefaultBalancing(local_data_centre=local)
    world = with_policy(FilteredBalancing(policy, predicate=lambda node: node.rack != "attic"), count=2)
    with world.session() as session:
        snapshot = session._context.cluster.nodes.snapshot
        for node in snapshot.nodes:
            node.rack = "attic"
        session._context.cluster.router.apply(snapshot)
        assert str(refusal(world, session)) == "no node for this request: the filter leaves out 2 of 2 nodes"
