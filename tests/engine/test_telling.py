"""Bugs in the middle of a connection's or the session's work: they end what they befell, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.world import INSERT, SELECT, World, check, only
from triocql import errors

BUGS = pytest.mark.parametrize("bug", [RuntimeError("bug"), MemoryError(), RecursionError("too deep")])


def raising(bug: Exception) -> Callable[..., Any]:
    """Return what raises, whatever it is called with."""

    def raises(*_args: Any) -> Any:
        raise bug

    return raises


def reported(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged as errors."""
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


@BUGS
@pytest.mark.parametrize("part", ["receive", "encode"])
def test_a_bug_in_reading_or_writing_ends_the_connection(
    part: str, bug: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    with world.session() as session:
        world.reactor.advance(5)
        insert = world.call(session.prepare, INSERT)
        connection = only(session)
        world.node.holding = True
        waiting = world.start(session.execute, insert, [1])
        setattr(connection.framing, part, raising(bug))
        world.start(session.execute, "INSERT INTO other", idempotent=False)
        world.node.release()
        world.settle()
        with pytest.raises(errors.ConnectionLost) as info:
            waiting.result()
        assert info.value.__cause__ is bug
        assert info.value.maybe_executed
        assert world.call(session.execute, SELECT, [7]).scalar() == 7
        assert only(session) is not connection
    assert len(reported(caplog)) == 1


@BUGS
def test_a_bug_in_taking_an_answer_ends_its_request(bug: Exception, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        connection = only(session)
        refused = session._context.executor.context.recovery.refused
        session._context.executor.context.recovery.refused = raising(bug)  # type: ignore[method-assign]
        world.node.holding = True
        tasks = [world.start(session.execute, insert, [number]) for number in range(3)]
        first, *others = world.node.held
        first.error(0x0000)
        for asked in others:
            asked.respond()
        world.settle()
        session._context.executor.context.recovery.refused = refused  # type: ignore[method-assign]
        with pytest.raises(errors.InternalError) as info:
            tasks[0].result()
        assert info.value.__cause__ is bug
        assert info.value.maybe_executed
        assert [task.result().one() for task in tasks[1:]] == [None, None]
        assert only(session) is connection
    assert len(reported(caplog)) == 1


@BUGS
def test_a_step_after_reading_that_raises_keeps_no_other_from_its_turn(
    bug: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    done: list[str] = []
    with world.session() as session:
        router = session._context.executor.router
        router.after_reading += [lambda: done.append("first"), raising(bug), lambda: done.append("last")]
        world.call(session.execute, "INSERT INTO t")
        assert done == ["first", "last"]
        assert router.after_reading == []
    assert len(reported(caplog)) == 1


@BUGS
def test_a_sweep_goes_on_after_what_raises(bug: Exception, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with world.session() as session:
        router = session._context.executor.router
        router.queue.expire = raising(bug)  # type: ignore[method-assign]
        world.node.holding = True
        task = world.start(session.execute, "INSERT INTO t", timeout=1.0)
        world.reactor.advance(1.01)
        del router.queue.expire
        with pytest.raises(errors.RequestTimeout):
            task.result()
        world.node.release()
        late = world.start(session.execute, "INSERT INTO t", timeout=1.0)
        assert late.done
    assert set(reported(caplog)) == {f"{type(bug).__name__} while the outcomes of requests were delivered"}


@BUGS
def test_what_cannot_be_sent_for_want_of_stack_leaves_all_as_it_was(bug: Exception) -> None:
    """The end of a recursion may be met anywhere; the next request finds the connection in order."""
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        connection = only(session)
        deaf: Any = _Deaf(bug)
        connection._transport, transport = deaf, connection._transport
        with pytest.raises(type(bug)):
            session._context.executor.start(_Ignored(), insert, [1])
        connection._transport = transport
        check(session)
        assert not connection.in_flight
        world.call(session.execute, insert, [2])
        assert world.node.tokens() == [2]


class _Deaf:
    """A transport that cannot be woken."""

    def __init__(self, bug: Exception) -> None:
        self.wake = raising(bug)


class _Ignored:
    def resolve(self, value: Any) -> None:
        raise AssertionError

    reject = resolve
