"""Columns of results that change under a prepared statement, or are not told as they should be."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine import wire
from tests.engine.peer import Asked
from tests.engine.test_preparing import OTHER
from tests.engine.world import SELECT, World
from triocql import errors
from triocql.protocol.constants import Opcode

BEFORE = (("v", "int"),)
AFTER = (("u", "int"), ("v", "int"))


@pytest.mark.parametrize("version", [3, 4, 5])
def test_columns_that_change_under_a_prepared_select(version: int) -> None:
    world = World(version)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        bound = select.bind(5)
        assert world.call(session.execute, bound)[0]._asdict() == {"v": 5}
        world.node.results[SELECT] = AFTER
        for statement, values in ((select, [6]), (bound, None), (select, [7]), (SELECT, [8])):
            result = world.call(session.execute, statement, values)
            token = values[0] if values else 5
            assert result[0]._asdict() == {"u": token, "v": token}
        assert [column.name for column in select.result_columns] == ["u", "v"]


def test_metadata_and_its_id_change_together() -> None:
    world = World(5)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        old = world.node.asked[-1].metadata_id
        world.node.results[SELECT] = AFTER
        world.call(session.execute, select, [1])
        first = world.node.asked[-1]
        world.call(session.execute, select, [2])
        second = world.node.asked[-1]
        assert first.skip_metadata
        assert second.skip_metadata
        assert first.metadata_id != second.metadata_id
        assert old == b""
        world.node.results[SELECT] = BEFORE
        world.node.holding = True
        tasks = [world.start(session.execute, select, [number]) for number in range(5)]
        world.reactor.random.shuffle(world.node.held)
        world.node.release()
        world.settle()
        assert [task.result()[0]._asdict() for task in tasks] == [{"v": number} for number in range(5)]
        world.call(session.execute, select, [9])
        assert world.node.asked[-1].metadata_id == first.metadata_id


def test_late_news_do_not_undo_what_was_learned_since() -> None:
    world = World(5)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.holding = True
        tasks = [world.start(session.execute, select, [number]) for number in range(2)]
        news = (AFTER, b"first"), ((("w", "int"),), b"second")
        for asked, (specs, new_id) in zip(world.node.held, news, strict=True):
            cells = [[wire.integer(asked.token)] * len(specs)]
            asked.answer(wire.RESULT, wire.rows(specs, cells, new_metadata_id=new_id))
            world.settle()
        assert [task.result()[0]._asdict() for task in tasks] == [{"u": 0, "v": 0}, {"w": 1}]
        world.start(session.execute, select, [2])
        assert world.node.asked[-1].metadata_id == b"first"
        world.node.held.pop().answer(wire.RESULT, wire.rows(AFTER, [], describe=False))


def test_the_same_columns_again_are_no_news() -> None:
    world = World(4)
    world.node.pages[SELECT] = [[1], [2]]
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        state = select.prepared.state
        assert world.call(session.execute, select, [1]).has_more_pages
        assert select.prepared.state is state


@pytest.mark.parametrize("version", [4, 5])
def test_columns_that_change_between_forgetting_and_executing(version: int) -> None:
    world = World(version)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.forget()
        world.node.results[SELECT] = AFTER
        assert world.call(session.execute, select, [3])[0]._asdict() == {"u": 3, "v": 3}


def test_rows_without_columns_of_another_width_are_refused() -> None:
    world = World(5)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        shifted = wire.rows(AFTER, [[wire.integer(1), wire.integer(2)]], describe=False)
        world.node.script = lambda asked: (
            asked.opcode == Opcode.EXECUTE and asked.answer(wire.RESULT, shifted)
        )
        with pytest.raises(errors.ProtocolError, match=r"2 columns and no description; .* prepared with 1"):
            world.call(session.execute, select, [1])


@pytest.mark.parametrize("arguments", [("SELECT x",), (OTHER, [1])])
def test_rows_without_columns_that_nobody_knows_are_refused(arguments: Any) -> None:
    world = World(5)
    with world.session() as session:
        rows = wire.rows(BEFORE, [[wire.integer(1)]], describe=False)
        world.node.script = lambda asked: asked.opcode != Opcode.PREPARE and asked.answer(wire.RESULT, rows)
        with pytest.raises(errors.ProtocolError, match="left out the columns"):
            world.call(session.execute, *arguments)


@pytest.mark.parametrize("version", [3, 4, 5])
def test_columns_of_a_conditional_update_are_those_of_each_answer(version: int) -> None:
    world = World(version)
    with world.session() as session:
        update = world.call(session.prepare, "INSERT INTO t (k) VALUES (?) IF NOT EXISTS")
        state = update.prepared.state

        def answer(asked: Asked) -> bool:
            specs = (("applied", "int"), ("k", "int"))[: asked.token]
            return asked.answer(wire.RESULT, wire.rows(specs, [[wire.integer(asked.token)] * len(specs)]))

        world.node.script = lambda asked: asked.opcode == Opcode.EXECUTE and answer(asked)
        for number, expected in ((1, {"applied": 1}), (2, {"applied": 2, "k": 2}), (1, {"applied": 1})):
            assert world.call(session.execute, update, [number])[0]._asdict() == expected
        assert update.prepared.state is state


def test_columns_that_prepare_did_not_tell_are_kept_with_their_id() -> None:
    world = World(5)
    with world.session() as session:
        listing = world.call(session.prepare, "LIST ROLES OF ?")
        bound = listing.bind(1)

        def answer(asked: Asked) -> bool:
            cells = [[wire.integer(asked.token)]]
            if asked.metadata_id == b"news":
                return asked.answer(wire.RESULT, wire.rows(BEFORE, cells, describe=False))
            return asked.answer(wire.RESULT, wire.rows(BEFORE, cells, new_metadata_id=b"news"))

        world.node.script = lambda asked: asked.opcode == Opcode.EXECUTE and answer(asked)
        for statement, values in ((listing, [1]), (bound, None), (listing, [1])):
            assert world.call(session.execute, statement, values)[0]._asdict() == {"v": 1}
        executed = [asked for asked in world.node.asked if asked.opcode == Opcode.EXECUTE]
        assert [asked.metadata_id == b"news" for asked in executed] == [False, True, True]
        assert [asked.skip_metadata for asked in executed] == [False, True, True]


def test_same_columns_under_a_new_id_are_asked_for_by_that_id() -> None:
    world = World(5)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)

        def answer(asked: Asked) -> bool:
            cells = [[wire.integer(asked.token)]]
            new_id = None if asked.metadata_id == b"news" else b"news"
            described = wire.rows(BEFORE, cells, new_metadata_id=new_id, describe=new_id is not None)
            return asked.answer(wire.RESULT, described)

        world.node.script = lambda asked: asked.opcode == Opcode.EXECUTE and answer(asked)
        for number in range(3):
            assert world.call(session.execute, select, [number])[0]._asdict() == {"v": number}
        executed = [asked for asked in world.node.asked if asked.opcode == Opcode.EXECUTE]
        assert [asked.metadata_id == b"news" for asked in executed] == [False, True, True]


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("left", range(4))
def test_rows_that_end_within_their_number_are_refused(version: int, left: int) -> None:
    world = World(version)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        short = select.prepared.state.rows_head + bytes(left)
        world.node.script = lambda asked: asked.opcode == Opcode.EXECUTE and asked.answer(wire.RESULT, short)
        with pytest.raises(errors.ProtocolError, match="end") as info:
            world.call(session.execute, select, [1])
        assert info.value.maybe_executed
