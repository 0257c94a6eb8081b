"""Deadlines: one a call, which says what the request was doing when it passed."""

from __future__ import annotations

import math

import pytest

from tests.engine.world import INSERT, SELECT, World, only
from triocql import errors
from triocql.protocol.constants import Opcode


def timed_out(task: object) -> errors.RequestTimeout:
    """Return the error of a task that has timed out."""
    with pytest.raises(errors.RequestTimeout) as info:
        task.result()  # type: ignore[attr-defined]
    return info.value


def phases(error: errors.RequestTimeout) -> list[tuple[str, float]]:
    return [(each.phase, round(each.seconds, 1)) for each in error.phases]


def test_waiting() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        task = world.start(session.execute, insert, [1], timeout=2.0)
        world.reactor.advance(1.99)
        assert not task.done
        world.reactor.advance(0.02)
        error = timed_out(task)
        assert (error.phase, error.written, error.timeout) == ("waiting", True, 2.0)
        assert error.maybe_executed
        assert str(error) == f"no answer from 10.0.0.1:9042 within 2 s to {INSERT!r}: waiting 2.000 s"
        assert (str(error.node), error.statement) == ("10.0.0.1:9042", INSERT)
        assert phases(error) == [("waiting", 2.0)]


def test_it_says_how_long_each_phase_took() -> None:
    world = World(max_in_flight=1)
    text = "INSERT INTO t (k, v)\n    VALUES (?, 'x')" + " " * 200 + "USING TTL 7"
    with world.session() as session:
        world.node.holding = True
        first = world.start(session.execute, "INSERT 1")
        task = world.start(session.execute, text, [1], timeout=4.0)
        world.reactor.advance(1.0)
        world.node.release()  # the first; then PREPARE is held, and then EXECUTE
        world.node.holding = True
        world.settle()
        assert first.done
        world.reactor.advance(1.0)
        world.node.held.pop().respond()
        world.settle()
        world.reactor.advance(2.1)
        error = timed_out(task)
        assert phases(error) == [("preparing", 2.0), ("waiting", 2.0)]
        assert error.statement == "INSERT INTO t (k, v) VALUES (?, 'x') USING TTL 7"
        assert str(error).endswith(f"to {error.statement!r}: preparing 2.000 s, waiting 2.000 s")
        world.node.release()


def test_what_waits_for_no_node_names_none() -> None:
    world = World(max_in_flight=1)
    with world.session() as session:
        world.node.holding = True
        world.start(session.execute, "INSERT 1")
        queued = world.start(session.execute, "INSERT 2 " + "x" * 200, timeout=2.0)
        preparing = world.start(session.prepare, SELECT, timeout=2.0)
        world.reactor.advance(2.1)
        error = timed_out(queued)
        assert (error.node, phases(error)) == (None, [("queued", 2.0)])
        assert error.statement == "INSERT 2 " + "x" * 90 + "…"
        assert str(timed_out(preparing)) == f"no answer within 2 s to {SELECT!r}: preparing 2.000 s"
        world.node.release()
        world.settle()


def test_an_attempt_counts_from_its_own_start() -> None:
    world = World(count=3, max_in_flight=1)
    with world.session() as session:
        for node in world.nodes:
            node.holding = True
        others = [world.start(session.execute, f"INSERT {number}") for number in range(3)]
        task = world.start(session.execute, "SELECT 1", timeout=20.0)
        seen = []
        for seconds in (1.0, 2.0, 4.0):
            world.reactor.advance(seconds)
            for node in world.nodes:
                for asked in list(node.held):
                    node.held.remove(asked)
                    if asked.text == "SELECT 1":
                        seen.append(seconds)
                        asked.error(0x1001, "overloaded")
                    else:
                        asked.respond()
            world.settle()
        assert all(other.done for other in others)
        world.reactor.advance(20.0)
        error = timed_out(task)
        assert [attempt.elapsed for attempt in error.attempts] == [pytest.approx(each) for each in seen] != []
        assert phases(error)[0] == ("queued", 1.0)
        assert sum(each.seconds for each in error.phases) == pytest.approx(20.0)
        assert {each.node: each.seconds for each in error.phases if each.node not in (None, error.node)} == {
            attempt.node: pytest.approx(attempt.elapsed) for attempt in error.attempts
        }
        first, second = (attempt.node for attempt in error.attempts)
        waits = f"waiting 2.000 s on {first}, waiting 4.000 s on {second}, waiting 13.000 s on {error.node}"
        assert str(error).splitlines()[0].endswith(f": queued 1.000 s, {waits}")
        for node in world.nodes:
            node.release()
        world.settle()


def test_sending() -> None:
    world = World()
    with world.session() as session:
        world.listeners[0].accepted[0].pause_reading()
        world.start(session.execute, "SELECT " + "x" * 500_000)
        task = world.start(session.execute, "INSERT late", timeout=2.0)
        world.reactor.advance(2.1)
        error = timed_out(task)
        assert (error.phase, error.written, error.maybe_executed) == ("sending", False, False)
        world.listeners[0].accepted[0].resume_reading()
        world.settle()
        assert "INSERT late" not in world.node.texts()


def test_queued() -> None:
    world = World(max_in_flight=1)
    with world.session() as session:
        world.node.holding = True
        world.start(session.execute, "INSERT 1")
        task = world.start(session.execute, "INSERT 2", timeout=2.0)
        world.reactor.advance(2.1)
        error = timed_out(task)
        assert (error.phase, error.written, error.maybe_executed) == ("queued", False, False)
        world.node.release()
        world.settle()
        assert world.node.texts() == ["INSERT 1"]


@pytest.mark.parametrize("seed", range(4))
def test_preparing(seed: int) -> None:
    world = World(seed=seed, timeout=2.0)
    with world.session() as session:
        world.node.holding = True
        task = world.start(session.execute, INSERT, [1])
        world.reactor.advance(2.1)
        error = timed_out(task)
        assert (error.phase, error.written, error.maybe_executed) == ("preparing", False, False)
        assert world.node.tokens() == []


@pytest.mark.parametrize("seed", range(4))
def test_prepare_itself(seed: int) -> None:
    world = World(seed=seed)
    with world.session() as session:
        world.node.holding = True
        task = world.start(session.prepare, INSERT, timeout=2.0)
        world.reactor.advance(2.1)
        assert timed_out(task).phase == "preparing"
        world.node.release()
        world.settle()
        # The answer came late, and is known all the same.
        world.call(session.execute, INSERT, [1])
        assert world.node.counts[Opcode.PREPARE] == 1


def test_preparing_again() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.forget()
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE
        task = world.start(session.execute, insert, [1], timeout=2.0)
        world.reactor.advance(2.1)
        error = timed_out(task)
        assert (error.phase, error.written, error.maybe_executed) == ("preparing", False, False)


def test_connecting() -> None:
    world = World()
    with world.session() as session:
        world.reactor.advance(10)
        world.listeners[0].black_hole = True
        world.listeners[0].accepted[0].reset()
        world.settle()
        task = world.start(session.execute, "INSERT 1", timeout=2.0)
        world.reactor.advance(2.1)
        error = timed_out(task)
        assert (error.phase, error.written, error.maybe_executed) == ("connecting", False, False)


def test_second_attempt_of_a_request_that_was_written_before() -> None:
    world = World()
    with world.session() as session:
        world.reactor.advance(10)
        world.node.holding = True
        task = world.start(session.execute, SELECT.replace("?", "1"), timeout=2.0)
        world.listeners[0].black_hole = True
        world.listeners[0].accepted[0].reset()
        world.reactor.advance(2.1)
        error = timed_out(task)
        assert (error.phase, error.written) == ("connecting", False)
        assert error.maybe_executed
        assert [str(attempt.node) for attempt in error.attempts] == ["10.0.0.1:9042"]


def test_no_bound() -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True
        task = world.start(session.execute, "INSERT 1", timeout=math.inf)
        world.reactor.advance(80_000)
        assert not task.done
        task.cancel()


@pytest.mark.parametrize("timeout", [0, -1.0, "soon", True])
def test_timeouts_that_are_none(timeout: object) -> None:
    world = World()
    with world.session() as session:
        with pytest.raises(errors.OptionError, match="timeout"):
            world.call(session.execute, "INSERT 1", timeout=timeout)
        with pytest.raises(errors.OptionError, match="timeout"):
            world.call(session.prepare, INSERT, timeout=timeout)
        assert world.node.asked == []


def test_nothing_ticks_while_nothing_is_in_flight() -> None:
    world = World(heartbeat_interval=1e9, heartbeat_timeout=1e9, frame_timeout=1e9)
    with world.session() as session:
        world.call(session.execute, "INSERT 1")
        world.reactor.advance(20)
        assert session._context.executor.router.clock.armed == math.inf
        assert world.reactor._timers.next_due() > 1e8


def test_many_deadlines_each_in_time() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        ended: dict[int, float] = {}

        async def one(number: int) -> None:
            try:
                await session.execute(insert, [number], timeout=0.01 * (number % 50 + 1))
            except errors.RequestTimeout:
                ended[number] = world.reactor.now()

        began = world.reactor.now()
        for number in range(500):
            world.reactor.start(one, number)
        world.reactor.advance(5)
        late = [ended[n] - began - 0.01 * (n % 50 + 1) for n in range(500)]
        assert min(late) >= -1e-9
        assert max(late) < 0.01
        assert len(only(session).orphans) + len(session._context.executor.router.connections()) > 0


def test_late_loop_lets_answers_win_that_have_arrived() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        task = world.start(session.execute, insert, [1], timeout=2.0)
        world.reactor._now += 10  # the loop was blocked
        world.node.release()
        world.settle()
        assert task.result() is not None


@pytest.mark.parametrize("text", [True, False])
def test_the_timeout_of_the_error_is_a_float_whatever_was_given(text: bool) -> None:
    world = World(timeout=1)
    with world.session() as session:
        world.node.script = lambda asked: asked.text == SELECT
        task = world.start(session.execute if text else session.prepare, SELECT)
        world.reactor.advance(2)
        with pytest.raises(errors.RequestTimeout) as caught:
            task.result()
        assert type(caught.value.timeout) is float
