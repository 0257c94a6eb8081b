"""Requests wait for their turn, first come first served, and no permit is lost, whatever a request ends by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import triocql
from tests.engine.peer import Asked
from tests.engine.world import INSERT, SELECT, World
from triocql import Batch, PolicyOptions, Profile, Session, errors
from triocql.policies import ConstantSpeculation, NeverThrottle, Throttle
from triocql.protocol.constants import Opcode
from triocql.testing.simulated import SimTask

OVERLOADED, INVALID = 0x1001, 0x2200
STATEMENTS = (Opcode.QUERY, Opcode.EXECUTE, Opcode.BATCH)


class Throttled(World):
    """Nodes that keep statements of users until the test answers them, and a session with a throttle."""

    def __init__(self, throttling: Any, count: int = 1, policies: Any = None, **options: Any) -> None:
        policies = {} if policies is None else policies
        World.__init__(
            self, count=count, policies=PolicyOptions(throttling=throttling, **policies), **options
        )
        self.held: list[Asked] = []
        self.order: list[str] = []
        for node in self.nodes:
            node.script = self._hold

    def _hold(self, asked: Asked) -> bool:
        if asked.opcode not in STATEMENTS or asked.text.startswith("SELECT * FROM system"):
            return False
        self.held.append(asked)
        self.order.append(asked.text)
        return True

    @contextmanager
    def session(self) -> Iterator[Session]:
        with World.session(self) as session:
            yield session
            for node in self.nodes:
                node.script = None
            self.answer_all()
            self.settle()
            for throttling in throttlings(session):
                assert throttling._in_flight == 0
                assert not throttling.queue.held

    def answer_all(self) -> None:
        held, self.held = self.held, []
        for asked in held:
            asked.respond()


def throttlings(session: Session) -> list[Any]:
    executor = session._context.executor
    names = ("default", *session._context.cluster.options.profiles)
    found = {
        id(each): each for name in names if (each := executor.settings.of_profile(name).context.throttling)
    }
    return list(found.values())


def texts(world: Throttled) -> list[str]:
    order, world.order = world.order, []
    return order


def ask(world: World, session: Session, *names: str, **options: Any) -> list[SimTask[Any]]:
    return [world.start(session.execute, f"SELECT {name}", **options) for name in names]


def test_so_many_at_a_time_and_the_others_in_their_order() -> None:
    world = Throttled(Throttle(2))
    with world.session() as session:
        tasks = ask(world, session, *"abcde")
        assert texts(world) == ["SELECT a", "SELECT b"]
        assert session.stats().queued == 3
        world.held.pop(1).respond()
        world.settle()
        assert texts(world) == ["SELECT c"]
        world.held.pop(0).error(INVALID)
        world.settle()
        assert texts(world) == ["SELECT d"]
        world.answer_all()
        world.settle()
        assert texts(world) == ["SELECT e"]
        world.answer_all()
        world.settle()
        with pytest.raises(errors.InvalidQuery):
            tasks[0].result()
        assert [task.result().scalar() for task in tasks[1:]] == [f"SELECT {name}" for name in "bcde"]


def test_every_kind_of_statement_waits() -> None:
    world = Throttled(Throttle(1))
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        first = world.start(session.execute, "SELECT first")
        tasks = [
            world.start(session.execute, insert, [1]),
            world.start(session.execute, insert.bind(2)),
            world.start(session.execute, Batch().add(insert, [3])),
            world.start(session.execute, "SELECT last"),
            world.start(session.execute, SELECT, [4]),  # which is prepared first, that does not wait
        ]
        opcodes = []
        while world.held:
            (asked,) = world.held
            opcodes.append(asked.opcode)
            world.answer_all()
            world.settle()
        assert first.done
        assert all(task.done for task in tasks)
        query, execute, batch = Opcode.QUERY, Opcode.EXECUTE, Opcode.BATCH
        assert opcodes == [query, execute, execute, batch, query, execute]


def test_so_many_a_second() -> None:
    world = Throttled(Throttle(rate=10.0, burst=2))
    with world.session() as session:
        ask(world, session, *"abcde")
        assert len(texts(world)) == 2
        world.reactor.advance(0.099)
        assert texts(world) == []
        world.reactor.advance(0.002)
        assert texts(world) == ["SELECT c"]
        world.reactor.advance(0.2)
        assert texts(world) == ["SELECT d", "SELECT e"]
        assert session._context.executor.router.clock.alarms.next_due == math.inf


def test_waiting_counts_against_the_deadline_and_is_told_of() -> None:
    world = Throttled(Throttle(1))
    with world.session() as session:
        ask(world, session, "a", timeout=60.0)
        (task,) = ask(world, session, "b", timeout=2.0)
        (other,) = ask(world, session, "c", timeout=4.0)
        world.reactor.advance(2.1)
        with pytest.raises(
            errors.RequestTimeout, match=r"within 2 s to 'SELECT b': throttled 2\.0\d\d s"
        ) as info:
            task.result()
        assert (info.value.phase, info.value.written, info.value.maybe_executed) == (
            "throttled",
            False,
            False,
        )
        world.held.pop().respond()
        world.settle()
        world.reactor.advance(2)
        with pytest.raises(errors.RequestTimeout, match=r"throttled 2\.1\d\d s, waiting 1\.[89]\d\d s"):
            other.result()
        assert texts(world) == ["SELECT a", "SELECT c"]


def test_a_bounded_queue() -> None:
    world = Throttled(Throttle(1, max_queue=2))
    with world.session() as session:
        tasks = ask(world, session, *"abcd")
        with pytest.raises(errors.QueueFull, match=r"2 requests .* Throttle\(concurrency=1\) .* max_queue"):
            tasks[3].result()
        assert not any(task.done for task in tasks[:3])
        world.answer_all()
        world.settle()


def test_a_queue_bounded_in_bytes() -> None:
    world = Throttled(Throttle(1), max_queue_bytes=100)
    with world.session() as session:
        tasks = ask(world, session, "a", "b" * 200, "c")
        with pytest.raises(errors.QueueFull):
            tasks[2].result()


def test_what_is_cancelled_while_it_waits_is_not_sent() -> None:
    world = Throttled(Throttle(1))
    with world.session() as session:
        tasks = ask(world, session, *"abc")
        tasks[1].cancel()
        world.settle()
        world.answer_all()
        world.settle()
        assert texts(world) == ["SELECT a", "SELECT c"]


def test_what_is_cancelled_under_way_lets_the_next_one_through() -> None:
    world = Throttled(Throttle(1))
    with world.session() as session:
        tasks = ask(world, session, *"ab")
        tasks[0].cancel()
        world.settle()
        assert texts(world) == ["SELECT a", "SELECT b"]


def test_closing_hangs_at_nothing() -> None:
    world = Throttled(Throttle(1))
    with world.session() as session:
        tasks = ask(world, session, *"abc")
        closing = world.start(session.aclose, 1.0)
        for task in tasks[1:]:
            with pytest.raises(errors.SessionClosed):
                task.result()
        world.answer_all()
        world.settle()
        assert tasks[0].result().scalar() == "SELECT a"
        world.reactor.advance(1)
        assert closing.done
        with pytest.raises(errors.SessionClosed):
            world.call(session.execute, "SELECT d")


def test_a_retry_and_a_copy_take_no_second_permit() -> None:
    world = Throttled(
        Throttle(1), count=3, policies={"speculation": ConstantSpeculation(0.05, max_attempts=2)}
    )
    with world.session() as session:
        (task, other) = ask(world, session, "a", "b")
        world.held.pop().error(OVERLOADED)
        world.settle()
        assert texts(world) == ["SELECT a", "SELECT a"]
        world.reactor.advance(0.06)
        assert texts(world) == ["SELECT a"]
        world.held.pop().respond()
        world.settle()
        assert task.done
        # The other one's node has its own time, from when it was sent.
        assert texts(world) == ["SELECT b"]
        world.reactor.advance(0.04)
        assert texts(world) == []
        world.reactor.advance(0.02)
        assert texts(world) == ["SELECT b"]
        assert not other.done


@pytest.mark.parametrize("most", [0, 3])
@pytest.mark.parametrize("kind", ["prepared", "bound", "batch", "text", "text with values", "own profile"])
def test_windows_wait_however_full_the_queue_is(kind: str, most: int) -> None:
    """What is bounded by its concurrency is not refused: that of one call, and of another one beside it."""
    throttle = Throttle(2, max_queue=most)
    world = Throttled(throttle, profiles={"reports": Profile(throttling=throttle)})
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        own = insert.with_options(profile="reports")
        pairs: dict[str, Any] = {
            "prepared": lambda number: (insert, [number]),
            "bound": lambda number: insert.bind(number),
            "batch": lambda number: Batch().add(insert, [number]),
            "text": lambda number: f"SELECT {number}",
            "text with values": lambda number: (SELECT, [number]),
            "own profile": lambda number: (own, [number]),
        }

        def load() -> Any:
            return session.execute_concurrent([pairs[kind](number) for number in range(30)], concurrency=20)

        tasks = [world.start(load), world.start(load)]
        (refused,) = ask(world, session, "a", profile="reports" if kind == "own profile" else "default")
        with pytest.raises(errors.QueueFull, match="38 requests"):
            refused.result()
        while not all(task.done for task in tasks):
            assert 0 < len(world.held) <= 2
            world.answer_all()
            world.settle()
        assert [len(task.result()) for task in tasks] == [30, 30]


def test_a_window_knows_its_profile_before_anything_is_taken() -> None:
    world = Throttled(Throttle(2))
    with world.session() as session:
        statements = iter(["SELECT a"])
        with pytest.raises(errors.OptionError, match="profile"):
            world.call(session.execute_concurrent, statements, profile="reports")
        assert list(statements) == ["SELECT a"]


@pytest.mark.parametrize("most", [0, 10_000])
def test_requests_of_a_nursery(most: int) -> None:
    world = Throttled(Throttle(2, max_queue=most))
    with world.session() as session:

        async def load() -> None:
            async with triocql.open_request_nursery(session, concurrency=5) as nursery:
                for number in range(20):
                    await nursery.start(f"SELECT {number}")

        task = world.start(load)
        while not task.done:
            assert len(world.held) <= 2
            world.answer_all()
            world.settle()
        assert texts(world) == [f"SELECT {number}" for number in range(20)]


def test_what_a_nursery_starts_without_a_bound_is_refused_like_any_other() -> None:
    world = Throttled(Throttle(1, max_queue=1))
    with world.session() as session:

        async def load() -> None:
            async with triocql.open_request_nursery(session, concurrency=5) as nursery:
                handles = [nursery.start_soon(f"SELECT {number}") for number in range(3)]
                with pytest.raises(errors.QueueFull):
                    await handles[2]

        world.start(load)


def test_profiles_count_for_themselves_and_together_where_they_inherit() -> None:
    profiles = {
        "reports": Profile(throttling=Throttle(1)),
        "nightly": Profile(base="reports"),
        "plain": Profile(timeout=5.0),
        "free": Profile(throttling=NeverThrottle()),
    }
    world = Throttled(Throttle(2), profiles=profiles)
    with world.session() as session:
        for name in ("default", "plain", "reports", "nightly", "free", "free", "default"):
            ask(world, session, name, profile=name)
        assert texts(world) == [f"SELECT {name}" for name in ("default", "plain", "reports", "free", "free")]
        assert len(throttlings(session)) == 2
        world.answer_all()
        world.settle()
        assert sorted(texts(world)) == ["SELECT default", "SELECT nightly"]


def test_sessions_do_not_share_a_throttle() -> None:
    throttle = Throttle(1)
    first, second = Throttled(throttle), Throttled(throttle)
    with first.session() as one, second.session() as two:
        ask(first, one, "a")
        ask(second, two, "b")
        assert texts(first) == ["SELECT a"]
        assert texts(second) == ["SELECT b"]


def test_ten_thousand_that_fail_at_once_do_not_nest() -> None:
    world = Throttled(Throttle(1))
    with world.session() as session:
        tasks = ask(world, session, "a")
        tasks += [session_task(world, session, number) for number in range(3000)]
        world.settle()
        world.listeners[0].refuse = True
        for connection in world.accepted():
            connection.abort()
        world.reactor.advance(30)
        assert all(task.done for task in tasks)


def session_task(world: World, session: Session, number: int) -> SimTask[Any]:
    return world.reactor.start(lambda: session.execute("INSERT 1"))


# --- Policies of the user's ----------------------------------------------------------------------------------


class Odd:
    max_queue = 10

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def turn(self, now: float, in_flight: int) -> Any:
        answer = self.answers.pop(0) if self.answers else now
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ZeroDivisionError("x"), "the throttling policy raised ZeroDivisionError: x"),
        ("now", r"raised TypeError: turn\(\) returned 'now', not the time"),
        (None, r"turn\(\) returned None"),
        (math.nan, r"turn\(\) returned nan"),
    ],
)
def test_what_a_policy_does_wrong_fails_the_request_that_it_was_asked_about(
    answer: Any, message: str
) -> None:
    world = Throttled(Odd(answer, math.inf, answer))
    with world.session() as session:
        (task,) = ask(world, session, "a")
        with pytest.raises(errors.RequestError, match=message) as info:
            task.result()
        assert not info.value.maybe_executed
        waits, later = ask(world, session, "b", "c")  # the second one has the first asked for again
        with pytest.raises(errors.RequestError, match=message):
            waits.result()
        assert texts(world) == ["SELECT c"]
        assert not later.done


def test_a_session_may_be_closed_by_its_policy() -> None:
    class Closes(Odd):
        def turn(self, now: float, in_flight: int) -> Any:
            session._context.cluster.close()
            return now

    world = Throttled(Closes())
    with world.session() as session:
        (task,) = ask(world, session, "a")
        with pytest.raises(errors.SessionClosed):
            task.result()


# --- Anything ------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "bound", "answer", "error", "retry", "cancel", "lose", "wait", "profile"]),
        st.integers(0, 5),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(1, 3), st.booleans(), st.booleans())
def test_never_more_than_so_many_in_their_order_and_no_permit_is_lost(
    steps: list[tuple[str, int]], most: int, rated: bool, closes: bool
) -> None:
    throttle = Throttle(most, rate=20.0, burst=2) if rated else Throttle(most)
    world = Throttled(throttle, count=2, profiles={"more": Profile(timeout=3.0)})
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        tasks: list[SimTask[Any]] = []
        (throttling,) = throttlings(session)
        for number, (step, index) in enumerate(steps):
            if step == "start":
                tasks.append(world.start(session.execute, f"SELECT {number:03}", timeout=1.0 + index))
            elif step == "bound":
                tasks.append(world.start(session.execute, insert, [number]))
            elif step == "profile":
                tasks.append(world.start(session.execute, f"SELECT {number:03}", profile="more"))
            elif step in ("answer", "error", "retry") and world.held:
                asked = world.held.pop(index % len(world.held))
                code = {"error": INVALID, "retry": OVERLOADED}.get(step)
                asked.respond() if code is None else asked.error(code)
            elif step == "cancel" and tasks:
                tasks[index % len(tasks)].cancel()
            elif step == "lose":
                for connection in world.accepted(index % 2):
                    connection.abort()
            elif step == "wait":
                world.reactor.advance(0.3 * index)
            world.settle()
            under_way = [task for task in tasks if not task.done]
            assert throttling._in_flight <= most
            assert throttling._in_flight + len(throttling.queue) == len(under_way)
            if not rated:
                assert not throttling.queue.held or throttling._in_flight == most
        if closes:
            world.start(session.aclose, 0.0)
        else:
            for node in world.nodes:
                node.script = None
            world.answer_all()
        world.reactor.advance(20)
        assert all(task.done for task in tasks)
        assert throttling._in_flight == 0
        firsts = list(dict.fromkeys(text for text in world.order if text.startswith("SELECT 0")))
        assert firsts == sorted(firsts)
