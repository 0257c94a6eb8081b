"""Statements are prepared once, however many want them; they are prepared again where a node has forgotten them."""

from __future__ import annotations

import struct
from collections import Counter
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
            assert str(info.value.coordinator) == "10.0.0.1:9042"
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
        assert len(session._context.executor.preparing) == 3
        assert prepares(world) == 5
        world.call(session.execute, texts[1], [1])
        assert prepares(world) == 6


def test_the_memory_is_bounded_by_what_nodes_describe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node says how many columns a statement has; the newest one is kept in any case."""
    world = World()
    with world.session() as session:
        text = "SELECT v FROM t{} WHERE k = ?".format
        world.call(session.execute, text(0), [1])
        preparing = session._context.executor.preparing
        monkeypatch.setattr("triocql.engine.executing.preparing._HEAVIEST", 3 * preparing._weight)
        for number in range(1, 6):
            world.call(session.execute, text(number), [1])
            world.call(session.prepare, text(number))
            assert len(preparing) == min(number + 1, 3)
        monkeypatch.setattr("triocql.engine.executing.preparing._HEAVIEST", 0)
        world.call(session.execute, text(6), [1])
        assert len(preparing) == 1
        assert preparing._weight == sum(known.weight for known in preparing._known.values())


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


def test_text_that_cannot_be_sent_leaves_nothing_behind() -> None:
    world = World()
    with world.session() as session:
        with pytest.raises(errors.BindValueError, match="UTF-8"):
            world.call(session.execute, "SELECT '\ud800' WHERE k = ?", [1])
        with pytest.raises(errors.BindValueError, match="UTF-8"):
            world.call(session.prepare, "SELECT '\ud800'")
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
        assert prepares(world) == 1 + 16


def forgetful(world: World, times: int) -> Counter[tuple[int, bytes]]:
    """Have the node forget each statement, in each request that has it, so many times."""
    seen: Counter[tuple[int, bytes]] = Counter()

    def script(asked: Asked) -> bool:
        if asked.opcode not in (Opcode.EXECUTE, Opcode.BATCH):
            return False
        for number, entry in enumerate(asked.entries or [asked.id]):
            assert isinstance(entry, bytes)
            mark = struct.unpack(">i", asked.values[number] or b"")[0], entry
            seen[mark] += 1
            if seen[mark] <= times:
                return asked.unprepared(entry)
        return False

    world.node.script = script
    return seen


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("times", [1, 2, 8, 16])
def test_a_node_whose_memory_is_full_forgets_a_statement_at_once_some_times(version: int, times: int) -> None:
    world = World(version)
    with world.session() as session:
        forgetful(world, times)
        texts = [f"SELECT v FROM t{number} WHERE k = ?" for number in range(10)]
        results = world.call(
            session.execute_concurrent, [(text, [number]) for number, text in enumerate(texts)]
        )
        assert [result.result_or_exc.scalar() for result in results] == list(range(10))
        assert prepares(world) == 10 * (1 + times)


@pytest.mark.parametrize("version", [4, 5])
def test_the_statements_of_a_batch_are_counted_one_by_one(version: int) -> None:
    world = World(version)
    with world.session() as session:
        forgetful(world, 16)
        batch = Batch()
        for number in range(5):
            batch.add(f"INSERT INTO t{number} (k) VALUES (?)", [number])
        world.call(session.execute, batch)
        forgetful(world, 17)
        with pytest.raises(errors.UnpreparedLoop, match="INSERT INTO t0"):
            world.call(session.execute, batch)


def test_preparing_again_and_again_ends_at_the_deadline() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)

        def slowly(asked: Asked) -> bool:
            def later() -> None:
                asked.unprepared()

            world.reactor.call_at(world.reactor.now() + 1.0, later)
            return True

        world.node.script = lambda asked: asked.opcode == Opcode.EXECUTE and slowly(asked)
        task = world.start(session.execute, insert, [1], timeout=5.5)
        world.reactor.advance(6)
        with pytest.raises(errors.RequestTimeout):
            task.result()
        assert prepares(world) == 1 + 5
        world.reactor.advance(2)


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
        with pytest.raises(errors.PreparedIdMismatch, match="bind the values again, or execute"):
            world.call(session.execute, bound)
        world.node.forget()
        with pytest.raises(errors.PreparedIdMismatch, match="have changed"):
            world.call(session.execute, Batch().add(bound))
        world.call(session.execute, insert, [1])
        assert world.node.asked[-1].values == [(1).to_bytes(8, "big")]


def test_values_bound_before_other_parameters_were_told_are_not_sent() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        bound = insert.bind(1)
        world.node.forget()
        world.node.parameters[INSERT] = (("p0", "bigint"),)
        with pytest.raises(errors.PreparedIdMismatch):
            world.call(session.execute, insert, [1])
        world.node.asked.clear()
        for statement in (bound, Batch().add(bound), Batch().add(insert, [1]).add(bound)):
            with pytest.raises(errors.PreparedIdMismatch, match="bind the values again, or execute"):
                world.call(session.execute, statement)
        assert world.node.asked == []
        assert session.stats() == (1, 0, 0, 0)
        world.call(session.execute, insert.bind(1))


def test_batch_of_one_statement_bound_to_old_and_to_new_parameters() -> None:
    world = World(prepared_cache=1)
    with world.session() as session:
        old = world.call(session.prepare, INSERT)
        bound = old.bind(1)
        world.call(session.prepare, OTHER)
        world.node.parameters[INSERT] = (("p0", "bigint"),)
        new = world.call(session.prepare, INSERT)
        assert old.prepared is new.prepared
        world.node.asked.clear()
        for batch in (Batch().add(bound).add(new, [2]), Batch().add(new, [2]).add(bound)):
            with pytest.raises(errors.PreparedIdMismatch, match="have changed"):
                world.call(session.execute, batch)
        assert world.node.asked == []


def test_error_of_the_second_preparation() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.forget()
        world.node.script = lambda asked: asked.opcode == Opcode.PREPARE and asked.error(0x2200, "dropped")
        with pytest.raises(errors.InvalidQuery, match="dropped") as info:
            world.call(session.execute, insert, [1])
        assert str(info.value.coordinator) == "10.0.0.1:9042"
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
