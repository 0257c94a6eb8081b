"""Reading the tables of a node: all at once, page by page, and no more than there is reason for."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.cluster.world import World
from triocql import Session
from triocql.cluster import tables as module
from triocql.cluster.tables import NoSuchTable, Tables
from triocql.errors import ProtocolError, RequestTimeout, ServerError
from triocql.testing.server import Gate, Opcode, as_usual, delay, error, no_response, rows, void

NUMBERS = "SELECT n FROM system_schema.numbers"
LETTERS = "SELECT l FROM system_schema.letters"


def on(world: World, session: Session) -> Tables:
    cluster = session._context.cluster
    connection = cluster._control.connection
    assert connection is not None
    return Tables(world.reactor, connection, cluster.options)


def test_several_tables_are_asked_for_at_once() -> None:
    world = World(1)
    gate = Gate()
    with world.session() as session:
        world.server.when(NUMBERS).then(gate, rows({"n": "int"}, [[n] for n in range(2500)]))
        world.server.when(LETTERS).then(gate, rows({"l": "text"}, [["a"]]))
        task = world.start(
            on(world, session).read_all([NUMBERS, LETTERS, "SELECT x FROM system_schema.none"])
        )
        assert len(gate.waiting) == 2
        gate.open()
        world.reactor.settle()
        gate.open()
        world.reactor.settle()
        gate.open()
        world.reactor.settle()
        numbers, letters, none = task.result()
        assert numbers == [{"n": n} for n in range(2500)]
        assert letters == [{"l": "a"}]
        assert isinstance(none, NoSuchTable)


def test_a_failure_gives_up_the_others() -> None:
    world = World(1)
    with world.session() as session:
        world.server.when(NUMBERS).then(error(0, "oh"))
        world.server.when(LETTERS).then(no_response())
        with pytest.raises(ServerError, match="oh"):
            world.run(on(world, session).read_all([NUMBERS, LETTERS]))
        assert session.stats().in_flight == 0
        with pytest.raises(ServerError, match="oh"):
            world.run(on(world, session).read_all([LETTERS.replace("l ", "key ", 1), NUMBERS]))


def test_each_page_has_the_whole_time() -> None:
    world = World(1)
    with world.session() as session:
        world.server.when(NUMBERS).then(delay(3.0), rows({"n": "int"}, [[n] for n in range(4000)]))
        assert len(world.run(on(world, session).read(NUMBERS))) == 4000
        world.server.rules.clear()
        world.server.when(NUMBERS).then(no_response())
        with pytest.raises(RequestTimeout):
            world.run(on(world, session).read(NUMBERS))


def endless(first: list[Any]) -> Any:
    """Return what answers with a page that is never the last one."""
    states = itertools.count()

    def answer(request: Any) -> Any:
        return rows({"n": "int"}, first, paging_state=b"%d" % next(states))

    return answer


@pytest.mark.parametrize("rows_a_page", [0, 900])
def test_pages_without_end_do_end(rows_a_page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10 * module.LEAST_PAGE)
    world = World(1)
    with world.session() as session:
        world.server.when(NUMBERS).then(endless([[n] for n in range(rows_a_page)]))
        with pytest.raises(ProtocolError, match="with more than 655,360 bytes"):
            world.run(on(world, session).read(NUMBERS))
        assert world.asked("system_schema.numbers") == 11
        assert session.stats().in_flight == 0


def test_the_same_page_again() -> None:
    world = World(1)
    with world.session() as session:
        world.server.when(NUMBERS).then(rows({"n": "int"}, [[1]], paging_state=b"x"))
        with pytest.raises(ProtocolError, match="the same page again and again"):
            world.run(on(world, session).read(NUMBERS))


def test_more_than_a_hundred_thousand_rows() -> None:
    world = World(1)
    with world.session() as session:
        pages = 0

        def answer(request: Any) -> Any:
            nonlocal pages
            pages += 1
            return rows({"n": "int"}, [[7]] * 1000, paging_state=b"%d" % pages if pages < 120 else None)

        world.server.when(NUMBERS).then(answer)
        assert len(world.run(on(world, session).read(NUMBERS))) > 119_000


def test_something_else_than_rows() -> None:
    world = World(1)
    with world.session() as session:
        world.server.when(NUMBERS).then(void())
        with pytest.raises(ProtocolError, match="something else than rows"):
            world.run(on(world, session).read(NUMBERS))
        world.server.rules.clear()
        world.server.when(NUMBERS, opcode=Opcode.QUERY).then(as_usual())
        with pytest.raises(NoSuchTable):
            world.run(on(world, session).read(NUMBERS))
