"""Every public coroutine, cancelled at each of its checkpoints, on every loop: the session stays as good as new."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from itertools import count
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest

import triocql
from tests.engine import wire
from tests.engine.peer import Asked, Node
from tests.engine.world import INSERT, SELECT, check
from tests.session.loops import LOOPS, Stage, Stepped, check_executed_once, run_on, settled
from triocql import Batch, Session
from triocql.cluster import loading
from triocql.errors import UsageError
from triocql.protocol.constants import Opcode

PAGES = "SELECT v FROM pages"
PREPARED_PAGES = "SELECT v FROM pages WHERE k = ?"
TRACED = "SELECT traced"
CHANGE = "CREATE KEYSPACE shop"
DESCRIBED = ("keyspace_name", "type", "name", "create_statement")
TRACE_ID = UUID("11111111-2222-1333-8444-555555555555")

TRACE_SESSION = (
    ("request", "text"),
    ("parameters", "text"),
    ("client", "inet"),
    ("coordinator", "inet"),
    ("started_at", "timestamp"),
    ("duration", "int"),
)
TRACE_EVENT = (
    ("event_id", "timeuuid"),
    ("activity", "text"),
    ("source", "inet"),
    ("source_elapsed", "int"),
    ("thread", "text"),
)


def described(columns: Any, cells: Any, paging_state: bytes | None = None) -> bytes:
    return wire.rows(columns, cells, paging_state=paging_state, new_metadata_id=b"of this page")


def scripted() -> Node:
    """Return a node with pages, and with the tables of traces."""
    node = Node()
    node.pages[PAGES] = node.pages[PREPARED_PAGES] = [[1, 2], [], [3], []]
    durations: list[bytes | None] = [wire.integer(4), None]

    def script(asked: Asked) -> bool:
        if asked.opcode == Opcode.QUERY and asked.text == TRACED:
            body = wire.rows([("v", "int")], [[wire.integer(1)]])
            asked.answer(wire.RESULT, TRACE_ID.bytes + body, flags=0x02)
        elif asked.opcode == Opcode.QUERY and asked.text == CHANGE:
            change = b"".join(map(wire.string, ("CREATED", "KEYSPACE", "shop")))
            asked.answer(wire.RESULT, wire.integer(5) + change)
        elif asked.opcode == Opcode.QUERY and asked.text == "DESCRIBE SCHEMA":
            texts = [b"shop", b"keyspace", b"shop", b"CREATE KEYSPACE shop;"]
            asked.answer(wire.RESULT, described([(name, "text") for name in DESCRIBED], [texts]))
        elif asked.opcode == Opcode.EXECUTE and "system_traces.sessions" in asked.text:
            durations.reverse()
            cells = [b"Query", None, bytes(4), bytes(4), bytes(8), durations[0]]
            asked.answer(wire.RESULT, described(TRACE_SESSION, [cells]))
        elif asked.opcode == Opcode.EXECUTE and "system_traces.events" in asked.text:
            cells = [TRACE_ID.bytes, b"parsing", bytes(4), wire.integer(7), b"main"]
            more = None if asked.paging_state else b"more"
            asked.answer(wire.RESULT, described(TRACE_EVENT, [cells], more))
        else:
            return False
        return True

    class KnowsTraces(dict[str, Any]):
        def get(self, text: str, default: Any = None) -> Any:
            return (("session_id", "uuid"),) if "system_traces" in text else super().get(text, default)

    node.parameters = KnowsTraces()
    node.script = script
    return node


# --- What is cancelled -------------------------------------------------------------------------------------------


async def execute_text(session: Session) -> None:
    await session.execute("INSERT 1")


async def execute_values(session: Session) -> None:
    session._context.executor.preparing._known.clear()
    assert (await session.execute(SELECT, [1])).scalar() == 1


async def execute_prepared(session: Session) -> None:
    statement = await session.prepare(SELECT)
    assert (await session.execute(statement, [1])).scalar() == 1


async def execute_batch(session: Session) -> None:
    session._context.executor.preparing._known.clear()
    await session.execute(Batch().add(INSERT, [1]).add("DELETE x"))


async def execute_unprepared(session: Session) -> None:
    statement = await session.prepare(SELECT)
    NODES[session].forget()
    assert (await session.execute(statement, [1])).scalar() == 1


async def prepare(session: Session) -> None:
    session._context.executor.preparing._known.clear()
    await session.prepare(SELECT)


async def use(session: Session) -> None:
    await session.execute("USE shop")


async def change_schema(session: Session) -> None:
    assert (await session.execute(CHANGE)).schema_agreed


async def schema_agreement(session: Session) -> None:
    assert await session.schema_agreement()


async def describe(session: Session) -> None:
    assert [each.name for each in (await session.describe()).objects] == ["shop"]


async def refresh_schema(session: Session) -> None:
    assert await session.refresh_schema() is session.metadata


async def columns(session: Session) -> None:
    assert (await session.stream(PAGES).polars()).rows() == [(1,), (2,), (3,)]
    async with session.stream(PAGES) as rows:
        assert list((await rows.pandas())["v"]) == [1, 2, 3]


async def columns_in_a_thread(session: Session) -> None:
    with patch("triocql.results.columns.Batches.takes_long", lambda *_: True):
        assert (await session.stream(PAGES).arrow()).num_rows == 3


async def all_pages(session: Session) -> None:
    assert len(await (await session.execute(PAGES)).all()) == 3


async def iterate(session: Session) -> None:
    result = await session.execute(PREPARED_PAGES, [1])
    assert [row.v async for row in result] == [1, 2, 3]


async def stream(session: Session, prefetch: int) -> None:
    async with session.stream(PAGES, prefetch=prefetch) as rows:
        assert [row.v async for row in rows] == [1, 2, 3]


async def trace(session: Session) -> None:
    result = await session.execute(TRACED, tracing=True)
    assert len((await result.trace()).events) == 2


class Numbers:
    """An async iterator that is no generator: being left half-way, it needs no loop's attention."""

    def __init__(self, session: Session, make: Callable[[int], Any]) -> None:
        self._session = session
        self._make = make
        self._left = 5

    def __aiter__(self) -> Numbers:
        return self

    async def __anext__(self) -> Any:
        await self._session._context.reactor.sleep(0)
        self._left -= 1
        if self._left < 0:
            raise StopAsyncIteration
        return self._make(self._left)


async def concurrent(session: Session) -> None:
    results = await session.execute_concurrent([(SELECT, [number]) for number in range(9)], 3)
    assert [result.scalar() for _, result in results] == list(range(9))


async def concurrent_async(session: Session) -> None:
    items = Numbers(session, lambda number: (SELECT, [number]))
    assert len(await triocql.execute_concurrent(session, items, 2)) == 5
    rows = Numbers(session, lambda number: [number])
    assert len(await triocql.execute_concurrent_with_args(session, SELECT, rows, 2)) == 5


async def concurrent_with_args(session: Session) -> None:
    assert len(await session.execute_concurrent_with_args(INSERT, [[number] for number in range(9)], 3)) == 9


async def stream_concurrent(session: Session, ordered: bool) -> None:
    items = [(SELECT, [number]) for number in range(9)]
    async with triocql.stream_concurrent(session, items, 3, ordered=ordered) as results:
        assert len([result.scalar() async for _, result in results]) == 9


async def stream_concurrent_async(session: Session) -> None:
    items = Numbers(session, lambda number: (SELECT, [number]))
    async with triocql.stream_concurrent(session, items, 2) as results:
        assert len([result.scalar() async for _, result in results]) == 5


class Halting(Numbers):
    """An async iterator that gives two items, and then waits for ever."""

    async def __anext__(self) -> Any:
        if self._left == 3:
            await self._session._context.reactor.waiter(lambda: None).wait()
        return await super().__anext__()


async def concurrent_halting(session: Session) -> None:
    items = Halting(session, lambda number: (SELECT, [number]) if number == 4 else number)
    with pytest.raises(UsageError, match="cannot execute int"):
        await triocql.execute_concurrent(session, items, 2)


async def stream_concurrent_halting(session: Session) -> None:
    items = Halting(session, lambda number: (SELECT, [number]))
    async with triocql.stream_concurrent(session, items, 2) as results:
        assert (await anext(results)).result_or_exc.scalar() == 4


async def nursery(session: Session) -> None:
    async with triocql.open_request_nursery(session, 2) as requests:
        first = await requests.start(SELECT, [1])
        for number in range(4):
            await requests.start(INSERT, [number])
        assert (await first).scalar() == 1
        requests.start_soon(INSERT, [9])


SCENARIOS: Mapping[str, Callable[[Session], Coroutine[Any, Any, None]]] = {
    fn.__name__: fn
    for fn in (
        execute_text,
        execute_values,
        execute_prepared,
        execute_batch,
        execute_unprepared,
        prepare,
        use,
        change_schema,
        schema_agreement,
        describe,
        refresh_schema,
        columns,
        columns_in_a_thread,
        all_pages,
        iterate,
        trace,
        concurrent,
        concurrent_async,
        concurrent_with_args,
        stream_concurrent_async,
        concurrent_halting,
        stream_concurrent_halting,
        nursery,
    )
} | {
    "stream, nothing ahead": partial(stream, prefetch=0),
    "stream, two pages ahead": partial(stream, prefetch=2),
    "stream_concurrent, ordered": partial(stream_concurrent, ordered=True),
    "stream_concurrent, as completed": partial(stream_concurrent, ordered=False),
}

NODES: dict[Session, Node] = {}
TOKENS = count(1000)
REACHED: set[tuple[str, int]] = set()
"""The file and line of every checkpoint that was reached in this process, by an undisturbed run."""


def note(stepped: Stepped) -> None:
    REACHED.update((code.co_filename, line) for code, line in stepped.lines)


async def probe(stage: Stage, session: Session) -> None:
    """Check that the session is as good as new, with the same connection."""
    check(session)
    token = next(TOKENS)
    text = f"SELECT probe {token}"
    assert (await session.execute(text, timeout=60.0)).scalar() == text
    assert (await session.execute(SELECT, [token], timeout=60.0)).scalar() == token
    await settled(session)
    check(session)
    assert session.stats() == (1, 0, 0, 0)
    assert session._context.executor.router.ending is None
    assert len(stage.node.links) == 1
    check_executed_once(stage.node)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("loop", LOOPS)
def test_cancelled_at_each_checkpoint(loop: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_LOOK_AGAIN", 0.001)  # the node never shows a change of the schema
    scenario = SCENARIOS[name]

    async def main(stage: Stage) -> None:
        async with stage.connect(max_in_flight=8) as session:
            NODES[session] = stage.node
            undisturbed = Stepped(scenario(session))
            assert not await stage.cancelling(undisturbed)
            note(undisturbed)
            await probe(stage, session)
            assert undisturbed.count > 0
            tasks = stage.tasks()
            number = 0
            while True:
                stepped = await stage.cancelling_at(number, scenario(session))
                assert not stepped.leaving
                assert len(session._context.executor.router.queue) == 0
                await probe(stage, session)
                await stage.until(lambda: stage.tasks() <= tasks)
                if stepped.count <= number:
                    break
                number += 1
            del NODES[session]

    run_on(loop, main, scripted())
