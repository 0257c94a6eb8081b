"""What a failure says of the attempts before it: each on one line, with what was decided; bounded, however many."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import Any

import pytest

from tests.engine.world import SELECT, World
from triocql import errors
from triocql.abc import Address
from triocql.engine.history import History
from triocql.engine.phase import Phase
from triocql.errors import Attempt
from triocql.metadata.node import Node

OVERLOADED = 0x1001
NODE = Node(Address("10.0.0.1", 9042))


def overloaded(text: str) -> Any:
    return lambda asked: asked.error(OVERLOADED, text)


def raised(world: World, session: Any) -> errors.Overloaded:
    with pytest.raises(errors.Overloaded) as caught:
        world.call(session.execute, "SELECT x")
    return caught.value


def test_without_an_earlier_attempt_it_is_one_line() -> None:
    world = World()
    with world.session() as session:
        world.node.script = overloaded("too much")
        error = raised(world, session)
        assert (str(error), error.attempts) == ("too much", ())


def test_each_attempt_is_one_line_with_what_was_decided(caplog: pytest.LogCaptureFixture) -> None:
    world = World(count=2)
    with world.session() as session:
        for node in world.nodes:
            node.script = overloaded("too\nmuch")
        error = raised(world, session)
        (attempt,) = error.attempts
        assert attempt.decision == "next node"
        assert attempt.node is not error.coordinator
        line = f"  {attempt.node}  0.000 s  Overloaded: too much  -> next node"
        assert str(error).splitlines()[-1] == line
        assert traceback.format_exception(error)[-1].splitlines()[-1] == line
        logging.getLogger("application").error("it failed: %s", error)
        assert caplog.records[-1].getMessage().splitlines()[-1] == line


def test_a_lost_connection_is_an_attempt() -> None:
    world = World(count=2)
    with world.session() as session:
        for node in world.nodes:
            node.script = overloaded("too much")
        world.node.script = lambda asked: world.listeners[0].accepted[0].reset() or True  # type: ignore[func-returns-value]
        seen = {type(each.error) for _ in range(40) for each in raised(world, session).attempts}
        assert errors.ConnectionLost in seen


def test_very_many_attempts_stay_bounded_in_memory_and_in_print() -> None:
    history = History()
    for number in range(10_000):
        history.failed(NODE, errors.Overloaded(f"{number} {'x' * 10_000}"), 0.001, "same node")
    error = errors.Overloaded("at last")
    history.explain(error)
    assert (history.retries, len(error.attempts), error.attempts_left_out) == (10_000, 32, 9_968)
    lines = str(error).splitlines()
    assert len(lines) == 1 + 32 + 1
    assert lines[9] == "  … 9,968 more …"
    assert [line.split()[4] for line in (*lines[1:9], *lines[10:])] == [
        *"01234567",
        *map(str, range(9_976, 10_000)),
    ]
    assert max(map(len, lines)) < 400
    assert len(history.phases(20.0, Phase.WAITING, NODE)) == 1
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_more_attempts_than_are_shown() -> None:
    error = errors.NoNodeAvailable("none")
    error.attempts = tuple(Attempt(NODE, errors.ConnectError(str(number)), 0.0) for number in range(300))
    lines = str(error).splitlines()
    assert (len(lines), lines[9]) == (34, "  … 268 more …")
    error.attempts = error.attempts[:32]
    assert len(str(error).splitlines()) == 33


def test_a_server_that_says_very_much_is_cut_short_among_the_attempts() -> None:
    world = World(count=2)
    with world.session() as session:
        for node in world.nodes:
            node.script = overloaded("y" * 60_000)
        error = raised(world, session)
        assert len(error.message) == 60_000
        assert len(str(error).splitlines()[-1]) < 400


def test_a_timeout_tells_of_the_node_that_did_not_know_a_statement() -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.holding = True
        task = world.start(session.execute, select, [1], timeout=4.0)
        world.reactor.advance(1.0)
        world.node.held.pop().unprepared()
        world.reactor.advance(3.1)
        with pytest.raises(errors.RequestTimeout, match=r"waiting 1\.000 s, preparing 3\.000 s$") as caught:
            task.result()
        assert [(each.phase, str(each.node)) for each in caught.value.phases] == [
            ("waiting", "10.0.0.1:9042"),
            ("preparing", "None"),
        ]
        world.node.release()
