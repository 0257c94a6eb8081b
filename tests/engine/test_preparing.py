"""Statements are prepared once, however many want them; they are prepared again where a node has forgotten them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine import wire
from tests.engine.peer import Asked
from tests.engine.world import INSERT, SELECT, World
from triocql import Batch, errors
from triocql.protocol.constants import Opcode
from triocql.testing.simulated import SimTask

OTHER = "INSERT INTO u (k) VALUES (?)"


def prepares(world: World) -> int:
    return sum(node.counts.get(Opcode.PREPARE, 0) for node in world.nodes)


# --- Preparing ---------------------------------------------------------------------------------------------------


def test_many_callers_share_one_request() -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True
        preparing = [world.start(session.prepare, SELECT) for _ in range(5)]
        executing = [world.start(session.execute, SELECT, [number]) for number in range(5)]
        world.node.release()
        world.settle()
        assert prepares(world) == 1
        assert {task.result().text for task in preparing} == {SELECT}
        assert [task.result().scalar() for task in executing] == list(range(5))
        assert len({id(task.result().prepared) for task in preparing}) == 1


def test_the_first_caller_is_cancelled() -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True
        first = world.start(session.execute, SELECT, [1])
        second = world.start(session.execute, SELECT, [2])
        third = world.start(session.prepare, SELECT)
        first.cancel()
        world.settle()
        assert first.cancelled
        world.node.release()
        world.settle()
        assert second.result().scalar() == 2
        assert third.result().text == SELECT
        assert prepares(world) == 1
        assert world.node.tokens() == [2]


def test_all_callers_are_cancelled_and_the_statement_is_known_nevertheless() -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True
        task = world.start(session.prepare, SELECT)
        task.cancel()
        world.settle()
        world.node.release()
        world.settle()
        assert session.stats() == (1, 0, 0, 0)
        assert world.call(session.execute, SELECT, [1]).scalar() == 1
        assert prepares(world) == 1


@pytest.mark.parametrize("text", [SELECT])
def test_each_caller_gets_an_error_of_its_own(text: str) -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True
        tasks: list[SimTask[Any]] = [
            world.start(session.prepare, text),
            world.start(session.execute, text, [1]),
        ]
        world.node.held[0].error(0x2000, "no viable alternative")
        world.settle()
        found = []
        for task in tasks:
            with pytest.raises(errors.SyntaxError, match="no viable alternative") as info:
                task.result()
            assert not info.value.maybe_executed
            assert info.value.coordinator == "10.0.0.1:9042"
            found.append(info.value)
        assert found[0] is not found[1]
        world.node.holding = False
        assert world.call(session.prepare, text).text == text


def test_a_patient_caller_is_not_bound_by_the_deadline_of_the_first() -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True
        hasty = world.start(session.execute, SELECT, [1], timeout=1.0)
        patient = world.start(session.execute, SELECT, [2], timeout=60.0)
        third = world.start(session.prepare, SELECT, timeout=70.0)
        world.reactor.advance(50)
        with pytest.raises(errors.RequestTimeout):
            hasty.result()
        assert not patient.done
        world.node.release()
        world.settle()
        assert patient.result().scalar() == 2
        assert third.result().text == SELECT


def test_a_connection_lost_while_preparing_is_no_reason_to_fail() -> None:
    world = World(count=2)
    with world.session() as session:
        for node in world.nodes:
            node.holding = True
        task = world.start(session.prepare, INSERT)
        (index,) = [number for number, node in enumerate(world.nodes) if node.held]
        world.listeners[index].accepted[0].reset()
        world.settle()
        world.nodes[1 - index].release()
        world.reactor.advance(2)
        assert task.result().text == INSERT


def test_the_memory_is_bounded() -> None:
    world = World(prepared_cache=3)
    with world.session() as session:
        texts = [f"SELECT v FROM t{number} WHERE k = ?" for number in range(5)]
        for text in texts:
            world.call(session.execute, text, [1])
            world.call(session.execute, texts[0], [1])
        assert len(session.executor.preparing) == 3
        assert prepares(world) == 5
        world.call(session.execute, texts[1], [1])
        assert prepares(world) == 6


def test_answer_to_prepare_that_is_none() -> None:
    world = World()
    with world.session() as session:
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE and asked.void()
        with pytest.raises(errors.ProtocolError, match="RESULT of another kind"):
            world.call(session.prepare, INSERT)
        world.node.script = None
        assert world.call(session.prepare, INSERT).text == INSERT


@pytest.mark.parametrize("text", [None, 7, b"SELECT"])
def test_what_cannot_be_prepared(text: object) -> None:
    world = World()
    with world.session() as session, pytest.raises(errors.UsageError, match="prepare"):
        world.call(session.prepare, text)


def test_bound_to_wrong_values_nothing_is_sent() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        for values in (["x"], [1, 2], [], {"q": 1}):
            with pytest.raises((errors.BindTypeError, errors.BindValueError)):
                world.call(session.execute, insert, values)
            with pytest.raises((errors.BindTypeError, errors.BindValueError, errors.UsageError)):
                world.call(session.execute, OTHER, values or [None, None])
        assert world.node.tokens() == []
        assert session.stats() == (1, 0, 0, 0)


# --- UNPREPARED --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [3, 4, 5])
def test_forgotten_statement_is_prepared_again_once_for_many(version: int) -> None:
    world = World(version)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.forget()
        world.node.holding = True
        tasks = [world.start(session.execute, select, [number]) for number in range(20)]
        world.node.release()
        world.settle()
        assert [task.result().scalar() for task in tasks] == list(range(20))
        assert prepares(world) == 2


def test_insert_that_is_not_idempotent_is_sent_again_too() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.forget()
        world.call(session.execute, insert, [1])
        assert world.node.tokens() == [1, 1]


def test_batch_may_have_several_to_prepare_again() -> None:
    world = World()
    with world.session() as session:
        batch = (
            Batch().add(world.call(session.prepare, INSERT), [1]).add(world.call(session.prepare, OTHER), [2])
        )
        batch.add("DELETE FROM v").add("DELETE FROM w WHERE k = ?", [3])
        world.call(session.execute, batch)
        world.node.forget()
        before = prepares(world)
        world.call(session.execute, batch)
        assert prepares(world) - before == 3
        assert world.node.counts[Opcode.BATCH] == 1 + 4


def test_texts_of_a_batch_are_prepared_at_once() -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True
        task = world.start(
            session.execute, Batch().add(INSERT, [1]).add(OTHER, [2]).add(INSERT, [3]).add("DELETE x")
        )
        assert [asked.text for asked in world.node.held] == [INSERT, OTHER]
        world.node.release()
        world.settle()
        assert len(task.result()) == 0
        (batch,) = [asked for asked in world.node.asked if asked.opcode == Opcode.BATCH]
        assert [isinstance(entry, bytes) for entry in batch.entries] == [True, True, True, False]
        assert batch.values == [wire.integer(1), wire.integer(2), wire.integer(3)]


def test_batch_with_a_text_that_is_not_right() -> None:
    world = World()
    with world.session() as session:
        world.node.script = lambda asked: asked.text == OTHER and asked.error(0x2200, "no such table")
        with pytest.raises(errors.InvalidQuery, match="no such table"):
            world.call(session.execute, Batch().add(INSERT, [1]).add(OTHER, [2]))
        assert world.node.counts.get(Opcode.BATCH, 0) == 0
        assert session.stats() == (1, 0, 0, 0)


def test_foreign_id() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.script = lambda asked: asked.opcode == Opcode.EXECUTE and asked.unprepared(b"foreign")
        with pytest.raises(errors.ProtocolError, match="not in the request"):
            world.call(session.execute, insert, [1])
        with pytest.raises(errors.ProtocolError, match="not in the request"):
            world.call(session.execute, insert, [1], idempotent=True)
        assert prepares(world) == 1
        world.node.script = lambda asked: asked.opcode == Opcode.QUERY and asked.unprepared(b"foreign")
        with pytest.raises(errors.ProtocolError, match="not in the request"):
            world.call(session.execute, "DELETE x")


@pytest.mark.parametrize("count", [1, 2])
def test_unprepared_for_ever(count: int) -> None:
    world = World(count=count, connections_local=2)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        for node in world.nodes:
            node.script = lambda asked: asked.opcode == Opcode.EXECUTE and asked.unprepared()
        with pytest.raises(errors.UnpreparedLoop, match="goes on answering UNPREPARED") as info:
            world.call(session.execute, insert, [1])
        assert not info.value.maybe_executed
        assert prepares(world) == 2


def test_batch_unprepared_for_ever() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.script = lambda asked: (
            asked.opcode == Opcode.BATCH and asked.unprepared(insert.prepared.state.id)
        )
        with pytest.raises(errors.UnpreparedLoop):
            world.call(session.execute, Batch().add(insert, [1]))


@pytest.mark.parametrize("callers", [1, 3])
def test_another_id_is_never_taken(callers: int) -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.forget()
        world.node.statement_id = lambda text, keyspace: b"another"  # type: ignore[method-assign]
        world.node.holding = True
        tasks = [world.start(session.execute, insert, [1]) for _ in range(callers)]
        world.node.release()
        world.settle()
        for task in tasks:
            with pytest.raises(errors.PreparedIdMismatch, match="call prepare\\(\\) again") as info:
                task.result()
            assert not info.value.maybe_executed


def test_other_parameters_are_never_filled_with_old_bytes() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        bound = insert.bind(1)
        world.node.forget()
        world.node.parameters[INSERT] = (("p0", "bigint"),)
        with pytest.raises(errors.PreparedIdMismatch, match="execute it again"):
            world.call(session.execute, bound)
        world.node.forget()
        with pytest.raises(errors.PreparedIdMismatch, match="other types"):
            world.call(session.execute, Batch().add(bound))
        world.call(session.execute, insert, [1])
        assert world.node.asked[-1].values == [(1).to_bytes(8, "big")]


def test_error_of_the_second_preparation() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.forget()
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE and asked.error(0x2200, "dropped")
        with pytest.raises(errors.InvalidQuery, match="dropped") as info:
            world.call(session.execute, insert, [1])
        assert info.value.coordinator == "10.0.0.1:9042"
        assert not info.value.maybe_executed


def test_connection_lost_during_the_second_preparation() -> None:
    world = World(count=2)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        for node in world.nodes:
            node.forget()

        def lose(asked: Asked) -> bool:
            if asked.opcode != Opcode.PREPARE:
                return False
            node = asked.link.node
            world.listeners[world.nodes.index(node)].accepted[0].reset()
            for each in world.nodes:
                each.script = None
            return True

        for node in world.nodes:
            node.script = lose
        task = world.start(session.execute, insert, [1])
        world.settle()
        assert task.result() is not None
        world.reactor.advance(3)


def test_impatient_request_does_not_end_the_preparation_of_others() -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.forget()
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE and asked.hold()
        hasty = world.start(session.execute, select, [1], timeout=1.0)
        patient = world.start(session.execute, select, [2], timeout=60.0)
        world.reactor.advance(20)
        with pytest.raises(errors.RequestTimeout):
            hasty.result()
        assert not patient.done
        world.node.script = None
        world.node.release()
        world.settle()
        assert patient.result().scalar() == 2
        assert prepares(world) == 2


def test_cancelled_while_prepared_again() -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.forget()
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE and asked.hold()
        tasks = [world.start(session.execute, select, [number]) for number in range(3)]
        tasks[0].cancel()
        world.settle()
        world.node.script = None
        world.node.release()
        world.settle()
        assert tasks[0].cancelled
        assert [task.result().scalar() for task in tasks[1:]] == [1, 2]
        assert world.node.tokens().count(0) == 1


# --- Columns that change -----------------------------------------------------------------------------------------

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
        with pytest.raises(errors.ProtocolError, match="2 columns come undescribed; 1 are known"):
            world.call(session.execute, select, [1])


@pytest.mark.parametrize("arguments", [("SELECT x",), (OTHER, [1])])
def test_rows_without_columns_that_nobody_knows_are_refused(arguments: Any) -> None:
    world = World(5)
    with world.session() as session:
        rows = wire.rows(BEFORE, [[wire.integer(1)]], describe=False)
        world.node.script = lambda asked: asked.opcode != Opcode.PREPARE and asked.answer(wire.RESULT, rows)
        with pytest.raises(errors.ProtocolError, match="without a description"):
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


def test_text_that_cannot_be_sent_leaves_nothing_behind() -> None:
    world = World()
    with world.session() as session:
        with pytest.raises(errors.BindValueError, match="UTF-8"):
            world.call(session.execute, "SELECT '\ud800' WHERE k = ?", [1])
        with pytest.raises(errors.BindValueError, match="UTF-8"):
            world.call(session.prepare, "SELECT '\ud800'")
        assert session.stats() == (1, 0, 0, 0)
