"""What a retry policy decides beside "again": to wait before it, another consistency, to ignore the error."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine import wire
from tests.engine.peer import Asked, Node
from tests.engine.world import INSERT, SELECT, World, check
from triocql import Batch, Consistency, Statement, errors
from triocql.config.policies import PolicyOptions
from triocql.policies import Decision, DowngradingConsistency, ExponentialBackoffRetry, Retry
from triocql.protocol.constants import Opcode
from triocql.testing.simulated import SimTask

pytestmark = pytest.mark.usefixtures("in_turn")

OVERLOADED, UNAVAILABLE, WRITE_TIMEOUT = 0x1001, 0x1000, 0x1100
USERS = (Opcode.QUERY, Opcode.EXECUTE, Opcode.BATCH)
Answer = Decision | Retry


class Scripted:
    """A policy that gives these answers, one after the other, and then raises the error."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)

    def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Answer:
        return self.answers.pop(0) if self.answers else Decision.RAISE


def refuse(node: Node, times: int = 1000, code: int = OVERLOADED, fields: bytes = b"") -> list[Asked]:
    """Have `node` answer so many statements with an error; return the list of what came."""
    asked: list[Asked] = []

    def script(request: Asked) -> bool:
        if request.opcode not in USERS:
            return False
        asked.append(request)
        return len(asked) <= times and request.error(code, "not now", fields)

    node.script = script
    return asked


def world_of(count: int, *answers: Answer, **options: Any) -> World:
    return World(count=count, policies=PolicyOptions(retry=Scripted(*answers)), **options)


def failure(task: SimTask[Any]) -> errors.Error:
    with pytest.raises(errors.Error) as info:
        task.result()
    return info.value


# --- After a delay -------------------------------------------------------------------------------------------


def test_after_the_delay_the_request_is_sent_again() -> None:
    world = world_of(1, Retry(delay=0.5), Retry(Decision.SAME, delay=1.0))
    with world.session() as session:
        asked = refuse(world.node, times=2)
        task = world.start(session.execute, "SELECT x")
        world.reactor.advance(0.499)
        assert len(asked) == 1
        world.reactor.advance(0.002)
        assert len(asked) == 2
        world.reactor.advance(0.997)
        assert not task.done
        world.reactor.advance(0.003)
        assert task.result().scalar() == "SELECT x"


def test_same_is_the_same_node_after_the_delay_and_next_another_one() -> None:
    for where, served in ((Decision.SAME, [2, 0]), (Decision.NEXT, [1, 1])):
        world = world_of(2, Retry(where, delay=0.1))
        with world.session() as session:
            asked = [refuse(node) for node in world.nodes]
            task = world.start(session.execute, "SELECT x")
            world.reactor.advance(0.2)
            assert isinstance(failure(task), errors.Overloaded)
            assert sorted(map(len, asked), reverse=True) == served


def test_the_wait_counts_in_what_the_error_says() -> None:
    world = world_of(1, Retry(delay=0.5), timeout=2.0)
    with world.session() as session:
        asked = refuse(world.node, times=1)
        task = world.start(session.execute, "SELECT x")
        world.node.holding = True
        world.reactor.advance(2.1)
        error = failure(task)
        assert isinstance(error, errors.RequestTimeout)
        spent = {each.phase: round(each.seconds, 1) for each in error.phases}
        assert spent == {"backing off": 0.5, "waiting": 1.5}
        assert [attempt.decision for attempt in error.attempts] == ["next node after 0.500 s"]
        assert [type(attempt.error) for attempt in error.attempts] == [errors.Overloaded]
        assert len(asked) == 2
        world.node.release()


def test_a_delay_that_would_pass_the_deadline_is_not_waited_for() -> None:
    world = world_of(1, Retry(delay=2.0))
    with world.session() as session:
        refuse(world.node)
        task = world.start(session.execute, "SELECT x", timeout=2.0)
        assert isinstance(failure(task), errors.Overloaded)


@pytest.mark.parametrize("how", ["cancelled", "closed"])
def test_a_request_that_backs_off_can_be_ended(how: str) -> None:
    world = world_of(1, Retry(delay=5.0))
    with world.session() as session:
        asked = refuse(world.node)
        task = world.start(session.execute, "SELECT x")
        router = session._context.executor.router
        assert len(router.delays) == 1
        check(session)
        if how == "cancelled":
            task.cancel()
            world.settle()
        else:
            world.call(session.aclose)
            assert isinstance(failure(task), errors.SessionClosed)
        assert len(router.delays) == 0
        assert router.clock.alarms.next_due == math.inf
        world.reactor.advance(6)
        assert len(asked) == 1


def test_one_timer_serves_all_that_back_off() -> None:
    world = world_of(1, *[Retry(delay=0.5)] * 50)
    with world.session() as session:
        asked = refuse(world.node, times=50)
        before = len(world.reactor._timers._heap)
        tasks = [world.start(session.execute, f"SELECT {number}") for number in range(50)]
        assert len(world.reactor._timers._heap) <= before + 2  # that of the deadlines, and one for all
        world.reactor.advance(0.6)
        assert [task.result().scalar() for task in tasks] == [f"SELECT {number}" for number in range(50)]
        assert len(asked) == 100


def test_with_a_delay_the_policy_says_how_often() -> None:
    policy = ExponentialBackoffRetry(attempts=8, base=0.1, maximum=0.4, jitter=0.0)
    world = World(policies=PolicyOptions(retry=policy))
    with world.session() as session:
        asked = refuse(world.node)
        task = world.start(session.execute, "SELECT x")
        world.reactor.advance(0.1 + 0.2 + 5 * 0.4 - 0.01)
        assert len(asked) == 7
        world.reactor.advance(0.02)
        error = failure(task)
        assert len(asked) == len(error.attempts) + 1 == 8


def test_a_node_that_is_away_when_the_delay_is_over_is_none_to_wait_for() -> None:
    world = world_of(2, Retry(Decision.SAME, delay=1.0))
    with world.session() as session:
        asked = [refuse(node, times=1 - number) for number, node in enumerate(world.nodes)]
        task = world.start(session.execute, "SELECT x")
        while not task.done and not asked[0]:  # it went to the other node
            task = world.start(session.execute, "SELECT x")
        world.listeners[0].refuse = True
        world.listeners[0].accepted[0].reset()
        world.reactor.advance(1.1)
        assert str(task.result().coordinator) == "10.0.0.2:9042"
        world.listeners[0].refuse = False
        world.reactor.advance(70)


# --- With another consistency --------------------------------------------------------------------------------


def consistency_of(asked: Asked, prefix: int) -> Consistency:
    return Consistency(struct.unpack_from(">H", asked.body, prefix)[0])


@pytest.mark.parametrize("version", [4, 5])
def test_another_consistency_is_that_of_the_next_attempt_only(version: int) -> None:
    again = Retry(Decision.SAME, Consistency.ONE)
    world = World(version, policies=PolicyOptions(retry=Scripted(*(again, Decision.SAME) * 3)))
    with world.session() as session:
        asked = refuse(world.node, times=0)
        insert = world.call(session.prepare, INSERT)
        batch = Batch()
        batch.add("INSERT 1")
        batch.add(insert, [7])
        calls: tuple[tuple[Callable[..., Any], list[Any]], ...] = (
            (session.execute, ["SELECT x"]),
            (session.execute, [insert, [1]]),
            (session.execute, [batch]),
        )
        sent = []
        for call, arguments in calls:
            asked = refuse(world.node, times=2)
            world.call(call, *arguments, consistency="QUORUM", custom_payload={"a": b"1"})
            bodies = [each.body for each in asked]
            assert len({len(body) for body in bodies}) == 1
            assert bodies[0] == bodies[2] or len(world.nodes) == 0
            differing = [at for at in range(len(bodies[0])) if bodies[0][at] != bodies[1][at]]
            sent.append([(bodies[n][differing[0] - 1 : differing[0] + 1]) for n in range(3)])
            assert len(differing) == 1
        quorum, one = (each.to_bytes(2, "big") for each in (Consistency.QUORUM, Consistency.ONE))
        assert sent == [[quorum, one, quorum]] * 3


def test_another_consistency_stays_when_the_statement_has_to_be_prepared_again() -> None:
    world = world_of(1, Retry(Decision.SAME, Consistency.TWO))
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        asked: list[Asked] = []

        def script(request: Asked) -> bool:
            if request.opcode != Opcode.EXECUTE:
                return False
            asked.append(request)
            if len(asked) == 1:
                return request.error(OVERLOADED)
            return len(asked) == 2 and request.unprepared()

        world.node.script = script
        assert world.call(session.execute, select, [3], consistency="QUORUM").scalar() == 3
        assert asked[1].body == asked[2].body != asked[0].body


def test_downgrading_asks_for_as_many_replicas_as_are_there() -> None:
    world = World(policies=PolicyOptions(retry=DowngradingConsistency()))
    with world.session() as session:
        asked = refuse(world.node, 1, UNAVAILABLE, wire.QUORUM + struct.pack(">ii", 3, 2))
        world.call(session.execute, "SELECT x", consistency="QUORUM")
        offset = 4 + len("SELECT x")
        assert [consistency_of(each, offset) for each in asked] == [Consistency.QUORUM, Consistency.TWO]


# --- Ignored -------------------------------------------------------------------------------------------------


def test_an_error_that_is_ignored_gives_an_empty_result() -> None:
    world = world_of(1, Decision.IGNORE, Decision.IGNORE)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        asked = refuse(world.node)
        for result in (world.call(session.execute, "SELECT x"), world.call(session.execute, insert, [1])):
            assert list(result) == []
            assert result.one() is None
            assert result.applied is None
            assert not result.has_more_pages
            assert str(result.coordinator) == "10.0.0.1:9042"
        assert len(asked) == 2


def test_a_write_that_some_replica_has_is_taken_for_done_when_downgrading() -> None:
    world = World(policies=PolicyOptions(retry=DowngradingConsistency()))
    fields = wire.QUORUM + struct.pack(">ii", 1, 2) + wire.string("SIMPLE")
    with world.session() as session:
        asked = refuse(world.node, 1000, WRITE_TIMEOUT, fields)
        assert list(world.call(session.execute, "INSERT 1")) == []
        assert len(asked) == 1


def test_an_error_of_a_preparation_is_not_ignored() -> None:
    world = world_of(1, *[Decision.IGNORE] * 3)
    with world.session() as session:
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE and asked.error(OVERLOADED)
        assert isinstance(failure(world.start(session.prepare, INSERT)), errors.Overloaded)


# --- A node that is busy for half a minute -------------------------------------------------------------------


@pytest.mark.parametrize("policy", [None, ExponentialBackoffRetry()])
def test_a_busy_node_is_left_to_others_for_as_long_as_it_is_busy(policy: Any) -> None:
    options: dict[str, Any] = {} if policy is None else {"policies": PolicyOptions(retry=policy)}
    world = World(count=3, **options)
    with world.session() as session:
        asked = [refuse(node, times=1000 if number == 0 else 0) for number, node in enumerate(world.nodes)]
        tasks = []
        for _ in range(300):
            tasks.append(world.start(session.execute, Statement("UPDATE x", idempotent=True)))
            world.reactor.advance(0.1)
        world.reactor.advance(5)
        assert all(task.result() is not None for task in tasks)
        assert sum(map(len, asked)) == 300 + len(asked[0])
        assert len(asked[0]) <= 300
