"""Which requests are tried again, where, and what the error says in the end."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.engine import wire
from tests.engine.peer import Asked, Node
from tests.engine.world import INSERT, SELECT, World
from triocql import Statement, errors
from triocql.config.policies import PolicyOptions
from triocql.policies.retry import Decision
from triocql.protocol.constants import Opcode
from triocql.testing.simulated import SimTask, SimTransport

pytestmark = pytest.mark.usefixtures("in_turn")

OVERLOADED, BOOTSTRAPPING, UNAVAILABLE, READ_TIMEOUT, WRITE_TIMEOUT = 0x1001, 0x1002, 0x1000, 0x1200, 0x1100
FIELDS = {
    UNAVAILABLE: wire.QUORUM + struct.pack(">ii", 2, 1),
    READ_TIMEOUT: wire.QUORUM + struct.pack(">iib", 2, 2, 0),
    WRITE_TIMEOUT: wire.QUORUM + struct.pack(">ii", 1, 2) + wire.string("BATCH_LOG"),
}


def refusing(code: int) -> Any:
    """Return a script that answers each user's statement with an error."""

    def script(asked: Asked) -> bool:
        if asked.opcode not in (Opcode.QUERY, Opcode.EXECUTE, Opcode.BATCH):
            return False
        asked.error(code, "not now", FIELDS.get(code, b""))
        return True

    return script


def failure(task: SimTask[Any]) -> errors.Error:
    with pytest.raises(errors.Error) as info:
        task.result()
    return info.value


def executed(node: Node) -> int:
    return sum(asked.opcode == Opcode.QUERY for asked in node.asked)


@pytest.mark.parametrize("code", [OVERLOADED, BOOTSTRAPPING, UNAVAILABLE, 0x0000, 0x1003])
def test_idempotent_request_goes_to_the_next_node(code: int) -> None:
    world = World(count=2)
    with world.session() as session:
        world.node.script = refusing(code)
        results = [world.call(session.execute, "SELECT x") for _ in range(4)]
        assert {str(result.coordinator) for result in results} == {"10.0.0.2:9042"}
        assert executed(world.nodes[0]) > 0
        assert executed(world.nodes[1]) == 4


@pytest.mark.parametrize(
    ("code", "tried"), [(OVERLOADED, 1), (0x0000, 1), (BOOTSTRAPPING, 2), (UNAVAILABLE, 2)]
)
def test_other_requests_only_where_nothing_was_executed(code: int, tried: int) -> None:
    world = World(count=2)
    with world.session() as session:
        for node in world.nodes:
            node.script = refusing(code)
        task = world.start(session.execute, "INSERT 1")
        error = failure(task)
        assert isinstance(error, errors.ResponseError)
        assert error.code == code
        assert error.maybe_executed is (tried == 1)
        assert sum(executed(node) for node in world.nodes) == tried
        assert len(error.attempts) == tried - 1
        assert {str(a.node) for a in error.attempts} | {str(error.coordinator)} <= {
            "10.0.0.1:9042",
            "10.0.0.2:9042",
        }


def test_every_node_is_tried_once() -> None:
    world = World(count=3)
    with world.session() as session:
        for node in world.nodes:
            node.script = refusing(OVERLOADED)
        error = failure(world.start(session.execute, "SELECT x"))
        assert isinstance(error, errors.Overloaded)
        assert [executed(node) for node in world.nodes] == [1, 1, 1]
        assert len({attempt.node for attempt in error.attempts}) == 2
        assert error.maybe_executed
        assert "Overloaded: not now" in str(error)


@pytest.mark.parametrize("code", [READ_TIMEOUT, WRITE_TIMEOUT])
def test_the_same_node_once(code: int) -> None:
    world = World(count=2)
    with world.session() as session:
        for node in world.nodes:
            node.script = refusing(code)
        task = world.start(session.execute, Statement("UPDATE x", idempotent=True))
        error = failure(task)
        assert sorted(executed(node) for node in world.nodes) == [0, 2]
        assert [attempt.node for attempt in error.attempts] == [error.coordinator]  # type: ignore[attr-defined]


def test_lost_while_waiting_for_the_answer_is_raised_if_not_idempotent() -> None:
    world = World(count=2)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        for node in world.nodes:
            node.holding = True
        task = world.start(session.execute, insert, [1])
        (asked,) = [asked for node in world.nodes for asked in node.held]
        world.listeners[world.nodes.index(asked.link.node)].accepted[0].reset()
        world.settle()
        error = failure(task)
        assert isinstance(error, errors.ConnectionLost)
        assert error.maybe_executed
        assert isinstance(error.__cause__, ConnectionResetError)
        assert sum(node.tokens() != [] for node in world.nodes) == 1


@pytest.mark.parametrize("idempotent", [True, False])
def test_lost_before_it_was_written_is_sent_elsewhere(idempotent: bool) -> None:
    world = World(count=2)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        for node in world.nodes:  # both know it
            node.known = {key: value for each in world.nodes for key, value in each.known.items()}
        for listener in world.listeners:
            listener.accepted[0].pause_reading()
        for _ in range(2):
            world.start(session.execute, "SELECT " + "x" * 500_000)
        task = world.start(session.execute, insert, [1], idempotent=idempotent)
        (holder,) = [c for c in session._context.executor.router.connections() if len(c.in_flight) == 2]
        index = [str(a) for a in world.addresses].index(holder.name)
        world.listeners[index].accepted[0].reset()
        world.listeners[1 - index].accepted[0].resume_reading()
        world.settle()
        assert task.result() is not None
        assert world.nodes[index].tokens() == []
        assert world.nodes[1 - index].tokens() == [1]
        world.reactor.advance(5)


def test_lost_while_waiting_is_sent_elsewhere_if_idempotent() -> None:
    world = World(count=2)
    with world.session() as session:
        for node in world.nodes:
            node.holding = True
        task = world.start(session.execute, "SELECT x")
        (index,) = [number for number, node in enumerate(world.nodes) if node.held]
        world.listeners[index].accepted[0].reset()
        world.settle()
        world.nodes[1 - index].release()
        world.settle()
        assert str(task.result().coordinator) == str(world.addresses[1 - index])
        world.reactor.advance(5)


def test_a_single_node_that_comes_back_at_once_gets_the_request_again() -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True
        task = world.start(session.execute, "SELECT x")
        world.listeners[0].accepted[0].reset()
        world.node.holding = False
        world.reactor.advance(2)
        assert task.result().scalar() == "SELECT x"


def test_retries_end_though_connections_are_lost_again_and_again() -> None:
    world = World()
    with world.session() as session:

        def resets(asked: Asked) -> bool:
            if asked.opcode == Opcode.QUERY:
                assert isinstance(asked.link.transport, SimTransport)
                asked.link.transport.reset()
                return True
            return False

        world.node.script = resets
        error = failure_after(world, world.start(session.execute, "SELECT x"), 9)
        assert isinstance(error, errors.ConnectionLost)
        assert executed(world.node) == len(error.attempts) + 1 <= 3


def failure_after(world: World, task: SimTask[Any], seconds: float) -> errors.Error:
    world.reactor.advance(seconds)
    return failure(task)


def test_answer_that_cannot_be_read_may_have_been_executed() -> None:
    world = World()
    with world.session() as session:
        world.node.script = lambda asked: (
            asked.opcode == Opcode.QUERY and asked.answer(wire.RESULT, wire.integer(77))
        )
        error = failure(world.start(session.execute, "INSERT 1"))
        assert isinstance(error, errors.ProtocolError)
        assert error.maybe_executed
        world.node.script = None
        assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"
        assert len(world.node.links) == 1


@pytest.mark.parametrize("opcode", [wire.READY, wire.SUPPORTED, wire.AUTH_SUCCESS, 0x42])
def test_answer_of_another_kind_fails_the_request_only(opcode: int) -> None:
    bodies = {wire.SUPPORTED: wire.supported({}), wire.AUTH_SUCCESS: wire.long_bytes(None)}
    world = World()
    with world.session() as session:
        world.node.script = lambda asked: (
            asked.opcode == Opcode.QUERY and asked.answer(opcode, bodies.get(opcode, b""))
        )
        error = failure(world.start(session.execute, "INSERT 1"))
        assert isinstance(error, errors.ProtocolError)
        assert error.maybe_executed


def test_unknown_error_code() -> None:
    world = World()
    with world.session() as session:
        world.node.script = refusing(0x7777)
        error = failure(world.start(session.execute, "INSERT 1"))
        assert type(error) is errors.ResponseError
        assert (error.code, error.message, error.maybe_executed) == (0x7777, "not now", True)


def test_retry_policy_that_raises_fails_the_request() -> None:
    class Broken:
        def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Decision:
            raise KeyError("policy")

    world = World(policies=PolicyOptions(retry=Broken()))
    with world.session() as session:
        world.node.script = refusing(OVERLOADED)
        error = failure(world.start(session.execute, "INSERT 1"))
        assert "the retry policy raised KeyError" in str(error)
        assert isinstance(error.__cause__, KeyError)
        assert error.maybe_executed


@pytest.mark.parametrize(
    ("decisions", "asked", "retries"),
    [
        ((Decision.RAISE,), [1, 0], [0]),
        ((Decision.SAME, Decision.RAISE), [2, 0], [0, 1]),
        ((Decision.NEXT, Decision.RAISE), [1, 1], [0, 1]),
    ],
)
def test_a_retry_policy_of_the_users_decides(
    decisions: tuple[Decision, ...], asked: list[int], retries: list[int]
) -> None:
    class Policy:
        def __init__(self) -> None:
            self.retries: list[int] = []

        def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Decision:
            assert (type(error), idempotent) == (errors.Overloaded, False)
            self.retries.append(retries)
            return decisions[retries]

    policy = Policy()
    world = World(count=2, policies=PolicyOptions(retry=policy))
    with world.session() as session:
        world.nodes[0].script = world.nodes[1].script = refusing(OVERLOADED)
        failure(world.start(session.execute, "INSERT 1"))
        assert sorted((len(node.texts()) for node in world.nodes), reverse=True) == asked
        assert policy.retries == retries


def test_a_retry_policy_that_decides_nothing_fails_the_request() -> None:
    class Undecided:
        def decide(self, error: errors.RequestError, *, idempotent: bool, retries: int) -> Any:
            return None

    world = World(policies=PolicyOptions(retry=Undecided()))
    with world.session() as session:
        world.node.script = refusing(OVERLOADED)
        error = failure(world.start(session.execute, "SELECT x"))
        assert str(error).startswith("the retry policy raised TypeError: decide() returned ")
        assert len(world.node.texts()) == 1


def test_user_codec_that_raises_fails_the_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    with world.session() as session:

        def broken(*_: object) -> Any:
            raise KeyError("codec")

        monkeypatch.setattr(session.codecs, "plan", broken)
        error = failure(world.start(session.execute, "SELECT x"))
        assert isinstance(error.__cause__, KeyError)
        monkeypatch.undo()
        assert world.call(session.execute, "SELECT x").scalar() == "SELECT x"
        assert len(world.node.links) == 1


@pytest.mark.parametrize("parameters", [[1]])
def test_select_is_idempotent_by_itself(parameters: list[int]) -> None:
    world = World(count=2)
    with world.session() as session:
        world.node.script = refusing(OVERLOADED)
        for _ in range(4):
            assert world.call(session.execute, SELECT, parameters).scalar() == 1
