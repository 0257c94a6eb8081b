"""Answers that cannot be those of their requests, and descriptions of columns that cannot be read or written."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine import wire
from tests.engine.peer import Asked
from tests.engine.world import INSERT, SELECT, World
from triocql import Batch, errors
from triocql.protocol.constants import Opcode

INTS = (("v", "int"),)
BINDS = (("p0", "int"),)
ROWS = wire.rows(INTS, [[wire.integer(1)]])
PAGE = wire.rows(INTS, [[wire.integer(1)]], paging_state=b"more")
CHANGE = wire.integer(5) + b"".join(map(wire.string, ("CREATED", "TABLE", "ks", "t")))
PREPARED = wire.prepared(5, b"id", (), (), b"metadata")
EVIL = wire.set_keyspace("evil")
KINDS = {
    "void": wire.void(),
    "rows": ROWS,
    "page": PAGE,
    "change": CHANGE,
    "prepared": PREPARED,
    "keyspace": EVIL,
}
FITTING = {
    "SELECT 1": {"rows", "page"},
    "INSERT 1": {"void", "rows"},
    "BEGIN BATCH": {"void", "rows"},
    "CREATE TABLE t": {"void", "rows", "page", "change"},
    "LIST ROLES": {"void", "rows", "page", "change"},
    "USE shop": set(),
    "-- USE evil\nSELECT 1": {"rows", "page"},
    "USE evil": {"keyspace"},
}


def answering(body: bytes, *opcodes: int) -> Any:
    return lambda asked: asked.opcode in opcodes and asked.answer(wire.RESULT, body)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", FITTING)
def test_of_a_text(text: str, kind: str) -> None:
    world = World(connections_local=2)
    with world.session() as session:
        links = len(world.node.links)
        world.node.script = answering(KINDS[kind], Opcode.QUERY)
        if kind in FITTING[text]:
            world.call(session.execute, text)
            return
        with pytest.raises(errors.UnfitAnswer) as info:
            world.call(session.execute, text)
        assert info.value.maybe_executed
        assert session.keyspace is None
        world.node.script = None
        world.reactor.advance(5)
        assert len(world.node.links) == links + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [SELECT, INSERT])
def test_of_a_prepared_statement(text: str, kind: str) -> None:
    world = World()
    with world.session() as session:
        statement = world.call(session.prepare, text)
        world.node.script = answering(KINDS[kind], Opcode.EXECUTE)
        run = session.execute_concurrent_with_args
        (outcome,) = world.call(run, statement, [[1]], raise_on_first_error=False)
        assert outcome.success == (kind in FITTING["SELECT 1" if text is SELECT else "INSERT 1"])
        world.node.script = None
        assert session.keyspace is None
        world.call(session.execute, statement, [1])


def test_a_prepared_use_moves_the_session() -> None:
    world = World(connections_local=2)
    with world.session() as session:
        use = world.call(session.prepare, "USE evil")
        world.node.script = answering(EVIL, Opcode.EXECUTE)
        world.call(session.execute, use)
        assert session.keyspace == "evil"


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_batch(kind: str) -> None:
    world = World()
    with world.session() as session:
        world.node.script = answering(KINDS[kind], Opcode.BATCH)
        batch = Batch().add(INSERT, [1])
        if kind in ("void", "rows"):
            world.call(session.execute, batch)
        else:
            with pytest.raises(errors.UnfitAnswer):
                world.call(session.execute, batch)


def test_a_stream_of_a_batch_with_more_pages_ends() -> None:
    world = World()
    with world.session() as session:
        world.node.script = answering(PAGE, Opcode.BATCH)

        async def read() -> list[Any]:
            async with session.stream(Batch().add(INSERT, [1])) as rows:
                return [row async for row in rows]

        with pytest.raises(errors.UnfitAnswer, match="first of several pages"):
            world.call(read)


@pytest.mark.parametrize("kind", ["void", "rows", "change", "keyspace"])
@pytest.mark.parametrize("again", [False, True])
def test_of_a_preparation(kind: str, again: bool) -> None:
    world = World()
    with world.session() as session:
        if again:
            insert = world.call(session.prepare, INSERT)
            world.node.forget()
        world.node.script = answering(KINDS[kind], Opcode.PREPARE)
        with pytest.raises(errors.UnfitAnswer):
            world.call(session.execute, insert if again else INSERT, [1])
        world.node.script = None
        world.call(session.execute, INSERT, [1])
        assert session.keyspace is None


def test_requests_beside_an_answer_that_does_not_fit_learn_of_the_lost_connection() -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True
        wrong, insert, select = (
            world.start(session.execute, text) for text in ("SELECT 1", "INSERT", "SELECT")
        )
        asked = world.node.held[0]
        world.node.holding = False
        asked.void()
        world.settle()
        with pytest.raises(errors.UnfitAnswer):
            wrong.result()
        with pytest.raises(errors.ConnectionLost, match="cannot be the answer") as info:
            insert.result()
        assert info.value.maybe_executed
        world.reactor.advance(3)
        assert select.result() is not None


# --- Columns -----------------------------------------------------------------------------------------------------


def udt(*fields: str, name: str = "u") -> bytes:
    """Return a user-defined type of texts."""
    head = b"\x00\x30" + wire.string("ks") + wire.string(name) + wire.short(len(fields))
    return head + b"".join(wire.string(field) + b"\x00\x0d" for field in fields)


def described(type_: bytes) -> bytes:
    """Return a RESULT/Prepared of a statement with one parameter and one column of a type."""
    column = wire.string("ks") + wire.string("t") + wire.string("v") + type_
    ids = wire.short_bytes(b"statement") + wire.short_bytes(b"metadata")
    counts = wire.integer(1) + wire.integer(1)
    return wire.integer(4) + ids + counts + wire.integer(0) + column + counts + column


def custom(name: str) -> bytes:
    return b"\x00\x00" + wire.string(name)


FLOATS = "org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType, 2)"
ODD = {
    "classcell": udt("__classcell__"),
    "del": udt("__del__", "__bool__", "__getattr__", "__getattribute__", "__class__"),
    "NUL": udt("a\x00b", name="u\x00"),
    "keyword": udt("class", "", " ", "_fields", "count", "mro"),
    "twice": udt("a", "a"),
    "none": udt(),
    "vectors": custom(f"org.apache.cassandra.db.marshal.VectorType({FLOATS}, 2)"),
    "huge": custom(
        "org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType, 2147483647)"
    ),
    "negative": custom(
        "org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType, -1)"
    ),
    "nonsense": custom("org.apache.cassandra.db.marshal.MapType("),
}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("kind", ODD)
def test_odd_types_end_their_request_at_most(kind: str, again: bool) -> None:
    world = World(count=2)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)

        def odd(asked: Asked) -> bool:
            return asked.opcode == Opcode.PREPARE and asked.answer(wire.RESULT, described(ODD[kind]))

        for node in world.nodes:
            node.forget()
            node.script = odd
            node.statement_id = lambda text, keyspace: b"statement"  # type: ignore[method-assign]
        outcomes = world.call(
            session.execute_concurrent,
            [(insert if again else "INSERT INTO odd (v) VALUES (?)", [{}]), ("INSERT", None)],
            raise_on_first_error=False,
        )
        for success, outcome in outcomes:
            assert success or isinstance(outcome, errors.Error)
            assert not isinstance(outcome, errors.InternalError)
        for node in world.nodes:
            node.script = None
        world.call(session.execute, "INSERT")


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("broken", ["binder", "plan"])
def test_whatever_making_codecs_raises_is_an_error_of_the_request(
    broken: str, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.forget()

        def fail(*arguments: object) -> None:
            raise TypeError("no such class")

        with monkeypatch.context() as patch:
            patch.setattr(session.codecs, broken, fail)
            world.node.holding = True
            text = select if again else f"{SELECT} AND a = 1"
            tasks = [world.start(session.execute, text, [number]) for number in range(3)]
            world.node.release()
            world.settle()
            for task in tasks:
                with pytest.raises(errors.ProtocolError, match="cannot be read or written"):
                    task.result()
        assert world.call(session.execute, select, [1]).scalar() == 1


def test_an_id_that_stood_for_other_columns_is_trusted_no_more() -> None:
    world = World(5)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        other = (("other", "bigint"),)
        state = select.prepared.state
        known = state.prefix[-16:]
        evil = wire.rows(other, [[bytes(8)]], new_metadata_id=known)
        world.node.script = answering(evil, Opcode.EXECUTE)
        with pytest.raises(errors.ProtocolError, match="than before under the same id"):
            world.call(session.execute, select, [1])
        world.node.script = None
        for number in range(3):
            assert world.call(session.execute, select, [number])[0]._asdict() == {"v": number}
            assert not world.node.asked[-1].skip_metadata


def test_an_id_under_which_other_columns_were_prepared_first_is_found_out() -> None:
    world = World(5)
    with world.session() as session:
        true = wire.prepared(5, b"statement", BINDS, INTS, b"metadata")
        world.node.script = answering(
            wire.prepared(5, b"statement", BINDS, (("u", "bigint"),), b"metadata"), Opcode.PREPARE
        )
        select = world.call(session.prepare, SELECT)
        world.node.script = answering(true, Opcode.PREPARE)
        world.node.statement_id = lambda text, keyspace: b"statement"  # type: ignore[method-assign]
        with pytest.raises(errors.ProtocolError, match="than before under the same id"):
            world.call(session.execute, select, [1])
        world.node.script = None
        assert world.call(session.execute, select, [1])[0]._asdict() == {"v": 1}


def test_columns_that_go_back_to_what_they_were_are_no_contradiction() -> None:
    world = World(5)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        for columns in (INTS, (("u", "int"),)) * 20:
            world.node.results[SELECT] = columns
            assert world.call(session.execute, select, [1])[0]._asdict() == {columns[0][0]: 1}
            assert world.node.asked[-1].skip_metadata
