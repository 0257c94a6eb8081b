"""Profiles with a balancing policy of their own: other nodes, and nobody waits for the others' ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from tests.engine.peer import Asked
from tests.engine.rings import keyed, know, nodes_of, snapshot_of
from tests.engine.world import INSERT, SELECT, World, pools
from triocql import (
    Batch,
    PolicyOptions,
    Profile,
    Result,
    Session,
    Statement,
    errors,
    open_request_nursery,
)
from triocql.metadata.node import Distance, Node
from triocql.metadata.snapshot import Snapshot
from triocql.policies import (
    ConstantSpeculation,
    DefaultBalancing,
    FilteredBalancing,
    RoundRobin,
    RoutedRequest,
    Throttle,
)

OVERLOADED = 0x1001
FAR = {"far": Profile(balancing=DefaultBalancing(local_data_centre="dc2"))}
EVERYWHERE = {"class": "NetworkTopologyStrategy", "dc1": "1", "dc2": "1"}


def world_of(profiles: Any = None, **options: Any) -> World:
    """Return two nodes in each of two data centres."""
    given = {"local_data_centre": "dc1", "profiles": FAR if profiles is None else profiles, **options}
    world = World(count=4, **given)
    for node in world.nodes[2:]:
        node.data_centre = b"dc2"
    return world


def served_in(
    world: World, session: Session, statement: Any, values: Any = None, **options: Any
) -> str | None:
    return centre_of(world.call(session.execute, statement, values, **options))


def centre_of(result: Result[Any]) -> str | None:
    assert result.coordinator is not None
    return result.coordinator.data_centre


@pytest.mark.parametrize("ring", [False, True])
def test_requests_go_where_the_policy_of_their_profile_says(ring: bool) -> None:
    world = world_of()
    with world.session() as session:
        if ring:
            know(world, session, snapshot_of(nodes_of(session), EVERYWHERE))
        insert, select = keyed(world, session, INSERT), keyed(world, session, SELECT)
        for number in range(40):
            statements = [
                (select, [number]),
                (insert.bind(number), None),
                (Batch().add(insert, [number]), None),
                ("SELECT 1", None),
                (SELECT, [number]),
            ]
            for statement, values in statements:
                assert served_in(world, session, statement, values, profile="far") == "dc2"
                assert served_in(world, session, statement, values) == "dc1"
        assert {str(pool.node) for pool in pools(session)} == {str(each) for each in world.addresses}
        outcomes = world.call(
            session.execute_concurrent_with_args, insert, [[each] for each in range(300)], profile="far"
        )
        found = Counter(outcome.result_or_exc.coordinator for outcome in outcomes)
        assert {node.data_centre for node in found} == {"dc2"}
        if ring:  # to the replica that there is in each data centre
            for number, outcome in enumerate(outcomes):
                replicas = session.metadata.replicas("ks", number.to_bytes(4, "big"))
                assert outcome.result_or_exc.coordinator in replicas


def test_a_node_is_as_far_as_the_nearest_policy_says() -> None:
    profiles = {
        "far": Profile(balancing=DefaultBalancing(local_data_centre="dc2")),
        "both": Profile(
            balancing=DefaultBalancing(local_data_centre="dc1", remote_data_centres=["dc2"]),
        ),
    }
    for chosen, expected in [(("both",), [2, 2, 1, 1]), (("far", "both"), [2, 2, 2, 2]), ((), [2, 2])]:
        world = world_of({name: profiles[name] for name in chosen}, connections_local=2, connections_remote=1)
        with world.session() as session:
            assert [len(pool.connections) for pool in pools(session)] == expected


def test_the_policies_know_their_own_distances() -> None:
    """The nodes of one data centre are near for one policy, and not to be used for the other."""
    world = world_of(
        {
            "far": Profile(
                balancing=FilteredBalancing(DefaultBalancing(local_data_centre="dc2"), deny=["10.0.0.3"])
            )
        }
    )
    with world.session() as session:
        for _ in range(10):
            result = world.call(session.execute, "SELECT 1", profile="far")
            assert str(result.coordinator) == "10.0.0.4:9042"
            assert served_in(world, session, "SELECT 1") == "dc1"
        assert [str(pool.node) for pool in pools(session)] == [
            "10.0.0.1:9042",
            "10.0.0.2:9042",
            "10.0.0.4:9042",
        ]


@pytest.mark.parametrize("ring", [False, True])
def test_what_the_session_leaves_out_it_does_not_use_where_a_profile_does(ring: bool) -> None:
    """Nor does a profile use what only the session does."""
    near = DefaultBalancing(local_data_centre="dc1")
    profiles = {"other": Profile(balancing=FilteredBalancing(near, deny=["10.0.0.2"]))}
    policies = PolicyOptions(balancing=FilteredBalancing(near, deny=["10.0.0.1"]))
    world = world_of(profiles, local_data_centre=None, policies=policies)
    with world.session() as session:
        if ring:
            know(world, session, snapshot_of(nodes_of(session), {**EVERYWHERE, "dc1": "2"}))
        insert = keyed(world, session, INSERT)
        for profile, expected in (("default", "10.0.0.2:9042"), ("other", "10.0.0.1:9042")):
            for number in range(30):
                for statement, values in [
                    (insert, [number]),
                    (insert.bind(number), None),
                    ("SELECT 1", None),
                ]:
                    result = world.call(session.execute, statement, values, profile=profile)
                    assert str(result.coordinator) == expected


def test_what_is_tried_again_and_copies_go_to_the_nodes_of_the_profile() -> None:
    world = world_of(policies=PolicyOptions(speculation=ConstantSpeculation(0.05)))
    with world.session() as session:
        seen: list[Asked] = []

        def hold(asked: Asked) -> bool:
            if asked.text == "SELECT 1":
                seen.append(asked)
                return True
            return False

        for node in world.nodes:
            node.script = hold
        task = world.start(session.execute, "SELECT 1", profile="far")
        world.reactor.advance(0.06)
        assert sorted(world.nodes.index(asked.link.node) for asked in seen) == [2, 3]
        for asked in seen:
            asked.error(OVERLOADED)
        world.settle()
        del seen[:2]
        while not task.done:
            assert all(world.nodes.index(asked.link.node) >= 2 for asked in seen)
            for asked in seen:
                asked.error(OVERLOADED)
            seen.clear()
            world.settle()
        with pytest.raises(errors.Overloaded):
            task.result()


@pytest.mark.parametrize("busy", ["default", "far"])
def test_copies_are_sent_unless_others_wait_for_the_nodes_of_the_profile(busy: str) -> None:
    policies = PolicyOptions(speculation=ConstantSpeculation(0.05))
    world = world_of(policies=policies, max_in_flight=1)
    with world.session() as session:
        for node in world.nodes:
            node.holding = True
        world.start(session.execute, "SELECT x", profile="far")
        for _ in range(3):
            world.start(session.execute, "INSERT 1", profile=busy)
        assert session.stats().queued > 0
        world.reactor.advance(0.06)
        asked = [text for node in world.nodes[2:] for text in node.texts() if text == "SELECT x"]
        assert len(asked) == (1 if busy == "far" else 2)
        for node in world.nodes:
            node.holding = False
            node.release()
        world.settle()


def test_a_profile_whose_nodes_are_busy_keeps_nobody_else_waiting() -> None:
    world = world_of(max_in_flight=1, max_queue=3)
    with world.session() as session:
        for node in world.nodes[2:]:
            node.holding = True
        waiting = [world.start(session.execute, f"SELECT {number}", profile="far") for number in range(5)]
        assert session.stats().queued == 3
        assert [served_in(world, session, "SELECT 1") for _ in range(5)] == ["dc1"] * 5
        with pytest.raises(errors.QueueFull, match="3 requests"):
            world.call(session.execute, "SELECT 9", profile="far")
        assert served_in(world, session, "SELECT 1") == "dc1"
        for node in world.nodes[2:]:
            node.release()
        world.settle()
        assert {centre_of(task.result()) for task in waiting} == {"dc2"}
        assert session.stats().queued == 0


@pytest.mark.parametrize("where", ["call", "statement", "nursery"])
@pytest.mark.parametrize("busy", ["far", "default"])
def test_a_window_waits_where_the_queue_of_its_profile_is_full_and_there_only(busy: str, where: str) -> None:
    world = world_of(max_in_flight=1, max_queue=2)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        nodes = world.nodes[2:] if busy == "far" else world.nodes[:2]
        for node in nodes:
            node.holding = True
        values = [[number] for number in range(20)]

        async def load(profile: str) -> int:
            if where == "call":
                execute = session.execute_concurrent_with_args
                return len(await execute(insert, values, concurrency=10, profile=profile))
            statement = insert.with_options(profile=profile)
            if where == "statement":
                return len(await session.execute_concurrent_with_args(statement, values, concurrency=10))
            async with open_request_nursery(session, concurrency=10) as nursery:
                return len([await nursery.start(statement, each) for each in values])

        tasks = [world.start(load, busy), world.start(load, busy)]
        assert session.stats().queued == 2 * 8 + 2
        assert world.call(load, "default" if busy == "far" else "far") == 20
        with pytest.raises(errors.QueueFull, match="18 requests"):
            world.call(session.execute, "SELECT 1", profile=busy)
        for node in nodes:
            node.release()
            node.holding = False
        world.settle()
        assert [task.result() for task in tasks] == [20, 20]


def test_and_waits_for_nobody_else() -> None:
    world = world_of(max_in_flight=1)
    with world.session() as session:
        for node in world.nodes[:2]:
            node.holding = True
        waiting = [world.start(session.execute, f"SELECT {number}") for number in range(5)]
        assert session.stats().queued == 3
        assert [served_in(world, session, "SELECT 1", profile="far") for _ in range(5)] == ["dc2"] * 5
        for node in world.nodes[:2]:
            node.release()
        world.settle()
        assert {centre_of(task.result()) for task in waiting} == {"dc1"}


def test_what_waits_for_nodes_that_are_gone_is_told_so() -> None:
    world = world_of(max_in_flight=1)
    with world.session() as session:
        for node in world.nodes[2:]:
            node.holding = True
        tasks = [world.start(session.execute, f"INSERT {number}", profile="far") for number in range(4)]
        for listener in world.listeners[2:]:
            listener.refuse = True
            for connection in [
                each for each in listener.accepted if each in world.accepted(2) + world.accepted(3)
            ]:
                connection.reset()
        world.reactor.advance(5)
        assert served_in(world, session, "SELECT 1") == "dc1"
        for task in tasks:
            with pytest.raises((errors.NoNodeAvailable, errors.ConnectionLost)):
                task.result()
        with pytest.raises(errors.NoNodeAvailable, match=r"no connection to .* 10\.0\.0\.[34]") as info:
            world.call(session.execute, "SELECT 1", profile="far")
        assert "10.0.0.1" not in str(info.value)
        world.node.held.clear()
        for node in world.nodes:
            node.held.clear()


def test_a_profile_that_would_have_no_node_is_an_error_when_the_session_is_opened() -> None:
    world = world_of({"lost": Profile(balancing=DefaultBalancing(local_data_centre="dc9"))})
    message = (
        r"a profile would have no node: no node of the local data centre 'dc9' \(known are 'dc1', 'dc2'\)"
    )
    with pytest.raises(errors.OptionError, match=message):
        world.call(world.connect().__aenter__)
    world.assert_closed()


class Nowhere:
    """A policy of the user's, which has no hash."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, raised: Exception | None = None) -> None:
        self.raised = raised

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Nowhere)

    def distance(self, node: Node, snapshot: Snapshot) -> Distance:
        return Distance.REMOTE

    def plan(self, request: RoutedRequest, snapshot: Snapshot) -> Iterable[Node]:
        if self.raised is not None:
            raise self.raised
        return ()


def test_what_is_wrong_with_one_policy_is_nothing_to_the_others() -> None:
    world = world_of({"odd": Profile(balancing=Nowhere(KeyError("x"))), "none": Profile(balancing=Nowhere())})
    with world.session() as session:
        with pytest.raises(errors.RequestError, match="the balancing policy raised KeyError"):
            world.call(session.execute, "SELECT 1", profile="odd")
        with pytest.raises(errors.NoNodeAvailable, match="the balancing policy has no node for this request"):
            world.call(session.execute, "SELECT 1", profile="none")
        assert served_in(world, session, "SELECT 1") == "dc1"
        assert len(pools(session)) == 4


def test_inherited_policies_are_the_session_s_own() -> None:
    world = world_of(
        {"plain": Profile(timeout=5.0), "far": FAR["far"], "more": Profile(base="far", timeout=3.0)}
    )
    with world.session() as session:
        executor = session._context.executor
        asked = {
            name: executor.settings.of_profile(name).context.recovery.balancing
            for name in ("default", "plain", "far", "more")
        }
        assert asked["default"] is asked["plain"] is None
        assert asked["far"] is asked["more"] is not None
        assert served_in(world, session, Statement("SELECT 1", profile="more")) == "dc2"


def test_round_robin_and_one_node_and_a_throttle_beside() -> None:
    world = world_of({"all": Profile(balancing=RoundRobin(), throttling=Throttle(1))})
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        found = Counter(
            str(world.call(session.execute, insert, [1], profile="all").coordinator) for _ in range(8)
        )
        assert set(found.values()) == {2}
        (*_, last) = session.metadata.nodes
        result = world.call(session.execute, insert, [1], profile="all", node=last)
        assert result.coordinator is last


def test_slow_nodes_are_known_to_all_policies() -> None:
    world = world_of()
    with world.session() as session:
        router = session._context.executor.router
        assert len(router._defaults) == 2
        (*_, node) = session.metadata.nodes
        node.statistics.measured(1.0, 0.0)
        assert all(node in each.latencies._samples for each in router._defaults)
