"""The option `paging_state`, in each of the ways that a prepared statement can be started."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.world import SELECT, World
from triocql import PagingState, PreparedStatement, errors
from triocql.protocol.constants import Opcode


def paged() -> World:
    world = World()
    world.node.pages[SELECT] = [[10], [20]]
    return world


def state_of(world: World) -> PagingState:
    """Return where the first page for the value 1 ends, as another session found it."""
    with world.session() as session:
        state = world.call(session.execute, SELECT, [1]).paging_state
    assert state is not None
    world.node.asked.clear()
    return state


def asked_with(world: World) -> list[bytes | None]:
    return [asked.paging_state for asked in world.node.asked if asked.opcode == Opcode.EXECUTE]


def ways(select: PreparedStatement) -> dict[str, tuple[Any, Any]]:
    return {
        "prepared": (select, [1]),
        "bound": (select.bind(1), None),
        "text": (SELECT, [1]),
    }


@pytest.mark.parametrize("way", ["prepared", "bound", "text"])
def test_of_a_call(way: str) -> None:
    world = paged()
    kept = state_of(world)
    with world.session() as session:
        statement, values = ways(world.call(session.prepare, SELECT))[way]
        for _ in range(2):
            assert world.call(session.execute, statement, values, paging_state=kept)[0].v == 20
        assert world.call(session.execute, statement, values)[0].v == 10
        assert asked_with(world) == [b"1", b"1", None]


def test_of_a_text_that_is_prepared_first() -> None:
    world = paged()
    kept = state_of(world)
    with world.session() as session:
        assert world.call(session.execute, SELECT, [1], paging_state=kept)[0].v == 20
        with pytest.raises(errors.PagingStateMismatch):
            world.call(session.execute, SELECT, [2], paging_state=kept)
        assert asked_with(world) == [b"1"]
    with world.session() as session:
        with pytest.raises(errors.PagingStateMismatch):
            world.call(session.execute, SELECT, [2], paging_state=kept)
        assert session.stats() == (1, 0, 0, 0)


def test_of_a_statement_that_is_executed_many_times() -> None:
    world = paged()
    kept = state_of(world)
    with world.session() as session:
        select = world.call(session.prepare, SELECT).with_options(paging_state=kept)
        run = session.execute_concurrent_with_args
        right, wrong = world.call(run, select, [[1], [2]], raise_on_first_error=False)
        assert right.result_or_exc[0].v == 20
        assert isinstance(wrong.result_or_exc, errors.PagingStateMismatch)
        assert asked_with(world) == [b"1"]
        assert session.stats() == (1, 0, 0, 0)


@pytest.mark.parametrize(("text", "values"), [("SELECT v FROM t", None), (SELECT, [1])])
def test_a_state_belongs_to_a_keyspace_however_that_is_said(text: str, values: Any) -> None:
    def world(version: int, **options: Any) -> World:
        made = World(version, **options)
        made.node.pages[text] = [[10], [20]]
        return made

    states = []
    for version, by_connect, by_call in ((5, "shop", {}), (4, "shop", {}), (5, None, {"keyspace": "shop"})):
        with (it := world(version, keyspace=by_connect)).session() as session:
            states.append(it.call(session.execute, text, values, **by_call).paging_state)
    assert states[0] is not None
    assert len(set(states)) == 1
    for version, by_connect, by_call in ((5, "other", {"keyspace": "shop"}), (4, "shop", {})):
        with (it := world(version, keyspace=by_connect)).session() as session:
            result = it.call(session.execute, text, values, paging_state=states[0], **by_call)
            assert result[0].v == 20
    for version, by_connect, by_call in ((5, "shop", {"keyspace": "other"}), (4, "other", {}), (5, None, {})):
        with (
            (it := world(version, keyspace=by_connect)).session() as session,
            pytest.raises(errors.PagingStateMismatch),
        ):
            it.call(session.execute, text, values, paging_state=states[0], **by_call)


def test_a_table_with_its_keyspace_is_the_same_in_every_keyspace() -> None:
    text = "SELECT v FROM shop.t"
    states = []
    for keyspace in (None, "one", "two"):
        world = World(keyspace=keyspace)
        world.node.pages[text] = [[10], [20]]
        with world.session() as session:
            states.append(world.call(session.execute, text).paging_state)
    assert len(set(states)) == 1
