"""The timestamp of writes: by the client's clock, of the caller's choice, or left to the node."""

from __future__ import annotations

from typing import Any

import pytest

import triocql
from tests.engine.world import INSERT, World
from triocql import SERVER, Batch, RequestOptions, Statement
from triocql.protocol.constants import Opcode

FORMS = ["text", "text with values", "prepared", "bound", "batch", "many", "page"]


async def send(session: Any, form: str, **options: Any) -> None:
    prepared = await session.prepare(INSERT)
    if form == "text":
        await session.execute("INSERT 1", **options)
    elif form == "text with values":
        await session.execute("INSERT INTO u (k) VALUES (?)", [7], **options)
    elif form == "prepared":
        await session.execute(prepared, [7], **options)
    elif form == "bound":
        await session.execute(prepared.bind(7), **options)
    elif form == "batch":
        await session.execute(Batch(**options).add(prepared, [7]).add("DELETE 1"))
    elif form == "many":
        await session.execute_concurrent_with_args(prepared.with_options(**options), [(7,), (7,)])
    else:
        await (await session.execute("SELECT v FROM pages WHERE k = ?", [7], **options)).all()


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("timestamp", [None, 7, SERVER])
def test_the_timestamp(form: str, timestamp: int | None, version: int) -> None:
    world = World(version)
    world.node.pages["SELECT v FROM pages WHERE k = ?"] = [[1], [2]]
    with world.session() as session:
        world.node.asked.clear()
        world.call(send, session, form, timestamp=timestamp)
        asked = [each for each in world.node.asked if each.opcode != Opcode.PREPARE]
        assert len(asked) == (2 if form in ("many", "page") else 1)
        for each in asked:
            if form != "text":
                assert each.token == 7
            if timestamp is None:
                assert each.timestamp is not None
                assert each.timestamp > 1e15
            else:
                assert each.timestamp == (None if timestamp == SERVER else timestamp)


def test_a_layer_may_ask_for_the_clients_clock_again_by_its_own_number() -> None:
    world = World()
    statement = Statement("INSERT 1", timestamp=SERVER)
    with world.session() as session:
        world.call(session.execute, statement, timestamp=9)
        world.call(session.execute, statement)
        assert [each.timestamp for each in world.node.asked[-2:]] == [9, None]


def test_no_other_number_is_taken_for_it() -> None:
    assert RequestOptions(timestamp=SERVER + 1).timestamp == 1 - 2**63
    with pytest.raises(triocql.errors.OptionError, match="timestamp"):
        RequestOptions(timestamp=SERVER - 1)
