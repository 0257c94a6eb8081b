"""Statements that outlive a change of their types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.test_preparing import prepares
from tests.engine.world import INSERT, World
from triocql import Batch, errors
from triocql.protocol.constants import Opcode

INT, BIGINT = (("p0", "int"),), (("p0", "bigint"),)
A, AB, AC, BA = ((("p0", f"u({fields})"),) for fields in ("a", "a, b", "a, c", "b, a"))
LARGE = 2**40


def sent(world: World) -> list[bytes | None]:
    """Return the values that were executed."""
    executed = [asked for asked in world.node.asked if asked.opcode in (Opcode.EXECUTE, Opcode.BATCH)]
    return [value for asked in executed for value in asked.values]


WAYS = ["text", "prepared", "batch", "batch of text", "concurrent"]


async def write(session: Any, way: str, statement: Any, value: Any) -> None:
    """Execute an INSERT of a value in one of the ways."""
    if way.startswith("batch"):
        await session.execute(Batch().add(statement, [value]))
    elif way == "concurrent":
        await session.execute_concurrent_with_args(statement, [[value]])
    else:
        await session.execute(statement, [value])


def prepared(world: World, session: Any, way: str) -> Any:
    """Return the statement for a way, known to session and node."""
    statement = world.call(session.prepare, INSERT)
    return INSERT if "text" in way else statement


@pytest.mark.parametrize("version", [4, 5])
def test_preparing_always_asks_a_node_and_renews_what_everybody_has(version: int) -> None:
    world = World(version)
    with world.session() as session:
        old = world.call(session.prepare, INSERT)
        state = old.prepared.state
        assert world.call(session.prepare, INSERT).prepared.state is state
        world.node.parameters[INSERT] = BIGINT
        new = world.call(session.prepare, INSERT)
        assert prepares(world) == 3
        assert [str(column.type) for column in old.columns] == ["bigint"]
        assert new.prepared is old.prepared
        for statement in (old, INSERT):
            world.call(session.execute, statement, [LARGE])
        assert prepares(world) == 3


def test_a_statement_that_was_forgotten_here_is_renewed_too() -> None:
    world = World(prepared_cache=1)
    with world.session() as session:
        old = world.call(session.prepare, INSERT)
        world.call(session.prepare, "INSERT INTO u (k) VALUES (?)")
        world.node.parameters[INSERT] = BIGINT
        world.call(session.execute, INSERT, [LARGE])
        assert [str(column.type) for column in old.columns] == ["bigint"]


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("way", WAYS)
def test_a_value_that_does_not_fit_is_refused_only_after_a_node_was_asked(version: int, way: str) -> None:
    world = World(version)
    with world.session() as session:
        statement = prepared(world, session, way)
        for count in (2, 3):
            with pytest.raises(errors.BindValueError, match="int"):
                world.call(write, session, way, statement, LARGE)
            assert prepares(world) == count
        assert sent(world) == []
        world.node.parameters[INSERT] = BIGINT
        world.call(write, session, way, statement, LARGE)
        assert prepares(world) == 4
        world.call(write, session, way, statement, LARGE)
        assert prepares(world) == 4
        assert sent(world) == [LARGE.to_bytes(8, "big")] * 2


def test_many_refusals_ask_once() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.parameters[INSERT] = BIGINT
        world.node.holding = True
        tasks = [world.start(session.execute, insert, [LARGE + number]) for number in range(20)]
        # One is on its way, and may have been read before the last of them was refused: another one follows it.
        world.node.release()
        world.settle()
        assert all(task.done for task in tasks)
        assert prepares(world) <= 3
        assert len(sent(world)) == 20


def test_an_answer_that_was_given_before_the_refusal_does_not_count() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        early = world.start(session.prepare, INSERT)
        (asked,) = world.node.held
        world.node.held.clear()
        late = world.start(session.execute, insert, [LARGE])
        asked.respond()  # with what is true now
        world.node.parameters[INSERT] = BIGINT
        world.settle()
        assert early.done
        assert not late.done
        world.node.release()
        world.settle()
        late.result()
        assert sent(world) == [LARGE.to_bytes(8, "big")]


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(("old", "new"), [(A, AB), (AB, AC), (A, AC)])
def test_values_on_their_way_that_fit_are_sent(version: int, old: Any, new: Any, bound: bool) -> None:
    world = World(version)
    world.node.parameters[INSERT] = old
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        value = insert.bind([{"a": "x"}])
        world.node.forget()
        world.node.parameters[INSERT] = new
        if bound:
            world.call(session.execute, value)
        else:
            world.node.holding = True
            tasks = [world.start(session.execute, insert, [{"a": "x"}]) for _ in range(3)]
            world.node.release()
            world.settle()
            assert [task.result().applied for task in tasks] == [None] * 3
        world.node.forget()
        world.call(session.execute, Batch().add(value).add(insert, [{"a": "y", new[0][1][-2]: "z"}]))
        world.call(session.execute, value)


@pytest.mark.parametrize(("old", "new"), [(AB, A), (AB, BA), (A, INT)])
def test_values_that_do_not_fit_are_not_sent(old: Any, new: Any) -> None:
    world = World()
    world.node.parameters[INSERT] = old
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        values = insert.bind([{"a": "x"}])
        world.node.forget()
        world.node.parameters[INSERT] = new
        with pytest.raises(errors.PreparedIdMismatch, match="types of the parameters"):
            world.call(session.execute, values)
        with pytest.raises(errors.PreparedIdMismatch, match="types of the parameters"):
            world.call(session.execute, Batch().add(values))


def test_what_a_node_says_when_it_prepares_again_is_news_for_every_text_of_that_statement() -> None:
    world = World()
    text = "INSERT INTO ks.t (k) VALUES (?)"
    world.node.statement_id = lambda text, keyspace: text.encode()  # type: ignore[method-assign]
    with world.session() as session:
        first = world.call(session.prepare, text)
        second = world.call(session.prepare, text, keyspace="other")
        assert first.prepared is not second.prepared
        world.node.forget()
        world.node.parameters[text] = BIGINT
        world.call(session.execute, second, [LARGE])
        assert [str(column.type) for column in first.columns] == ["bigint"]


@pytest.mark.parametrize("code", [0x2200, 0x0000])
@pytest.mark.parametrize("way", WAYS)
def test_after_a_node_has_refused_values_it_is_asked_what_it_takes(way: str, code: int) -> None:
    world = World()
    with world.session() as session:
        statement = prepared(world, session, way)
        world.node.parameters[INSERT] = BIGINT
        world.node.script = lambda asked: (
            bool(asked.values and asked.values[0] is not None and len(asked.values[0]) == 4)
            and asked.error(code, "Expected 8 or 0 byte long (4)")
        )
        with pytest.raises(errors.ResponseError, match="Expected 8"):
            world.call(write, session, way, statement, 1)
        world.settle()
        world.call(write, session, way, statement, 1)
        assert prepares(world) == 2


def test_if_no_node_can_be_asked_the_value_is_refused() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE and asked.error(0x2200, "no table")
        with pytest.raises(errors.BindValueError):
            world.call(session.execute, insert, [LARGE])
        with pytest.raises(errors.BindValueError):
            world.call(session.execute, Batch().add(insert, [LARGE]))


def test_if_no_node_answers_in_time_the_request_times_out() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE and asked.hold()
        tasks = [
            world.start(session.execute, statement, values, timeout=2.0)
            for statement, values in ((insert, [LARGE]), (Batch().add(insert, [LARGE]), None))
        ]
        world.reactor.advance(2.1)
        for task in tasks:
            with pytest.raises(errors.RequestTimeout) as info:
                task.result()
            assert not info.value.maybe_executed
        world.node.script = None
        world.node.release()


def test_before_v5_nobody_is_asked_in_another_keyspace() -> None:
    world = World(4, keyspace="one")
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.call(session.execute, "USE two")
        with pytest.raises(errors.BindValueError):
            world.call(session.execute, insert, [LARGE])
        assert prepares(world) == 1


def test_a_list_that_is_filled_anew_while_its_statement_is_prepared() -> None:
    world = World()
    with world.session() as session:

        def rows() -> Iterator[list[int]]:
            row = [0]
            for number in range(50):
                row[0] = number
                yield row

        world.call(session.execute_concurrent_with_args, INSERT, rows())
        assert sorted(world.node.tokens()) == list(range(50))
