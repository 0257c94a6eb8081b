"""What a session counts: each request once, whatever happens, and each attempt at the node that it was given to."""

from __future__ import annotations

from typing import Any

import pytest

import triocql
from tests.engine.peer import Asked
from tests.engine.test_retries import OVERLOADED, UNAVAILABLE, refusing
from tests.engine.test_tracker import Notes
from tests.engine.world import INSERT, SELECT, World
from triocql import errors
from triocql.observability.metrics import Durations, Metrics
from triocql.policies.retry import Decision
from triocql.protocol.constants import Opcode
from triocql.session.session import Session


def counts(outcomes: Any) -> dict[str, int]:
    """Return how many there were of each outcome."""
    return {outcome: durations.count for outcome, durations in outcomes.items()}


def kinds(metrics: Metrics) -> dict[tuple[str, str], dict[str, int]]:
    """Return the numbers by keyspace and operation."""
    return {(each.keyspace, each.operation): counts(each.outcomes) for each in metrics.requests}


def node_outcomes(session: Session) -> list[dict[str, int]]:
    return [counts(node.attempts) for node in session.metrics.nodes]


def test_requests_are_counted_by_keyspace_operation_and_outcome() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        for number in range(3):
            world.call(session.execute, insert, [number])
        world.call(session.execute, SELECT, [1])
        world.call(session.execute, "TRUNCATE t")
        world.call(session.execute, triocql.Batch().add(insert, [1]))
        world.call(session.execute, insert.bind(1))
        world.node.script = refusing(UNAVAILABLE)
        with pytest.raises(errors.Unavailable):
            world.call(session.execute, "INSERT 1")
        world.node.script = None
        assert kinds(session.metrics) == {
            ("", "PREPARE"): {"success": 2},
            ("ks", "INSERT"): {"success": 4},
            ("ks", "SELECT"): {"success": 1},
            ("", "TRUNCATE"): {"success": 1},
            ("ks", "BATCH"): {"success": 1},
            ("", "INSERT"): {"Unavailable": 1},
        }


def test_durations_are_those_of_requests_and_of_attempts() -> None:
    """A request of two attempts: each node is told of its own time."""
    world = World(count=2)
    with world.session() as session:
        for node in world.nodes:
            node.holding = True
        task = world.start(session.execute, "SELECT x")
        world.reactor.advance(0.25)
        first = next(node for node in world.nodes if node.held)
        first.held.pop().error(0x1001)
        world.reactor.advance(0.5)
        for node in world.nodes:
            node.release()
        world.settle()
        assert task.done
        metrics = session.metrics
        (selects,) = metrics.requests
        assert selects.retries == 1
        assert selects.outcomes["success"].sum == pytest.approx(0.75)
        together = metrics.all_nodes
        assert together.retries == 1
        assert together.attempts["Overloaded"].sum == pytest.approx(0.25)
        assert together.attempts["success"].sum == pytest.approx(0.5)
        assert [node.retries for node in metrics.nodes] == [int(node is first) for node in world.nodes]


def test_profiles_are_counted_apart() -> None:
    world = World(profiles={"nightly": triocql.Profile(timeout=60.0)})
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.call(session.execute, select, [1])
        world.call(session.execute, select.with_options(profile="nightly"), [1])
        world.call(session.execute, "SELECT x", profile="nightly")
        world.call(session.execute, "SELECT x", profile="default")
        metrics = session.metrics
        assert metrics.durations(profile="nightly").count == 2
        assert metrics.durations(profile="default", operation="SELECT").count == 2


def test_pages_are_requests_of_their_own() -> None:
    world = World()
    with world.session() as session:
        world.node.pages["SELECT pages"] = [[1], [2], [3]]

        async def read() -> int:
            async with session.stream("SELECT pages") as rows:
                return len([row async for row in rows])

        assert world.call(read) == 3
        assert kinds(session.metrics) == {("", "SELECT"): {"success": 3}}


def test_what_is_refused_before_it_begins_is_no_request() -> None:
    world = World()
    with world.session() as session:
        with pytest.raises(errors.UsageError):
            world.call(session.execute, "SELECT k FROM t", paging_state=b"no such")
        assert not any(each.outcomes for each in session.metrics.requests)


@pytest.mark.parametrize("kind", ["text", "prepared", "batch", "text in a batch"])
def test_what_is_refused_is_no_request_however_late(kind: str) -> None:
    """Values are refused once a node was asked what it takes now."""
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        calls: dict[str, tuple[Any, ...]] = {
            "text": (SELECT, ["no int"]),
            "prepared": (insert, ["no int"]),
            "batch": (triocql.Batch().add(insert, ["no int"]),),
            "text in a batch": (triocql.Batch().add(SELECT, ["no int"]),),
        }
        with pytest.raises(errors.UsageError):
            world.call(session.execute, *calls[kind])
        assert {each.operation for each in session.metrics.requests if each.outcomes} == {"PREPARE"}


def test_a_batch_that_is_refused_at_once_takes_no_kind() -> None:
    class Raising(Exception):
        """Of the caller's."""

    class Values(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            raise Raising

    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        before = len(session.metrics.requests)
        for number in range(5):
            with pytest.raises(Raising):
                world.call(session.execute, triocql.Batch().add(insert, Values(k=1)), keyspace=f"ks{number}")
        assert len(session.metrics.requests) == before


def test_what_is_refused_once_its_text_is_prepared_takes_no_kind_and_what_fails_at_that_is_counted() -> None:
    """Kinds are few, and a service may get as many names of keyspaces as it has callers."""
    world = World()

    def kinds_kept() -> set[tuple[str, str]]:
        meters = session._context.cluster.meters.requests()
        return {(meter.kind.keyspace, meter.kind.operation) for meter in meters}

    with world.session() as session:
        calls: list[tuple[Any, ...]] = [(SELECT, ["no int"]), (triocql.Batch().add(SELECT, ["no int"]),)]
        for call in calls:
            with pytest.raises(errors.UsageError):
                world.call(session.execute, *call, keyspace="other")
        assert kinds_kept() == {("other", "PREPARE")}
        world.node.script = refusing(UNAVAILABLE)
        calls = [(INSERT, [1]), (triocql.Batch().add(INSERT, [1]),)]
        for call in calls:
            with pytest.raises(errors.Unavailable):
                world.call(session.execute, *call, keyspace="other")
        world.node.script = None
        found = kinds(session.metrics)
        assert found["other", "INSERT"] == found["other", "BATCH"] == {"Unavailable": 1}


def test_an_error_that_is_ignored_is_a_request_that_succeeded_just_now() -> None:
    class Ignoring:
        def decide(self, error: object, **_: object) -> Decision:
            return Decision.IGNORE

    policies = triocql.PolicyOptions(retry=Ignoring())
    world = World(policies=policies, attempt_timeout=0.5)
    with world.session() as session:
        world.node.holding = True
        world.start(session.execute, "INSERT 1")
        world.reactor.advance(0.75)
        (inserts,) = session.metrics.requests
        assert 0.5 <= inserts.outcomes["success"].sum <= 0.75
        assert node_outcomes(session) == [{"AttemptTimeout": 1}]
        world.node.release()


def test_timeouts_are_told_by_phase_and_leave_an_orphan_until_their_answer_comes() -> None:
    world = World(max_in_flight=1)
    with world.session() as session:
        world.node.holding = True
        for _ in range(2):
            world.start(lambda: session.execute("SELECT x", timeout=0.5))
        metrics = session.metrics
        assert (metrics.nodes[0].in_flight, metrics.queued, metrics.nodes[0].orphans) == (1, 1, 0)
        assert metrics.queued_bytes > 0
        world.reactor.advance(1)
        metrics = session.metrics
        assert metrics.requests[0].timeouts == {"waiting": 1, "queued": 1}
        assert (metrics.nodes[0].in_flight, metrics.queued, metrics.nodes[0].orphans) == (0, 0, 1)
        assert metrics.queued_bytes == 0
        assert node_outcomes(session) == [{"RequestTimeout": 1}]
        world.node.release()
        world.settle()
        assert session.metrics.nodes[0].orphans == 0


def test_copies_are_counted_and_who_was_faster() -> None:
    policies = triocql.PolicyOptions(speculation=triocql.policies.ConstantSpeculation(0.1))
    world = World(count=2, policies=policies)
    with world.session() as session:
        for node in world.nodes:
            node.holding = True
        world.start(session.execute, "SELECT x")
        world.reactor.advance(0.15)
        second = world.nodes[1] if len(world.nodes[0].asked) and world.nodes[0].asked else world.nodes[0]
        assert all(node.held for node in world.nodes)
        second.release()
        world.settle()
        (selects,) = session.metrics.requests
        assert (selects.copies, selects.retries) == (1, 0)
        together = session.metrics.all_nodes
        assert together.copies == 1
        assert counts(together.attempts) == {"success": 1, "Overtaken": 1}
        for node in world.nodes:
            node.release()
        world.settle()
        assert counts(session.metrics.all_nodes.attempts) == {"success": 1, "Overtaken": 1}


def test_a_statement_that_is_prepared_again_is_one_request_and_two_attempts() -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        forgotten: list[Asked] = []

        def script(asked: Asked) -> bool:
            if asked.opcode != Opcode.EXECUTE or forgotten:
                return False
            forgotten.append(asked)
            return asked.unprepared()

        world.node.script = script
        world.call(session.execute, select, [7])
        metrics = session.metrics
        assert kinds(metrics)["ks", "SELECT"] == {"success": 1}
        assert counts(metrics.nodes[0].attempts) == {
            "success": 2,
            "Unprepared": 1,
        }  # one of them the first PREPARE
        assert metrics.nodes[0].prepared_again == 1
        assert metrics.prepared == 1


def test_connections_that_are_lost_and_made_anew() -> None:
    world = World()
    with world.session() as session:
        before = session.metrics.nodes[0]
        assert (before.connections, before.connected, before.lost, before.reconnected) == (1, 1, 0, 0)
        assert before.bytes_sent > 0
        assert before.bytes_received > 0
        world.listeners[0].refuse = True
        world.node.holding = True
        world.start(session.execute, "INSERT 1")
        world.accepted()[-1].reset()
        world.reactor.advance(5)
        lost = session.metrics.nodes[0]
        assert (lost.connections, lost.connected, lost.lost, lost.reconnected) == (0, 1, 1, 0)
        assert lost.failed_dials >= 1
        assert counts(lost.attempts) == {"ConnectionLost": 1}
        world.listeners[0].refuse = False
        world.node.holding = False
        world.reactor.advance(60)
        after = session.metrics.nodes[0]
        assert (after.connections, after.connected, after.lost, after.reconnected) == (1, 2, 1, 1)
        assert after.bytes_sent > lost.bytes_sent > 0


@pytest.mark.parametrize("tracked", [False, True])
def test_what_is_under_way_when_the_session_closes_is_counted_once(tracked: bool) -> None:
    notes = Notes()
    options: dict[str, Any] = {"tracker": notes} if tracked else {}
    world = World(max_in_flight=2, **options)
    with world.session() as session:
        world.node.holding = True
        tasks = [world.start(session.execute, "INSERT 1") for _ in range(5)]
        session._context.cluster.close()
        world.settle()
        assert all(task.done for task in tasks)
        metrics = session.metrics
        assert kinds(metrics) == {("", "INSERT"): {"SessionClosed": 5}}
        assert counts(metrics.nodes[0].attempts) == {"SessionClosed": 2}
        assert (metrics.all_nodes.in_flight, metrics.queued, metrics.queued_bytes) == (0, 0, 0)
        if tracked:
            assert notes.hooks().count("attempt") == 2
            assert notes.hooks().count("finish") == 5


def test_it_can_be_read_when_the_session_is_closed() -> None:
    world = World()
    with world.session() as session:
        world.call(session.execute, "SELECT x")
    metrics = session.metrics
    assert kinds(metrics) == {("", "SELECT"): {"success": 1}}
    assert metrics.all_nodes.connections == 0
    assert isinstance(metrics.durations(), Durations)


def test_a_busy_node_is_seen() -> None:
    world = World(count=2)
    with world.session() as session:
        world.nodes[0].script = refusing(OVERLOADED)
        for _ in range(100):
            world.call(session.execute, "SELECT x")
        busy, other = session.metrics.nodes
        assert counts(busy.attempts).keys() == {"Overloaded"}
        assert counts(other.attempts) == {"success": 100}
        assert busy.retries == busy.attempts["Overloaded"].count
