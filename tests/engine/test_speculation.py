"""Copies of a request on other nodes, while the first one may still answer: exactly one outcome, and nothing lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import triocql
from tests.engine import wire
from tests.engine.peer import Asked
from tests.engine.world import INSERT, SELECT, World, check, pools
from triocql import Session, Statement, errors
from triocql.config.policies import PolicyOptions
from triocql.policies import ConstantSpeculation, PercentileSpeculation
from triocql.protocol.constants import Opcode
from triocql.testing.simulated import SimTask

pytestmark = pytest.mark.usefixtures("in_turn")

OVERLOADED, INVALID = 0x1001, 0x2200
STATEMENTS = (Opcode.QUERY, Opcode.EXECUTE, Opcode.BATCH)
UPDATE = Statement("UPDATE x", idempotent=True)


class Cluster(World):
    """Nodes that keep statements of users until the test answers them."""

    def __init__(self, count: int = 3, policy: Any = None, **options: Any) -> None:
        policy = ConstantSpeculation(0.05, max_attempts=3) if policy is None else policy
        World.__init__(self, count=count, policies=PolicyOptions(speculation=policy), **options)
        self.held: list[Asked] = []
        self.slow = True
        for node in self.nodes:
            node.script = self._hold

    def _hold(self, asked: Asked) -> bool:
        if not self.slow or asked.opcode not in STATEMENTS or asked.text.startswith("SELECT * FROM system"):
            return False
        self.held.append(asked)
        return True

    @contextmanager
    def session(self) -> Iterator[Session]:
        with World.session(self) as session:
            yield session
            self.answer_all()
            self.settle()
            check(session)
            for pool in pools(session):
                for connection in pool.connections:
                    assert not connection.in_flight
                    assert not connection.orphans
            assert session._context.executor.router.clock.alarms.next_due == math.inf

    def answer_all(self) -> None:
        held, self.held = self.held, []
        for asked in held:
            asked.respond()

    @property
    def served(self) -> list[int]:
        """The nodes of what is held, by their numbers."""
        return [self.nodes.index(asked.link.node) for asked in self.held]


def failure(task: SimTask[Any]) -> errors.Error:
    with pytest.raises(errors.Error) as info:
        task.result()
    return info.value


def orphans(session: Session) -> int:
    return session.stats().orphans


def test_the_first_good_answer_wins_and_the_others_are_abandoned() -> None:
    world = Cluster()
    with world.session() as session:
        task = world.start(session.execute, "SELECT x")
        world.reactor.advance(0.049)
        assert len(world.held) == 1
        world.reactor.advance(0.002)
        assert len(world.held) == 2
        world.reactor.advance(0.05)
        assert sorted(world.served) == [0, 1, 2]
        world.reactor.advance(1)
        assert len(world.held) == 3
        second = world.held.pop(1)
        second.respond()
        world.settle()
        assert task.result().scalar() == "SELECT x"
        assert str(task.result().coordinator) == str(world.addresses[world.nodes.index(second.link.node)])
        assert session.stats()[1:] == (0, 0, 2)


def test_an_answer_in_time_is_the_only_attempt() -> None:
    world = Cluster()
    with world.session() as session:
        task = world.start(session.execute, UPDATE)
        world.reactor.advance(0.04)
        (asked,) = world.held
        asked.void()
        world.settle()
        assert task.done
        world.reactor.advance(1)
        assert len(world.held) == 1
        world.held.clear()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT 1",
        Statement("UPDATE x SET a = 1 WHERE k = 1 IF a = 2", idempotent=True),
        Statement("SELECT x", consistency="SERIAL"),
        Statement("SELECT x", idempotent=False),
    ],
)
def test_what_may_not_be_executed_twice_has_no_copy(statement: Any) -> None:
    world = Cluster()
    with world.session() as session:
        task = world.start(session.execute, statement)
        world.reactor.advance(5)
        assert len(world.held) == 1
        world.answer_all()
        world.settle()
        assert task.done


def test_prepared_statements_and_batches() -> None:
    world = Cluster(count=2)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        batch = triocql.Batch()
        batch.add("INSERT 1")
        for node in world.nodes:
            node.known = {key: value for each in world.nodes for key, value in each.known.items()}
        for arguments, options in (([select, [7]], {}), ([batch], {"idempotent": True})):
            task = world.start(session.execute, *arguments, **options)
            world.reactor.advance(0.06)
            first, second = world.held
            assert first.link is not second.link
            world.held.clear()
            second.respond()
            world.settle()
            assert task.done
            first.respond()
            world.settle()


def test_an_error_waits_for_the_others() -> None:
    world = Cluster()
    with world.session() as session:
        task = world.start(session.execute, UPDATE)
        world.reactor.advance(0.06)
        first, second = world.held
        world.held.clear()
        first.error(INVALID, "no such table")
        world.settle()
        assert not task.done
        second.void()
        world.settle()
        assert task.done
        assert task.result().one() is None


def test_the_last_error_is_raised_with_all_attempts() -> None:
    world = Cluster()
    with world.session() as session:
        task = world.start(session.execute, UPDATE)
        world.reactor.advance(0.11)
        for number, asked in enumerate(world.held):
            asked.error(INVALID, f"no {number}")
            world.settle()
        world.held.clear()
        error = failure(task)
        assert isinstance(error, errors.InvalidQuery)
        assert error.message == "no 2"
        assert [str(attempt.error) for attempt in error.attempts] == ["no 0", "no 1"]
        assert {attempt.decision for attempt in error.attempts} == {"wait for the others"}
        nodes = {error.coordinator, *(attempt.node for attempt in error.attempts)}
        assert len(nodes) == 3
        assert [round(attempt.elapsed, 2) for attempt in error.attempts] == [0.11, 0.06]


def test_when_the_last_one_fails_the_policy_decides_as_ever() -> None:
    world = Cluster(policy=ConstantSpeculation(0.05, max_attempts=2))
    with world.session() as session:
        task = world.start(session.execute, UPDATE)
        world.reactor.advance(0.06)
        for asked in world.held:
            asked.error(OVERLOADED, "busy")
            world.settle()
        assert len(world.held) == 3  # the third node has it now
        assert sorted(world.served) == [0, 1, 2]
        del world.held[:2]
        world.answer_all()
        world.settle()
        assert task.done


@pytest.mark.parametrize("way", ["cancelled", "deadline", "closed"])
def test_everything_ends_at_once(way: str) -> None:
    world = Cluster()
    with world.session() as session:
        task = world.start(session.execute, UPDATE, timeout=2.0)
        world.reactor.advance(0.06)
        assert session.stats().in_flight == 2
        if way == "cancelled":
            task.cancel()
            world.settle()
        elif way == "deadline":
            world.reactor.advance(2.0)
            assert isinstance(failure(task), errors.RequestTimeout)
        else:
            world.call(session.aclose, 0)
            assert isinstance(failure(task), errors.SessionClosed)
        assert session.stats().in_flight == 0
        sent = len(world.held)
        world.reactor.advance(1)
        assert len(world.held) == sent
        assert session._context.executor.router.clock.alarms.next_due == math.inf


def test_lost_connections_wait_for_the_others_too() -> None:
    world = Cluster()
    with world.session() as session:
        task = world.start(session.execute, UPDATE)
        world.reactor.advance(0.06)
        first, second = world.held
        number = world.nodes.index(first.link.node)
        world.held.clear()
        world.listeners[number].accepted[0].reset()
        world.settle()
        assert not task.done
        second.void()
        world.settle()
        assert task.done
        world.reactor.advance(5)


def test_a_bound_of_attempts_and_copies_go_together() -> None:
    world = Cluster(attempt_timeout=0.5)
    with world.session() as session:
        task = world.start(session.execute, UPDATE)
        world.reactor.advance(0.62)
        error = failure(task)
        assert isinstance(error, errors.AttemptTimeout)
        assert len(error.attempts) == 2
        assert {type(attempt.error) for attempt in error.attempts} == {errors.AttemptTimeout}
        assert orphans(session) == 3


def test_no_copy_while_the_request_waits_for_room() -> None:
    world = Cluster(count=2, max_in_flight=1)
    with world.session() as session:
        first = [world.start(session.execute, f"INSERT {number}") for number in range(2)]
        task = world.start(session.execute, UPDATE)
        world.reactor.advance(1)
        assert len(world.held) == 2
        world.held.pop().void()
        world.settle()
        assert first[1].done
        assert len(world.held) == 2  # it was sent, and its time begins now
        world.held.pop(0).void()
        world.settle()
        world.reactor.advance(0.049)
        assert len(world.held) == 1
        world.reactor.advance(0.002)
        assert len(world.held) == 2
        world.answer_all()
        world.settle()
        assert task.done


def test_a_cluster_that_is_full_gets_no_copies() -> None:
    world = Cluster(count=2, max_in_flight=1)
    with world.session() as session:
        tasks = [world.start(session.execute, UPDATE) for _ in range(2)]
        world.reactor.advance(1)
        assert len(world.held) == 2
        world.answer_all()
        world.settle()
        assert all(task.done for task in tasks)


def test_windows_streams_and_nurseries() -> None:
    world = Cluster(count=2, policy=ConstantSpeculation(0.005))
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        for node in world.nodes:
            node.known = {key: value for each in world.nodes for key, value in each.known.items()}

        def hold(asked: Asked) -> bool:
            if asked.opcode == Opcode.EXECUTE:
                world.held.append(asked)
            return asked.opcode == Opcode.EXECUTE

        world.nodes[0].script, world.nodes[1].script = hold, None
        task = world.start(session.execute_concurrent_with_args, select, [[n] for n in range(100)])
        world.reactor.advance(1)
        assert [row.scalar() for row in (outcome.result_or_exc for outcome in task.result())] == [*range(100)]

        async def nursery() -> int:
            async with triocql.open_request_nursery(session) as requests:
                handles = [requests.start_soon(select, [n]) for n in range(10)]
            return sum([(await handle).scalar() for handle in handles])

        nursery_task = world.start(nursery)
        world.reactor.advance(1)
        assert nursery_task.result() == 45


def test_pages_go_on_from_the_winner() -> None:
    world = Cluster(count=2, policy=ConstantSpeculation(0.005))
    with world.session() as session:
        for node in world.nodes:
            node.pages["SELECT v FROM p"] = [[1, 2], [3, 4], [5]]
        world.nodes[1].script = None

        async def read() -> list[int]:
            return [row.v async for row in await session.execute("SELECT v FROM p")]

        task = world.start(read)
        world.reactor.advance(1)
        assert task.result() == [1, 2, 3, 4, 5]


def test_a_node_that_has_to_prepare_again_changes_nothing_for_the_other() -> None:
    """Each answer is read by the columns that its own attempt was sent with."""
    world = Cluster(count=2)
    with world.session() as session:
        for node in world.nodes:
            node.results[SELECT] = (("v", "int"),)
        select = world.call(session.prepare, SELECT)
        statement_id = next(iter(node.known for node in world.nodes if node.known))
        world.nodes[0].known = world.nodes[1].known = dict(statement_id)
        task = world.start(session.execute, select, [5])
        world.reactor.advance(0.06)
        first, second = world.held
        world.held.clear()
        second.link.node.results[SELECT] = (("v", "int"), ("w", "int"))
        second.unprepared()  # prepared there anew, it has two columns
        world.settle()
        assert len(world.held) == 1
        first.respond()
        world.settle()
        assert [row._asdict() for row in task.result()] == [{"v": 5}]
        world.answer_all()
        world.settle()


# --- Policies ------------------------------------------------------------------------------------------------


def test_delays_are_kept_whatever_else_is_in_flight() -> None:
    """5 ms are 5 ms: they do not wait for a sweep."""
    world = Cluster(count=2, policy=ConstantSpeculation(0.005))
    with world.session() as session:
        tasks = [world.start(session.execute, f"INSERT {n}", timeout=60.0) for n in range(2000)]
        began = world.reactor.now()
        world.held.clear()
        task = world.start(session.execute, UPDATE, timeout=60.0)
        while len(world.held) < 2:
            world.reactor.advance(0.0005)
        assert 0.005 <= world.reactor.now() - began + 1e-9 <= 0.007
        world.answer_all()
        world.settle()
        assert task.done
        for task in tasks:
            task.cancel()
        world.settle()
        for node in world.nodes:
            for link in node.links:
                link.transport.abort()  # type: ignore[union-attr]
        world.reactor.advance(5)


def test_a_percentile_of_what_the_session_has_seen() -> None:
    policy = PercentileSpeculation(90.0, least=20)
    world = Cluster(count=2, policy=policy)
    with world.session() as session:
        for number in range(20):
            task = world.start(session.execute, UPDATE)
            world.reactor.advance((number + 1) / 1000)
            assert len(world.held) == 1
            world.answer_all()
            world.settle()
            assert task.done
        task = world.start(session.execute, UPDATE)
        world.reactor.advance(0.0175)
        assert len(world.held) == 1
        world.reactor.advance(0.001)
        assert len(world.held) == 2


@pytest.mark.parametrize("answer", [math.nan, -1.0, math.inf, "soon", KeyError, KeyboardInterrupt])
def test_a_policy_that_is_wrong_does_no_harm(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Policy:
        def delay(self, attempts: int) -> Any:
            if isinstance(answer, type):
                raise answer
            return answer

        def learn(self, seconds: float) -> None:
            raise KeyError("learn")

    world = Cluster(count=2, policy=Policy())
    with world.session() as session:
        task = world.start(session.execute, UPDATE)
        world.reactor.advance(1)
        assert len(world.held) == 1
        world.answer_all()
        world.settle()
        assert task.done
        assert {record.getMessage() for record in caplog.records if record.levelname == "ERROR"} == {
            "a request has no copies, for a policy failed"
        }


def test_a_tracker_learns_of_each_attempt() -> None:
    told: list[Any] = []

    class Tracker:
        def start(self, request: Any) -> int:
            return 1

        def attempt(self, token: Any, node: Any, seconds: float, error: BaseException | None) -> None:
            told.append((str(node), type(error)))

        def retry(self, token: Any, error: Exception) -> None:
            told.append("retry")

        def finish(self, token: Any, error: BaseException | None) -> None:
            told.append(("finish", error))

    world = Cluster(count=2, tracker=Tracker())
    with world.session() as session:
        task = world.start(session.execute, UPDATE)
        world.reactor.advance(0.06)
        told.clear()
        second = world.held.pop()
        second.void()
        world.settle()
        assert task.done
        winner = str(world.addresses[world.nodes.index(second.link.node)])
        (loser,) = {str(address) for address in world.addresses} - {winner}
        assert told == [(winner, type(None)), (loser, errors.Overtaken), ("finish", None)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConstantSpeculation(-1.0),
        lambda: ConstantSpeculation(math.nan),
        lambda: ConstantSpeculation(math.inf),
        lambda: ConstantSpeculation(0.1, max_attempts=0),
        lambda: PercentileSpeculation(0),
        lambda: PercentileSpeculation(0.99),
        lambda: PercentileSpeculation(99, max_attempts=1),
        lambda: ConstantSpeculation(0.1, max_attempts=1),
        lambda: PercentileSpeculation(100),
        lambda: PercentileSpeculation(99, window=0),
        lambda: PercentileSpeculation(99, least=10, window=5),
        lambda: PolicyOptions(speculation=ConstantSpeculation),  # type: ignore[arg-type]
    ],
)
def test_what_is_not_allowed_is_refused_where_it_is_written(make: Callable[[], Any]) -> None:
    with pytest.raises(errors.OptionError, match="it has to be"):
        make()


# --- Whatever happens ----------------------------------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("start"), st.booleans()),
    st.tuples(st.just("advance"), st.sampled_from([0.01, 0.05, 0.3, 1.0])),
    st.tuples(st.just("answer"), st.integers(0, 9)),
    st.tuples(st.just("error"), st.integers(0, 9)),
    st.tuples(st.just("invalid"), st.integers(0, 9)),
    st.tuples(st.just("nonsense"), st.integers(0, 9)),
    st.tuples(st.just("unprepared"), st.integers(0, 9)),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("reset"), st.integers(0, 2)),
)


@settings(deadline=None)
@given(st.lists(STEP, max_size=40), st.integers(0, 2**16), st.booleans())
def test_each_call_has_one_outcome_and_no_stream_id_is_lost(
    steps: list[tuple[str, Any]], seed: int, bounded: bool
) -> None:
    options: dict[str, Any] = {"attempt_timeout": 0.25} if bounded else {}
    world = Cluster(seed=seed, timeout=2.0, **options)
    with world.session() as session:
        prepared = world.call(session.prepare, INSERT)
        for node in world.nodes:
            node.known = {key: value for each in world.nodes for key, value in each.known.items()}
        calls: list[tuple[int, bool, SimTask[Any]]] = []
        for step, value in steps:
            if step == "start":
                token = len(calls)
                task = world.start(session.execute, prepared, [token], idempotent=value)
                calls.append((token, value, task))
            elif step == "advance":
                world.reactor.advance(value)
            elif step == "cancel":
                if calls:
                    calls[value % len(calls)][2].cancel()
            elif step == "reset":
                world.listeners[value].accepted[-1].reset()
            elif world.held:
                asked = world.held.pop(value % len(world.held))
                _answer(step, asked)
            world.settle()
            check(session)
        world.slow = False
        world.answer_all()
        world.reactor.advance(10)
        assert all(task.done for _, _, task in calls)
        for token, idempotent, _ in calls:
            sent = [asked for node in world.nodes for asked in executes(node.asked) if asked.token == token]
            if not idempotent:
                assert sum(asked.text != "unprepared" for asked in sent) <= 1
        world.reactor.advance(70)


def executes(asked: list[Asked]) -> list[Asked]:
    return [each for each in asked if each.opcode == Opcode.EXECUTE]


def _answer(step: str, asked: Asked) -> None:
    if step == "answer":
        asked.void()
    elif step == "nonsense":
        asked.answer(wire.RESULT, wire.integer(77))
    elif step == "unprepared":
        asked.text = "unprepared"
        asked.unprepared()
    else:
        asked.error(OVERLOADED if step == "error" else INVALID)
