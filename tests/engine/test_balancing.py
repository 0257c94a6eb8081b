"""A policy of the user's decides where requests go: whatever it does, it is about the request that it was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import cycle, repeat
from typing import Any

import pytest

import triocql
from tests.engine.peer import Asked
from tests.engine.world import INSERT, SELECT, World
from triocql import errors
from triocql.abc import Address
from triocql.config.policies import PolicyOptions
from triocql.metadata.node import Distance, Node
from triocql.metadata.snapshot import Snapshot
from triocql.policies import ExponentialBackoffRetry
from triocql.policies.balancing import BalancingPolicy, FilteredBalancing, RoutedRequest
from triocql.protocol.constants import Consistency
from triocql.session.session import Session

OVERLOADED = 0x1001


class Policy:
    """Does what a test says; in the order of the snapshot unless it says otherwise."""

    def __init__(self, plan: Callable[[RoutedRequest, Snapshot], Any] | None = None) -> None:
        self.act = plan
        self.requests: list[RoutedRequest] = []

    def distance(self, node: Node, snapshot: Snapshot) -> Distance:
        return Distance.LOCAL

    def plan(self, request: RoutedRequest, snapshot: Snapshot) -> Iterable[Node]:
        self.requests.append(request)
        if self.act is None:
            return snapshot.nodes
        nodes: Iterable[Node] = self.act(request, snapshot)
        return nodes


def world_of(policy: BalancingPolicy, count: int = 3, **options: Any) -> World:
    return World(count=count, policies=PolicyOptions(balancing=policy), **options)


def refuse(asked: Asked) -> bool:
    return asked.error(OVERLOADED, "not now")


def served_by(outcome: Any) -> str:
    """Return the name of the node that a result or an error is from."""
    return str(outcome.coordinator)


def name_of(world: World, number: int) -> str:
    return str(world.addresses[number])


def test_each_request_goes_to_the_first_node_that_the_policy_names() -> None:
    policy = Policy(lambda request, snapshot: reversed(snapshot.nodes))
    world = world_of(policy)
    with world.session() as session:
        statement = world.call(session.prepare, SELECT)
        policy.requests.clear()
        for number in range(70):
            assert served_by(world.call(session.execute, statement, [number])) == name_of(world, 2)
        assert len(policy.requests) == 70


def test_the_other_nodes_come_in_the_order_of_the_policy() -> None:
    world = world_of(Policy(lambda request, snapshot: reversed(snapshot.nodes)))
    with world.session() as session:
        for node in world.nodes:
            node.script = refuse
        with pytest.raises(errors.Overloaded) as caught:
            world.call(session.execute, "SELECT x")
        tried = [*(attempt.node.name for attempt in caught.value.attempts), served_by(caught.value)]
        assert tried == [name_of(world, number) for number in (2, 1, 0)]


def test_a_policy_is_told_what_the_request_is() -> None:
    policy = Policy()
    world = world_of(policy, keyspace="ks")
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        policy.requests.clear()
        world.call(session.execute, "SELECT x", consistency="QUORUM", idempotent=True)
        world.call(session.execute, insert, [7], serial_consistency="LOCAL_SERIAL")
        world.call(session.execute, "UPDATE t SET v = 1 WHERE k = 2 IF v = 0")
        world.call(session.execute, "SELECT x", consistency="SERIAL")
        text, bound, conditional, serial = policy.requests
        assert (text.statement, text.keyspace, text.routing_key) == ("SELECT x", "ks", None)
        assert (text.consistency, text.idempotent, text.is_lwt) == (Consistency.QUORUM, True, False)
        assert bound.statement == INSERT
        assert bound.serial_consistency is Consistency.LOCAL_SERIAL
        assert (bound.idempotent, bound.is_lwt) == (False, False)
        assert (conditional.is_lwt, serial.is_lwt) == (True, True)


def test_of_a_batch_a_policy_is_told_the_partition_of_the_first_statement_that_has_one() -> None:
    policy = Policy()
    world = world_of(policy, keyspace="ks")
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        insert.prepared.state = replace(insert.prepared.state, partition_key=(0,))
        batch = triocql.Batch().add("INSERT 1").add(insert, [7]).add(insert, [8])
        world.call(session.execute, batch)
        first = policy.requests[-1]
        assert first.routing_key == bytes([0, 0, 0, 7])
        world.call(session.execute, triocql.Batch().add("DELETE 1 IF EXISTS"))
        second = policy.requests[-1]
        assert (second.routing_key, second.is_lwt) == (None, True)


# --- What goes wrong -----------------------------------------------------------------------------------------


def raising(kind: type[BaseException]) -> Callable[[RoutedRequest, Snapshot], Any]:
    def plan(request: RoutedRequest, snapshot: Snapshot) -> Any:
        raise kind("mine")

    return plan


def raising_later(kind: type[BaseException]) -> Callable[[RoutedRequest, Snapshot], Any]:
    def plan(request: RoutedRequest, snapshot: Snapshot) -> Iterator[Node]:
        yield Node(Address("10.9.9.9", 9042))
        raise kind("mine")

    return plan


@pytest.mark.parametrize("kind", [LookupError, RecursionError])
@pytest.mark.parametrize("when", [raising, raising_later])
def test_what_plan_raises_fails_the_request(when: Any, kind: type[Exception]) -> None:
    policy = Policy()
    world = world_of(policy)
    with world.session() as session:
        policy.act = when(kind)
        with pytest.raises(
            errors.RequestError, match=f"the balancing policy raised {kind.__name__}: mine"
        ) as caught:
            world.call(session.execute, "SELECT x")
        assert type(caught.value.__cause__) is kind
        assert not caught.value.maybe_executed
        policy.act = None
        world.call(session.execute, "SELECT x")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_is_the_callers_as_it_is(kind: type[BaseException]) -> None:
    policy = Policy()
    world = world_of(policy)
    with world.session() as session:
        policy.act = raising(kind)
        with pytest.raises(kind, match="mine"):
            world.call(session.execute, "SELECT x")
        policy.act = None
        world.call(session.execute, "SELECT x")


@pytest.mark.parametrize("junk", [7, None, "abc", [None], [[]]])
def test_what_is_no_plan_fails_the_request(junk: object) -> None:
    policy = Policy()
    world = world_of(policy)
    with world.session() as session:
        policy.act = lambda request, snapshot: junk
        with pytest.raises(errors.RequestError, match="the balancing policy raised TypeError"):
            world.call(session.execute, "SELECT x")
        policy.act = None
        world.call(session.execute, "SELECT x")


def strangers() -> Iterator[Node]:
    while True:
        yield Node(Address("10.9.9.9", 9042))


@pytest.mark.parametrize("nodes", [list, strangers, lambda: repeat(Node(Address("10.9.9.9", 9042)))])
def test_a_plan_without_a_node_that_is_known_is_no_node(nodes: Callable[[], Iterable[Node]]) -> None:
    policy = Policy()
    world = world_of(policy)
    with world.session() as session:
        policy.act = lambda request, snapshot: nodes()
        with pytest.raises(errors.NoNodeAvailable):
            world.call(session.execute, "SELECT x")
        policy.act = None
        world.call(session.execute, "SELECT x")


def test_a_plan_without_an_end_has_each_node_once() -> None:
    world = world_of(Policy(lambda request, snapshot: cycle(snapshot.nodes)))
    with world.session() as session:
        assert served_by(world.call(session.execute, "SELECT x")) == name_of(world, 0)
        for node in world.nodes:
            node.script = refuse
        with pytest.raises(errors.Overloaded) as caught:
            world.call(session.execute, "SELECT x")
        assert len({attempt.node for attempt in caught.value.attempts}) == 2


def test_a_policy_may_execute_something_itself() -> None:
    world = World(count=2)
    policy = Policy()
    world.options["policies"] = PolicyOptions(balancing=policy)
    inner: list[Any] = []

    def plan(request: RoutedRequest, snapshot: Snapshot) -> Iterable[Node]:
        if request.statement == "SELECT x":
            inner.append(world.reactor.start(session.execute, "SELECT y"))
        return snapshot.nodes

    with world.session() as session:
        policy.act = plan
        world.call(session.execute, "SELECT x")
        world.settle()
        assert [served_by(task.result()) for task in inner] == [name_of(world, 0)]


def test_what_a_policy_raises_when_a_request_is_tried_again_is_its_end_and_the_reader_goes_on() -> None:
    policy = Policy()
    world = world_of(policy)
    with world.session() as session:
        other = held(world, session)

        def script(asked: Asked) -> bool:
            policy.act = raising(LookupError)
            return refuse(asked)

        world.node.script = script
        with pytest.raises(errors.RequestError, match="the balancing policy raised LookupError"):
            world.call(session.execute, "SELECT x")
        world.node.release()
        world.settle()
        assert served_by(other.result()) == name_of(world, 0)


def held(world: World, session: Session) -> Any:
    world.node.holding = True
    task = world.start(session.execute, "SELECT held")
    world.node.holding = False
    return task


def test_what_a_policy_raises_for_a_request_that_waited_for_room_is_its_end_and_the_others_go_on() -> None:
    policy = Policy()
    world = world_of(policy, count=1, max_in_flight=1)

    def plan(request: RoutedRequest, snapshot: Snapshot) -> Iterable[Node]:
        if request.statement == "SELECT bad" and waiting:
            raise LookupError("mine")
        return snapshot.nodes

    with world.session() as session:
        waiting: list[int] = []
        policy.act = plan
        busy = held(world, session)
        bad, good = world.start(session.execute, "SELECT bad"), world.start(session.execute, "SELECT good")
        waiting.append(1)
        world.node.release()
        world.settle()
        busy.result()
        with pytest.raises(errors.RequestError, match="the balancing policy raised LookupError"):
            bad.result()
        good.result()


@pytest.mark.parametrize("raised", [LookupError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_distance_that_cannot_be_had_is_the_one_before(
    raised: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    class Lost(Policy):
        def distance(self, node: Node, snapshot: Snapshot) -> Any:
            if not opened:
                return Distance.LOCAL
            if node.name.startswith("10.0.0.1"):
                raise raised("mine")
            return "near"

    opened: list[bool] = []
    world = world_of(Lost(), count=2)
    with world.session() as session:
        opened.append(True)
        session._context.executor.router.apply(session.metadata)
        assert {node.distance for node in session._context.cluster.nodes.snapshot.nodes} == {Distance.LOCAL}
        world.call(session.execute, "SELECT x")
    assert "the balancing policy raised in distance(), for 10.0.0.1:9042" in caplog.text
    assert "the balancing policy raised in distance(), for 10.0.0.2:9042" in caplog.text
    assert "distance() of the balancing policy returned 'near'; it has to return triocql.Dist" in caplog.text


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_comes_while_a_session_is_opened_and_is_no_mistake_of_the_policys_ends_that(
    kind: type[BaseException],
) -> None:
    class Interrupted(Policy):
        def distance(self, node: Node, snapshot: Snapshot) -> Any:
            raise kind("mine")

    with pytest.raises(kind, match="mine"), world_of(Interrupted()).session():
        raise AssertionError("it was opened")


def test_a_node_that_a_filter_cannot_judge_gets_no_connection(caplog: pytest.LogCaptureFixture) -> None:
    def predicate(node: Node) -> bool:
        if node.name.startswith("10.0.0.2") or hard:
            raise LookupError("mine")
        return True

    hard = False
    balancing = FilteredBalancing(predicate=predicate)
    world = world_of(balancing, count=2)
    with world.session() as session:
        near, left_out = session.metadata.nodes
        assert (near.distance, left_out.distance) == (Distance.LOCAL, Distance.IGNORED)
        with pytest.raises(
            errors.NoNodeAvailable, match=r"node 10\.0\.0\.2:9042 was asked for, which gets no conn"
        ):
            world.call(session.execute, "SELECT 1", node=left_out)
        hard = True
        session._context.executor.router.apply(session.metadata)
        assert (near.distance, left_out.distance) == (Distance.LOCAL, Distance.IGNORED)
    assert "raised in distance(), for 10.0.0.2:9042" in caplog.text
    world = world_of(balancing, count=2)
    with pytest.raises(errors.OptionError, match="the session would have no node"):
        world.call(world.connect().__aenter__)
    world.assert_closed()


@pytest.mark.parametrize("answer", ["local", None, 1])
def test_a_policy_that_gives_no_distances_is_told_so_when_the_session_is_opened(answer: Any) -> None:
    class Wrong(Policy):
        def distance(self, node: Node, snapshot: Snapshot) -> Any:
            return answer

    world = world_of(Wrong())
    message = rf"returned {answer!r}; it has to return triocql\.Distance\.LOCAL, REMOTE or IGNORED"
    with pytest.raises(errors.OptionError, match=message):
        world.call(world.connect().__aenter__)
    world.assert_closed()


def test_a_policy_is_told_the_token() -> None:
    tokens: list[Any] = []

    def note(request: RoutedRequest, snapshot: Snapshot) -> Any:
        tokens.append(request.token)
        if (key := request.routing_key) is not None:
            assert request.token == snapshot.token(key)
        return snapshot.nodes

    policy = Policy(note)
    world = world_of(policy)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        tokens.clear()
        world.call(session.execute, insert, [1])
        world.call(session.execute, "SELECT 1")
        assert tokens == [policy.requests[-2].token, None]
        assert policy.requests[-2].snapshot is session.metadata
    assert RoutedRequest("", routing_key=lambda: b"x").token is None


@pytest.mark.parametrize("policy", [None, "user's"])
def test_what_is_for_one_node_is_not_tried_again_there_at_once(policy: Any) -> None:
    """The next node is none; it would be the one that has just said that it is busy."""
    world = World(count=3, policies=PolicyOptions(balancing=None if policy is None else Policy()))
    with world.session() as session:
        asked: list[Asked] = []

        def busy(each: Asked) -> bool:
            if each.text == "SELECT 1":
                asked.append(each)
                return each.error(OVERLOADED, "not now")
            return False

        for node in world.nodes:
            node.script = busy
        (only, *_) = session.metadata.nodes
        with pytest.raises(errors.Overloaded) as info:
            world.call(session.execute, "SELECT 1", node=only)
        assert (len(asked), info.value.attempts) == (1, ())
        with pytest.raises(errors.Overloaded):
            world.call(session.execute, "SELECT 1")
        assert len(asked) == 4


def test_what_is_for_one_node_is_tried_again_there_later_and_on_another_connection() -> None:
    retry = ExponentialBackoffRetry(attempts=3, base=0.1, jitter=0.0)
    world = World(count=3, connections_local=2, policies=PolicyOptions(retry=retry))
    with world.session() as session:
        (node, *_) = session.metadata.nodes
        answers = [lambda each: each.error(OVERLOADED), lambda each: each.link.transport.abort()]

        def odd(each: Asked) -> bool:
            if each.text != "SELECT 1" or not answers:
                return False
            answers.pop(0)(each)
            return True

        for each in world.nodes:
            each.script = odd
        task = world.start(session.execute, "SELECT 1", node=node)
        world.reactor.advance(5)
        assert served_by(task.result()) == node.name


# --- Where there is no room ------------------------------------------------------------------------------------


def test_a_request_does_not_wait_for_nodes_that_its_plan_has_not(
    world_with_last: tuple[World, Policy],
) -> None:
    world, policy = world_with_last
    with world.session() as session:
        world.listeners[2].refuse = True
        for link in world.nodes[2].links:
            assert link.transport is not None
            link.transport.abort()
        world.settle()
        with pytest.raises(errors.NoNodeAvailable):
            world.call(session.execute, "SELECT x")
        policy.act = None
        world.call(session.execute, "SELECT x")


@pytest.fixture
def world_with_last() -> tuple[World, Policy]:
    policy = Policy(lambda request, snapshot: snapshot.nodes[2:])
    return world_of(policy), policy


def test_what_waited_for_room_keeps_to_its_plan() -> None:
    policy = Policy(lambda request, snapshot: snapshot.nodes[:2])
    world = world_of(policy, max_in_flight=1)
    with world.session() as session:
        for node in world.nodes:
            node.holding = True
        busy = [world.start(session.execute, f"SELECT {number}") for number in range(2)]
        waiting = world.start(session.execute, "SELECT x")
        assert [len(node.held) for node in world.nodes] == [1, 1, 0]
        world.nodes[1].release()
        world.settle()
        world.nodes[0].release()
        world.nodes[1].release()
        world.settle()
        for task in busy:
            task.result()
        assert served_by(waiting.result()) == name_of(world, 1)
