"""A bound for one attempt beside that of the call: a node that does not answer costs one attempt."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.engine.peer import Asked, Node
from tests.engine.world import SELECT, World, check, only, pools
from triocql import Statement, errors
from triocql.config.policies import PolicyOptions
from triocql.policies.retry import Decision
from triocql.protocol.constants import Opcode
from triocql.testing.simulated import SimTask

pytestmark = pytest.mark.usefixtures("in_turn")

UPDATE = Statement("UPDATE x", idempotent=True)


def pause(node: Node) -> list[Asked]:
    """Have `node` keep statements of users; return the list of them."""
    asked: list[Asked] = []

    def script(request: Asked) -> bool:
        if request.opcode in (Opcode.QUERY, Opcode.EXECUTE, Opcode.BATCH, Opcode.PREPARE):
            asked.append(request)
            return True
        return False

    node.script = script
    return asked


def failure(task: SimTask[Any]) -> errors.Error:
    with pytest.raises(errors.Error) as info:
        task.result()
    return info.value


def executed(node: Node) -> int:
    return sum(asked.opcode == Opcode.QUERY for asked in node.asked)


def test_a_paused_node_costs_one_attempt() -> None:
    world = World(count=2, attempt_timeout=0.5)
    with world.session() as session:
        held = pause(world.node)
        tasks = [world.start(session.execute, UPDATE) for _ in range(4)]
        world.reactor.advance(0.49)
        waiting = [task for task in tasks if not task.done]
        assert len(held) == len(waiting) > 0
        world.reactor.advance(0.02)
        assert {str(task.result().coordinator) for task in tasks} == {"10.0.0.2:9042"}
        (connection,) = pools(session)[0].connections
        assert (len(connection.in_flight), len(connection.orphans)) == (0, len(held))
        check(session)
        for asked in held:
            asked.void()
        world.settle()
        assert not connection.orphans


def test_what_may_have_been_executed_is_not_sent_again() -> None:
    world = World(count=2, attempt_timeout=0.5)
    with world.session() as session:
        held = [*map(pause, world.nodes)]
        task = world.start(session.execute, "INSERT 1")
        world.reactor.advance(0.51)
        error = failure(task)
        assert isinstance(error, errors.AttemptTimeout)
        assert isinstance(error, errors.RequestTimeout)
        assert error.maybe_executed
        assert error.written
        assert (error.timeout, error.phase, error.attempts) == (0.5, "waiting", ())
        assert str(error).startswith(
            f"no answer from {error.node} within 0.5 s, the bound of one attempt (attempt 1 of"
        )
        assert sum(map(len, held)) == 1


def test_each_attempt_has_the_bound_and_the_call_ends_with_the_last() -> None:
    world = World(count=3, attempt_timeout=0.5)
    with world.session() as session:
        held = [*map(pause, world.nodes)]
        task = world.start(session.execute, UPDATE)
        world.reactor.advance(1.45)
        assert not task.done
        world.reactor.advance(0.1)
        error = failure(task)
        assert isinstance(error, errors.AttemptTimeout)
        assert [*map(len, held)] == [1, 1, 1]
        assert [round(attempt.elapsed, 2) for attempt in error.attempts] == [0.5, 0.5]
        assert [type(attempt.error) for attempt in error.attempts] == [errors.AttemptTimeout] * 2
        assert len({error.node, *(attempt.node for attempt in error.attempts)}) == 3
        assert round(error.phases[0][1], 2) == 0.5


def test_the_deadline_of_the_call_comes_first_if_it_is_earlier() -> None:
    world = World(count=3, attempt_timeout=0.5)
    with world.session() as session:
        [*map(pause, world.nodes)]
        task = world.start(session.execute, UPDATE, timeout=0.75)
        world.reactor.advance(0.8)
        error = failure(task)
        assert type(error) is errors.RequestTimeout
        assert error.timeout == 0.75
        assert len(error.attempts) == 1


@pytest.mark.parametrize("where", ["statement", "call", "prepared"])
def test_it_is_an_option_of_statements_and_calls(where: str) -> None:
    world = World(count=2, attempt_timeout=math.inf)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        for node in world.nodes:
            node.known = {key: value for each in world.nodes for key, value in each.known.items()}
        pause(world.node)
        for _ in range(2):
            if where == "call":
                task = world.start(session.execute, UPDATE, attempt_timeout=0.25)
            elif where == "statement":
                task = world.start(session.execute, UPDATE.with_options(attempt_timeout=0.25))
            else:
                task = world.start(session.execute, select.with_options(attempt_timeout=0.25), [1])
            world.reactor.advance(0.26)
            assert str(task.result().coordinator) == "10.0.0.2:9042"


def test_what_waits_for_room_is_on_no_node() -> None:
    """The bound begins when a connection has the request, and then it is kept."""
    world = World(max_in_flight=1, attempt_timeout=0.5)
    with world.session() as session:
        world.node.holding = True
        world.start(session.execute, "INSERT 1", attempt_timeout=math.inf)
        task = world.start(session.execute, UPDATE)
        world.reactor.advance(3.0)
        assert not task.done
        world.node.release()
        world.node.holding = True
        world.settle()
        world.reactor.advance(0.49)
        assert not task.done
        world.reactor.advance(0.02)
        error = failure(task)
        assert isinstance(error, errors.AttemptTimeout)
        world.node.release()
        world.settle()


def test_what_a_full_socket_holds_back_goes_elsewhere_whatever_it_is() -> None:
    """It was not written: nothing was executed."""
    world = World(count=2, attempt_timeout=0.5)
    with world.session() as session:
        world.listeners[0].accepted[0].pause_reading()
        first = [world.start(session.execute, "SELECT " + "x" * 500_000) for _ in range(2)]
        later = [world.start(session.execute, "INSERT 1") for _ in range(2)]
        world.reactor.advance(0.51)
        assert {str(task.result().coordinator) for task in later} == {"10.0.0.2:9042"}
        assert all(task.done for task in first)
        world.listeners[0].accepted[0].resume_reading()
        world.settle()
        assert world.nodes[0].texts().count("INSERT 1") == 0
        assert world.nodes[1].texts().count("INSERT 1") == 2


def test_a_node_that_does_not_prepare_again_costs_one_attempt() -> None:
    world = World(count=2, attempt_timeout=0.5)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        for node in world.nodes:
            node.known = {key: value for each in world.nodes for key, value in each.known.items()}
        world.node.forget()
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE
        tasks = [world.start(session.execute, select, [number]) for number in range(2)]
        world.reactor.advance(0.51)
        assert [task.result().scalar() for task in tasks] == [0, 1]
        assert {str(task.result().coordinator) for task in tasks} == {"10.0.0.2:9042"}


def test_a_node_that_does_not_prepare_costs_one_attempt() -> None:
    world = World(count=2, attempt_timeout=0.5)
    with world.session() as session:
        for _ in range(2):
            pause(world.node)
            task = world.start(session.prepare, f"{SELECT} AND x = {_}")
            world.reactor.advance(0.51)
            assert task.result() is not None


def test_the_policy_is_asked() -> None:
    seen = []

    class Asked:
        def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Decision:
            seen.append((type(error), error.maybe_executed, idempotent, retries))
            return Decision.SAME if retries == 0 else Decision.IGNORE

    world = World(attempt_timeout=0.5, policies=PolicyOptions(retry=Asked()))
    with world.session() as session:
        held = pause(world.node)
        task = world.start(session.execute, "INSERT 1")
        world.reactor.advance(1.1)
        assert list(task.result()) == []
        assert len(held) == 2
        assert seen == [(errors.AttemptTimeout, True, False, 0), (errors.AttemptTimeout, True, False, 1)]
        assert (len(only(session).in_flight), len(only(session).orphans)) == (0, 2)
        for asked in held:
            asked.void()


def test_a_late_answer_is_nobodys() -> None:
    world = World(count=2, attempt_timeout=0.5)
    with world.session() as session:
        held = pause(world.node)
        tasks = [world.start(session.execute, f"SELECT {number}") for number in range(2)]
        world.reactor.advance(0.51)
        for asked in held:
            asked.respond()
        world.settle()
        assert [task.result().scalar() for task in tasks] == ["SELECT 0", "SELECT 1"]
        check(session)
