"""Which nodes a request goes to: plans, the turn of a node, and the runs on one connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.engine.peer import Asked
from tests.engine.world import SELECT, World, pools
from triocql import errors
from triocql.abc import Address
from triocql.engine.routing.plan import Plan
from triocql.metadata.node import Node
from triocql.metadata.snapshot import Snapshot
from triocql.session.session import Session

A, B, C, D = (Node(Address(f"10.0.0.{number}", 9042)) for number in (1, 2, 3, 4))
OVERLOADED = 0x1001


# --- Plans -------------------------------------------------------------------------------------------------


def test_a_plan_gives_the_nodes_in_the_order_of_the_policy() -> None:
    plan = Plan((A, B, C))
    assert list(plan) == [A, B, C]
    assert plan.given == []


def test_what_was_given_does_not_come_again_and_what_was_not_does() -> None:
    plan = Plan((A, B, C))
    assert next(iter(plan)) is A
    plan.give(B)
    assert list(plan) == [A, C]
    plan.give(A)
    plan.give(B)
    assert (list(plan), plan.given) == ([C], [B, A])


def test_a_node_that_the_policy_has_not_named_can_be_given() -> None:
    plan = Plan((A, B))
    plan.give(D)
    assert (list(plan), plan.given) == ([A, B], [D])


def test_a_plan_asks_its_policy_for_no_more_nodes_than_are_needed() -> None:
    asked: list[Node] = []

    def nodes() -> Iterator[Node]:
        for node in (A, B, C):
            asked.append(node)
            yield node

    plan = Plan(nodes())
    assert asked == []
    assert next(iter(plan)) is A
    assert asked == [A]
    plan.give(A)
    assert next(iter(plan)) is B
    assert asked == [A, B]
    assert list(plan) == [B, C]
    assert list(plan) == [B, C]


def test_an_empty_plan() -> None:
    assert list(Plan(())) == []


# --- Requests ----------------------------------------------------------------------------------------------


def coordinators(world: World, session: Session, count: int) -> list[str]:
    """Return which nodes answer requests that are started one after the other, without waiting."""
    statement = world.call(session.prepare, SELECT)
    tasks = [world.reactor.start(session.execute, statement, [number]) for number in range(count)]
    world.settle()
    return [str(task.result().coordinator) for task in tasks]


def test_a_run_of_requests_goes_to_one_node_and_the_next_run_to_the_next() -> None:
    world = World(count=3)
    with world.session() as session:
        found = Counter(coordinators(world, session, 32 * 6))
        assert len(found) == 3
        assert all(32 <= count <= 3 * 32 for count in found.values())


@pytest.mark.usefixtures("in_turn")
def test_nodes_take_turns() -> None:
    world = World(count=3)
    with world.session() as session:
        assert set(Counter(coordinators(world, session, 30)).values()) == {10}


def test_each_node_has_a_target_of_its_own() -> None:
    world = World(count=2)
    with world.session() as session:
        one, other = pools(session)
        assert one.target is not other.target


@pytest.mark.usefixtures("in_turn")
def test_each_attempt_goes_to_a_node_that_had_none_before() -> None:
    world = World(count=3)
    with world.session() as session:

        def refuse(asked: Asked) -> bool:
            asked.error(OVERLOADED, "not now")
            return True

        for node in world.nodes:
            node.script = refuse
        for _ in range(5):
            with pytest.raises(errors.Overloaded) as caught:
                world.call(session.execute, "SELECT x")
            attempts = [str(attempt.node) for attempt in caught.value.attempts]
            assert len(attempts) == 2
            assert {*attempts, str(caught.value.coordinator)} == {str(address) for address in world.addresses}


def test_where_all_nodes_but_those_tried_are_full_one_gets_a_request_again() -> None:
    world = World(count=2, max_in_flight=1)
    with world.session() as session:
        first, second = session._context.cluster.nodes.snapshot.nodes
        session._context.cluster.nodes.apply(Snapshot((second,)))
        world.settle()
        world.nodes[1].holding = True
        busy = world.start(session.execute, "INSERT 1")
        session._context.cluster.nodes.apply(Snapshot((second, Node(first.address))))
        world.settle()
        refused: list[Asked] = []

        def once(asked: Asked) -> bool:
            if refused or asked.text != "SELECT x":
                return False
            refused.append(asked)
            asked.error(OVERLOADED, "not now")
            return True

        world.nodes[0].script = once
        result = world.call(session.execute, "SELECT x")
        assert (str(result.coordinator), len(refused)) == (first.name, 1)
        world.nodes[1].release()
        world.settle()
        assert busy.result().coordinator is second


def test_errors_results_and_attempts_have_the_node() -> None:
    world = World(count=2)
    with world.session() as session:
        nodes = session._context.cluster.nodes.snapshot.nodes
        assert world.call(session.execute, "SELECT x").coordinator in nodes
        world.nodes[0].script = world.nodes[1].script = lambda asked: asked.error(OVERLOADED)
        with pytest.raises(errors.Overloaded) as caught:
            world.call(session.execute, "SELECT x")
        (attempt,) = caught.value.attempts
        assert {attempt.node, caught.value.coordinator} == set(nodes)
        assert str(attempt.node) in str(caught.value)
