"""Codecs that are registered while the session is in use count for what is executed from then on."""

from __future__ import annotations

import gc

import pytest

from tests.engine.world import INSERT, SELECT, World
from triocql import Batch

TEN_TIMES = 10


class Tens:
    """A number as ten times as much on the wire."""

    def encode(self, value: int) -> int:
        return value * TEN_TIMES

    def decode(self, value: int) -> str:
        return f"{value // TEN_TIMES} tens"


@pytest.mark.parametrize("version", [3, 4, 5])
def test_statements_that_are_prepared_already(version: int) -> None:
    world = World(version)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        assert world.call(session.execute, select, [1]).scalar() == 1
        session.codecs.register("int", Tens())
        assert world.call(session.execute, select, [2]).scalar() == "2 tens"
        assert world.call(session.execute, SELECT, [3]).scalar() == "3 tens"
        assert world.call(session.execute, select, [4], timeout=5.0).scalar() == "4 tens"
        assert world.node.tokens() == [1, 20, 30, 40]


def test_many_at_once() -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.call(session.execute_concurrent_with_args, select, [[1], [2]])
        session.codecs.register("int", Tens())
        found = world.call(session.execute_concurrent_with_args, select, [[3], [4]])
        assert [result.scalar() for _, result in found] == ["3 tens", "4 tens"]


def test_values_that_are_bound_stay_as_they_are_and_rows_do_not() -> None:
    world = World()
    with world.session() as session:
        bound = world.call(session.prepare, SELECT).bind(30)
        session.codecs.register("int", Tens())
        assert world.call(session.execute, bound).scalar() == "3 tens"
        assert world.node.tokens() == [30]


def test_batches() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        session.codecs.register("int", Tens())
        bound = insert.bind(2)
        assert bound.values[-4:] == (20).to_bytes(4)
        world.call(session.execute, Batch().add(insert, [1]).add(bound))


def test_requests_on_their_way_are_read_as_they_were_sent() -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.holding = True
        task = world.start(session.execute, select, [7])
        session.codecs.register("int", Tens())
        world.node.release()
        world.settle()
        assert task.result().scalar() == 7


def test_the_pages_of_one_result_are_read_alike() -> None:
    world = World()
    world.node.pages[SELECT] = [[10, 20], [30]]
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        result = world.call(session.execute, select, [1])
        session.codecs.register("int", Tens())
        assert world.call(result.all) == [(10,), (20,), (30,)]
        assert world.call(world.call(session.execute, select, [1]).all) == [
            ("1 tens",),
            ("2 tens",),
            ("3 tens",),
        ]


def test_news_about_the_columns_for_an_older_request_do_not_bring_the_old_codecs_back() -> None:
    world = World()
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.node.holding = True
        task = world.start(session.execute, select, [7])
        world.node.results[SELECT] = (("v", "int"), ("w", "int"))
        session.codecs.register("int", Tens())
        world.node.release()
        world.settle()
        assert list(task.result()[0]) == ["0 tens", "0 tens"]
        row = world.call(session.execute, select, [3])[0]
        assert row._asdict() == {"v": "3 tens", "w": "3 tens"}


def test_statements_that_the_session_has_forgotten() -> None:
    world = World(prepared_cache=1)
    with world.session() as session:
        select = world.call(session.prepare, SELECT)
        world.call(session.prepare, INSERT)
        assert len(session._context.executor.preparing) == 1
        session.codecs.register("int", Tens())
        assert world.call(session.execute, select, [5]).scalar() == "5 tens"


def test_statements_that_nobody_uses_are_freed() -> None:
    world = World(prepared_cache=1)
    with world.session() as session:
        for number in range(20):
            world.call(session.prepare, f"{INSERT} /* {number} */")
        gc.collect()
        assert len(session._context.executor.preparing._descriptions._in_use) <= 2
