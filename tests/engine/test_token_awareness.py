"""Requests go to replicas of their partition, by the shortest way and by every other one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import triocql
from tests.engine.peer import Asked
from tests.engine.rings import KEYSPACE, key_of, keyed, know, nodes_of, snapshot_of
from tests.engine.world import INSERT, SELECT, World, pools
from triocql import errors
from triocql.abc import Address
from triocql.metadata.node import Distance, Node
from triocql.metadata.partitioners import MURMUR3
from triocql.metadata.snapshot import Snapshot
from triocql.policies.balancing import FilteredBalancing, RoutedRequest, default_of
from triocql.protocol.constants import Consistency, Opcode
from triocql.session.session import Session

OVERLOADED = 0x1001
CONDITIONAL = "INSERT INTO t (k) VALUES (?) IF NOT EXISTS"
TWICE = {"class": "SimpleStrategy", "replication_factor": "2"}
EVERYWHERE = {"class": "NetworkTopologyStrategy", "dc1": "2", "dc2": "2"}


def replicas(snapshot: Snapshot, number: int) -> tuple[Node, ...]:
    return snapshot.replicas(KEYSPACE, key_of(number))


def ask(world: World, session: Session, statement: Any, number: int, **options: Any) -> Node:
    """Return the node that a request for a partition goes to."""
    node = world.call(session.execute, statement, [number], **options).coordinator
    assert isinstance(node, Node)
    return node


def test_what_has_a_partition_goes_to_a_replica() -> None:
    world = World(count=4)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, SELECT)
        for number in range(200):
            assert ask(world, session, statement, number) in replicas(snapshot, number)


def test_many_at_once_go_to_replicas_and_to_each_alike() -> None:
    world = World(count=4)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session), TWICE, tokens=64))
        statement = keyed(world, session, INSERT)
        outcomes = world.call(
            triocql.execute_concurrent_with_args, session, statement, [[number] for number in range(2000)]
        )
        found = Counter(outcome.result_or_exc.coordinator for outcome in outcomes)
        assert all(
            outcome.result_or_exc.coordinator in replicas(snapshot, number)
            for number, outcome in enumerate(outcomes)
        )
        assert len(found) == 4
        assert max(found.values()) < 2 * min(found.values())


def test_one_partition_is_spread_over_its_replicas() -> None:
    world = World(count=4)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, SELECT)
        found = Counter(ask(world, session, statement, 7) for _ in range(200))
        assert set(found) == set(replicas(snapshot, 7))
        assert min(found.values()) > 60


def test_the_less_busy_replica_is_chosen() -> None:
    world = World(count=2)
    with world.session() as session:
        know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, SELECT)
        for node in world.nodes:
            node.holding = True
        for number in range(40):
            world.start(session.execute, statement, [number])
        assert [len(node.held) for node in world.nodes] == [20, 20]
        for node in world.nodes:
            node.release()


@pytest.mark.parametrize("options", [{}, {"consistency": "LOCAL_SERIAL"}])
def test_a_lightweight_transaction_goes_to_the_first_replica_of_the_ring(options: dict[str, Any]) -> None:
    world = World(count=4)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, SELECT if options else CONDITIONAL)
        for number in range(200):
            assert ask(world, session, statement, number, **options) is replicas(snapshot, number)[0]


def test_a_lightweight_transaction_is_tried_again_in_the_order_of_the_ring() -> None:
    world = World(count=4)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session), tokens=1))
        statement = keyed(world, session, CONDITIONAL)
        for node in world.nodes:
            node.script = refuse
        for number in range(20):
            with pytest.raises(errors.Overloaded) as caught:
                ask(world, session, statement, number, idempotent=True)
            tried = [attempt.node for attempt in caught.value.attempts][:2]
            assert tried == list(replicas(snapshot, number))


def refuse(asked: Asked) -> bool:
    return asked.opcode != Opcode.PREPARE and asked.error(OVERLOADED, "not now")


def test_a_bound_statement_a_batch_and_text_with_values_go_to_replicas_too() -> None:
    world = World(count=4, keyspace=KEYSPACE)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, INSERT)
        for number in range(50):
            bound = statement.bind(number)
            assert world.call(session.execute, bound).coordinator in replicas(snapshot, number)
            batch = triocql.Batch().add("INSERT 1").add(statement, [number])
            assert world.call(session.execute, batch).coordinator in replicas(snapshot, number)


def test_what_has_no_partition_goes_to_all_nodes_alike() -> None:
    world = World(count=3)
    with world.session() as session:
        know(world, session, snapshot_of(nodes_of(session)))
        found = Counter(world.call(session.execute, "SELECT x").coordinator for _ in range(32 * 6))
        assert len(found) == 3
        assert all(32 <= count <= 3 * 32 for count in found.values())


def test_a_keyspace_of_which_nothing_is_known_is_served_all_the_same() -> None:
    world = World(count=3)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, SELECT)
        ask(world, session, statement, 1)
        know(world, session, Snapshot(snapshot.nodes, ring=snapshot.ring))
        assert {ask(world, session, statement, number) for number in range(100)} == set(snapshot.nodes)
        know(world, session, snapshot)
        assert all(
            ask(world, session, statement, number) in replicas(snapshot, number) for number in range(50)
        )


def test_a_null_in_the_key_is_sent_all_the_same() -> None:
    world = World(count=3)
    with world.session() as session:
        know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, INSERT)
        world.call(session.execute, statement, [None])


def lose(world: World, number: int) -> None:
    """Have a node refuse connections and close those it has."""
    world.listeners[number].refuse = True
    for link in world.nodes[number].links:
        if not link.lost:
            assert link.transport is not None
            link.transport.abort()
    world.settle()


def test_where_a_replica_is_lost_the_other_one_gets_the_request() -> None:
    world = World(count=3)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session)))
        statement, conditional = keyed(world, session, SELECT), keyed(world, session, CONDITIONAL)
        lost = snapshot.nodes[0]
        lose(world, 0)
        for number in range(100):
            left = [node for node in replicas(snapshot, number) if node is not lost]
            assert ask(world, session, statement, number) in left
            assert ask(world, session, conditional, number) is left[0]


def test_where_all_replicas_are_lost_another_node_gets_the_request() -> None:
    world = World(count=3)
    with world.session() as session:
        once = {"class": "SimpleStrategy", "replication_factor": "1"}
        snapshot = know(world, session, snapshot_of(nodes_of(session), once))
        statement = keyed(world, session, SELECT)
        lose(world, 0)
        found = {ask(world, session, statement, number) for number in range(100)}
        assert found == set(snapshot.nodes[1:])


def test_where_a_replica_has_no_room_the_other_one_gets_the_request() -> None:
    world = World(count=4, max_in_flight=1)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, CONDITIONAL)
        first, second = replicas(snapshot, 7)
        busy = world.nodes[snapshot.nodes.index(first)]
        busy.holding = True
        task = world.start(session.execute, statement, [7])
        assert ask(world, session, statement, 7) is second
        busy.release()
        world.settle()
        assert task.result().coordinator is first


def test_nobody_overtakes_what_waits_for_room() -> None:
    world = World(count=2, max_in_flight=1)
    with world.session() as session:
        know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, SELECT)
        for number in range(50):  # each node knows it after that
            ask(world, session, statement, number)
        for node in world.nodes:
            node.holding = True
        tasks = [world.start(session.execute, statement, [number]) for number in range(6)]
        orders: dict[object, list[int]] = {}

        def note(asked: Asked) -> bool:
            orders.setdefault(asked.link, []).append(asked.token)
            return False

        for node in world.nodes:
            node.script = note
            node.release()
        world.settle()
        for task in tasks:
            task.result()
        assert sorted(token for order in orders.values() for token in order) == [2, 3, 4, 5]
        assert all(order == sorted(order) for order in orders.values())
        world.call(session.execute, statement, [9])


def test_a_snapshot_that_comes_in_the_middle_counts_for_what_follows() -> None:
    world = World(count=4)
    with world.session() as session:
        nodes = nodes_of(session)
        before = know(world, session, snapshot_of(nodes, tokens=4))
        statement = keyed(world, session, INSERT)
        after: list[Snapshot] = []

        def values() -> Iterator[list[int]]:
            for number in range(400):
                if number == 200:
                    after.append(snapshot_of(nodes, tokens=9))
                    session._context.cluster.nodes.apply(after[0])
                yield [number]

        outcomes = world.call(triocql.execute_concurrent_with_args, session, statement, values(), 30)
        for number, outcome in enumerate(outcomes):
            snapshot = before if number < 200 else after[0]
            assert outcome.result_or_exc.coordinator in replicas(snapshot, number)


# --- Several data centres --------------------------------------------------------------------------------------


def spread(nodes: tuple[Node, ...], names: tuple[str, str] = ("dc1", "dc2")) -> None:
    """Put every other node into another data centre."""
    for number, node in enumerate(nodes):
        node.data_centre = names[number % 2]


def test_routes_follow_nodes_that_leave_and_come() -> None:
    world = World(count=5)
    with world.session() as session:
        nodes, statement = nodes_of(session), keyed(world, session, INSERT)
        for here in (nodes, nodes[1:], nodes[1:4], nodes):
            snapshot = know(world, session, snapshot_of(here))
            world.call(session._context.cluster.reactor.sleep, 1.0)
            found = Counter(ask(world, session, statement, number) for number in range(40 * len(here)))
            assert set(found) == set(here)
            routed = {
                ask(world, session, statement, number): replicas(snapshot, number) for number in range(40)
            }
            assert all(node in each for node, each in routed.items())


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_all_replicas_are_chosen_alike(factor: int) -> None:
    world = World(count=6)
    with world.session() as session:
        chosen_by = {"class": "SimpleStrategy", "replication_factor": str(factor)}
        snapshot = know(world, session, snapshot_of(nodes_of(session), chosen_by))
        router = session._context.executor.router
        route = router.turn.routes.keyed(KEYSPACE, None, False, Consistency.ONE)
        found = Counter(id(route.choose(MURMUR3.token(key_of(7)))) for _ in range(300 * factor))
        assert set(found) == {id(router.pools.targets[node]) for node in replicas(snapshot, 7)}
        assert 230 < min(found.values()) < max(found.values()) < 370


def test_only_nodes_of_the_local_data_centre_get_requests() -> None:
    world = World(count=4, local_data_centre="dc1")
    with world.session() as session:
        spread(nodes_of(session), ("dc2", "dc1"))
        snapshot = know(world, session, snapshot_of(nodes_of(session), EVERYWHERE))
        assert [node.distance for node in snapshot.nodes] == [Distance.IGNORED, Distance.LOCAL] * 2
        statement = keyed(world, session, SELECT)
        for number in range(50):
            assert ask(world, session, statement, number).data_centre == "dc1"
        for _ in range(32 * 4):
            assert world.call(session.execute, "SELECT x").coordinator in snapshot.nodes[1::2]


def test_remote_data_centres_come_after_the_local_one_where_they_are_allowed() -> None:
    world = World(count=4, local_data_centre="dc1", remote_data_centres=["dc2"])
    with world.session() as session:
        spread(nodes_of(session))
        snapshot = know(world, session, snapshot_of(nodes_of(session), EVERYWHERE))
        assert [node.distance for node in snapshot.nodes] == [Distance.LOCAL, Distance.REMOTE] * 2
        statement = keyed(world, session, SELECT)
        assert all(ask(world, session, statement, number).data_centre == "dc1" for number in range(50))
        lose(world, 0)
        lose(world, 2)
        assert all(ask(world, session, statement, number).data_centre == "dc2" for number in range(50))
        with pytest.raises(errors.NoNodeAvailable):
            ask(world, session, statement, 1, consistency="LOCAL_SERIAL")


def test_the_local_data_centre_is_that_of_the_first_contact_point() -> None:
    world = World(count=2)
    with world.session() as session:
        nodes = nodes_of(session)
        extra = Node(Address("10.0.0.9", 9042))
        extra.data_centre = "dc9"
        snapshot = know(world, session, snapshot_of((*nodes, extra)))
        assert [node.distance for node in snapshot.nodes] == [Distance.LOCAL] * 2 + [Distance.IGNORED]
        nodes[0].data_centre = "moved"
        know(world, session, snapshot)
        assert nodes[0].distance is Distance.IGNORED


def test_nodes_that_are_filtered_out_get_no_connection() -> None:
    world = World(count=3, policies=triocql.PolicyOptions(balancing=FilteredBalancing(deny=["10.0.0.2"])))
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session)))
        assert [pool.name for pool in pools(session)] == ["10.0.0.1:9042", "10.0.0.3:9042"]
        statement = keyed(world, session, SELECT)
        for number in range(50):
            assert ask(world, session, statement, number) is not snapshot.nodes[1]
            assert world.call(session.execute, "SELECT x").coordinator is not snapshot.nodes[1]


# --- The shortest way and the policy -----------------------------------------------------------------------------


def counting(encode: Callable[[Any], bytes], batches: list[int]) -> Callable[[Any], bytes]:
    def encoding(frames: Any) -> bytes:
        batches.append(len(frames))
        return encode(frames)

    return encoding


def test_the_way_of_many_requests_is_one_batch_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(count=3)
    with world.session() as session:
        know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, INSERT)
        for number in range(50):  # each node knows it after that
            world.call(session.execute, statement, [number])
        batches: list[int] = []
        for connection in session._context.executor.router.connections():
            monkeypatch.setattr(connection.framing, "encode", counting(connection.framing.encode, batches))
        world.call(triocql.execute_concurrent_with_args, session, statement, [[n] for n in range(90)], 90)
        assert len(batches) == 3
        assert sum(batches) == 90


def test_many_that_give_no_rows_leave_one_outcome_a_connection_behind() -> None:
    world = World(count=3)
    with world.session() as session:
        know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, INSERT)
        values = [[number] for number in range(500)]
        outcomes = world.call(triocql.execute_concurrent_with_args, session, statement, values, 20)
        assert len({id(outcome) for outcome in outcomes}) == 3
        assert {outcome.result_or_exc.coordinator for outcome in outcomes} == set(nodes_of(session))


def test_a_route_chooses_a_node_that_the_plan_may_begin_with() -> None:
    world = World(count=6, local_data_centre="dc1", local_rack="r1", remote_data_centres=["dc2"])
    with world.session() as session:
        nodes = nodes_of(session)
        for number, node in enumerate(nodes):
            node.data_centre, node.rack = ("dc2" if number == 5 else "dc1"), f"r{number % 2}"
        spread_out = {"class": "NetworkTopologyStrategy", "dc1": "3", "dc2": "1"}
        snapshot = know(world, session, snapshot_of(nodes, spread_out))
        lose(world, 1)
        router = session._context.executor.router
        policy = default_of(router._policy)
        assert policy is not None
        policy.latencies.slow = frozenset({nodes[3]})
        router._dispatcher.rank()
        targets = router.pools.targets
        routes = router.turn.routes
        for in_order in (False, True):
            for number in range(200):
                request = RoutedRequest(
                    "", keyspace=KEYSPACE, routing_key=partial(key_of, number), is_lwt=in_order
                )
                plans = [policy.plan(request, snapshot) for _ in range(30)]
                firsts = {next(node for node in plan if targets[node].has_streams) for plan in plans}
                route = routes.keyed(KEYSPACE, None, in_order, Consistency.ONE)
                target = route.choose(MURMUR3.token(key_of(number)))
                (chosen,) = [node for node in nodes if targets[node] is target]
                assert chosen in firsts


@pytest.mark.parametrize("count", [1, 3, 12])
def test_no_first_attempt_asks_the_default_policy_for_a_plan(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(count=count, keyspace=KEYSPACE)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, INSERT)
        policy = default_of(session._context.executor.router._policy)
        asked: list[RoutedRequest] = []

        def plan(request: RoutedRequest, _: Snapshot) -> Iterator[Node]:
            asked.append(request)
            return iter(nodes_of(session))

        monkeypatch.setattr(policy, "plan", plan)
        found: Counter[Node | None] = Counter()
        for number in range(40 * count):
            batch = triocql.Batch().add(statement, [number])
            for keyed_one in (statement.bind(number), batch):
                assert world.call(session.execute, keyed_one).coordinator in replicas(snapshot, number)
            assert ask(world, session, statement, number) in replicas(snapshot, number)
            for _ in range(3):  # more than go to a node for its partitions, who may end its turn, too
                found[world.call(session.execute, "SELECT x").coordinator] += 1
        assert asked == []
        assert len(found) == count


# --- One node, and one kind, by request --------------------------------------------------------------------------


def test_a_request_for_one_node_goes_there_and_nowhere_else() -> None:
    world = World(count=3)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, SELECT)
        for node in snapshot.nodes:
            for number in range(10):
                assert ask(world, session, statement, number, node=node) is node
                assert world.call(session.execute, "SELECT x", node=node).coordinator is node
            batch = triocql.Batch().add(statement, [1])
            assert world.call(session.execute, batch, node=node).coordinator is node
            assert world.call(session.execute, statement.bind(1), node=node).coordinator is node


def test_a_node_that_cannot_be_had_is_no_other_node() -> None:
    world = World(count=3)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session)))
        lose(world, 1)
        for node, reason in (
            (snapshot.nodes[1], "no connection to a node for this request: 10.0.0.2:9042"),
            (
                Node(Address("10.9.9.9", 9042)),
                "node 10.9.9.9:9042 was asked for, which is none of this session's",
            ),
        ):
            with pytest.raises(errors.NoNodeAvailable, match=re.escape(reason)):
                world.call(session.execute, "SELECT x", node=node)
        world.call(session.execute, "SELECT x")


def test_a_request_does_not_wait_for_one_node_to_have_room() -> None:
    world = World(count=2, max_in_flight=1)
    with world.session() as session:
        node = nodes_of(session)[0]
        world.nodes[0].holding = True
        task = world.start(session.execute, "SELECT x", node=node)
        with pytest.raises(
            errors.QueueFull, match=r"every connection to 10\.0\.0\.1:9042, the one node for it, is full"
        ):
            world.call(session.execute, "SELECT x", node=node)
        world.call(session.execute, "SELECT x")
        world.nodes[0].release()
        world.settle()
        assert task.result().coordinator is node


@pytest.mark.parametrize("where", ["statement", "nursery"])
def test_a_window_waits_for_one_node_to_have_room_and_keeps_nobody_else_waiting(where: str) -> None:
    world = World(count=2, max_in_flight=1, max_queue=2)
    with world.session() as session:
        node, insert = nodes_of(session)[0], world.call(session.prepare, INSERT)
        world.nodes[0].holding = True

        async def load(node: Node) -> list[Any]:
            pinned, values = insert.with_options(node=node), [[number] for number in range(20)]
            if where == "statement":
                return await triocql.execute_concurrent_with_args(session, pinned, values, 10)
            async with triocql.open_request_nursery(session, concurrency=10) as nursery:
                return [await nursery.start(pinned, each) for each in values]

        tasks = [world.start(load, node), world.start(load, node)]
        assert session.stats().queued == 2 * 10 - 1
        assert len(world.call(load, nodes_of(session)[1])) == 20
        assert world.call(session.execute, "SELECT x").coordinator is not node
        with pytest.raises(errors.QueueFull, match="the one node for it"):
            world.call(session.execute, "SELECT x", node=node)
        world.nodes[0].release()
        world.settle()
        assert [len(task.result()) for task in tasks] == [20, 20]
        assert session.stats().queued == 0


@pytest.mark.parametrize("how", ["lost", "removed"])
def test_what_waits_for_one_node_ends_when_that_is_gone(how: str) -> None:
    world = World(count=3, max_in_flight=1)
    with world.session() as session:
        router = session._context.executor.router
        node, *others = nodes_of(session)
        insert = world.call(session.prepare, INSERT).with_options(node=node)
        world.nodes[0].holding = True
        values = [[number] for number in range(5)]
        task = world.start(
            triocql.execute_concurrent_with_args, session, insert, values, 5, raise_on_first_error=False
        )
        assert session.stats().queued == 4
        if how == "lost":
            lose(world, 0)
        else:
            know(world, session, snapshot_of(others))
            assert node not in router._apart
            world.nodes[0].release()
            world.settle()
        outcomes = task.result()
        errors_of = [type(outcome.result_or_exc) for outcome in outcomes if not outcome.success]
        assert set(errors_of) <= {errors.ConnectionLost, errors.NoNodeAvailable}
        assert len(errors_of) >= 4
        assert session.stats().queued == 0


def test_a_node_is_an_object() -> None:
    world = World()
    with world.session() as session:
        with pytest.raises(errors.OptionError, match="node is of type str; it has to be a Node"):
            world.call(session.execute, "SELECT x", node="10.0.0.1")


@pytest.mark.parametrize(("text", "lwt", "in_order"), [(SELECT, True, True), (CONDITIONAL, False, False)])
def test_a_caller_may_say_whether_it_is_a_lightweight_transaction(
    text: str, lwt: bool, in_order: bool
) -> None:
    world = World(count=4)
    with world.session() as session:
        snapshot = know(world, session, snapshot_of(nodes_of(session)))
        statement = keyed(world, session, text)
        places = {
            replicas(snapshot, number).index(ask(world, session, statement, number, lwt=lwt))
            for number in range(100)
        }
        assert places == ({0} if in_order else {0, 1})
