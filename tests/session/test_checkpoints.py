"""Every public coroutine, cancelled at each of its checkpoints, on every loop: the session stays as good as new."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import triocql
from tests.engine import wire
from tests.engine.peer import Asked, Node
from tests.engine.world import INSERT, SELECT, check
from tests.session.loops import LOOPS, Stage, Stepped, run_on, settled
from triocql import Batch, Session
from triocql.protocol.constants import Opcode

PAGES = "SELECT v FROM pages"
PREPARED_PAGES = "SELECT v FROM pages WHERE k = ?"
TRACED = "SELECT traced"
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

PLACES = (
    "session",
    "streaming",
    "concurrent",
    "nursery",
    "results",
    "traces",
    "cluster/core",
    "cluster/connector",
    "cluster/exchange",
)
"""The modules whose checkpoints have to be reached."""


def scripted() -> Node:
    """Return a node with pages, and with the tables of traces."""
    node = Node()
    node.pages[PAGES] = node.pages[PREPARED_PAGES] = [[1, 2], [], [3], []]
    durations: list[bytes | None] = [wire.integer(4), None]

    def script(asked: Asked) -> bool:
        if asked.opcode == Opcode.QUERY and asked.text == TRACED:
            body = wire.rows([("v", "int")], [[wire.integer(1)]])
            asked.answer(wire.RESULT, TRACE_ID.bytes + body, flags=0x02)
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

    def described(columns: Any, cells: Any, paging_state: bytes | None = None) -> bytes:
        return wire.rows(columns, cells, paging_state=paging_state, new_metadata_id=b"of this page")

    class KnowsTraces(dict[str, Any]):
        def get(self, text: str, default: Any = None) -> Any:
            return (("session_id", "uuid"),) if "system_traces" in text else default

    node.parameters = KnowsTraces()
    node.script = script
    return node


# --- What is cancelled -------------------------------------------------------------------------------------------


async def execute_text(session: Session) -> None:
    await session.execute("INSERT 1")


async def execute_values(session: Session) -> None:
    session.executor.preparing._known.clear()
    assert (await session.execute(SELECT, [1])).scalar() == 1


async def execute_prepared(session: Session) -> None:
    statement = await session.prepare(SELECT)
    assert (await session.execute(statement, [1])).scalar() == 1


async def execute_batch(session: Session) -> None:
    session.executor.preparing._known.clear()
    await session.execute(Batch().add(INSERT, [1]).add("DELETE x"))


async def execute_unprepared(session: Session) -> None:
    statement = await session.prepare(SELECT)
    NODES[session].forget()
    assert (await session.execute(statement, [1])).scalar() == 1


async def prepare(session: Session) -> None:
    session.executor.preparing._known.clear()
    await session.prepare(SELECT)


async def use(session: Session) -> None:
    await session.execute("USE shop")


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
        await self._session.reactor.sleep(0)
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
        all_pages,
        iterate,
        trace,
        concurrent,
        concurrent_async,
        concurrent_with_args,
        stream_concurrent_async,
        nursery,
    )
} | {
    "stream, nothing ahead": partial(stream, prefetch=0),
    "stream, two pages ahead": partial(stream, prefetch=2),
    "stream_concurrent, ordered": partial(stream_concurrent, ordered=True),
    "stream_concurrent, as completed": partial(stream_concurrent, ordered=False),
}

NODES: dict[Session, Node] = {}
REACHED: set[tuple[str, int]] = set()
"""The file and line of every checkpoint that was reached in this process, by an undisturbed run."""


def note(stepped: Stepped) -> None:
    REACHED.update((code.co_filename, line) for code, line in stepped.lines)


async def probe(session: Session) -> None:
    """Check that the session is as good as new."""
    check(session)
    assert (await session.execute("SELECT probe", timeout=5.0)).scalar() == "SELECT probe"
    assert (await session.execute(SELECT, [42], timeout=5.0)).scalar() == 42
    await settled(session)
    check(session)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("loop", LOOPS)
def test_cancelled_at_each_checkpoint(loop: str, name: str) -> None:
    scenario = SCENARIOS[name]

    async def main(stage: Stage) -> None:
        async with stage.connect(max_in_flight=8) as session:
            NODES[session] = stage.node
            undisturbed = Stepped(scenario(session))
            assert not await stage.cancelling(undisturbed)
            note(undisturbed)
            await probe(session)
            assert undisturbed.count > 0
            number, cancelled = 0, 0
            while True:
                stepped = Stepped(scenario(session), number)
                caught = await stage.cancelling(stepped)
                assert len(session.executor.router.queue) == 0
                await probe(session)
                if stepped.count <= number:
                    break
                cancelled += caught
                number += 1
            assert len(stage.node.links) == 1
            # AnyIO delivers a cancellation on asyncio a little later: the last ones may come too late.
            assert cancelled >= (number - 2 if loop == "anyio on asyncio" else number)
            del NODES[session]

    run_on(loop, main, scripted())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("options", [{}, {"keyspace": "shop"}, {"protocol_version": 4}])
def test_connecting_cancelled_at_each_checkpoint(loop: str, options: dict[str, Any]) -> None:
    async def main(stage: Stage) -> int:
        async def session() -> None:
            async with stage.connect(**options) as session:
                await session.execute("INSERT 1")

        undisturbed = Stepped(session())
        await stage.cancelling(undisturbed)
        note(undisturbed)
        for number in range(undisturbed.count + 1):
            await stage.cancelling(Stepped(session(), number))
        return undisturbed.count

    assert run_on(loop, main, scripted()) > 3


@pytest.mark.parametrize("loop", LOOPS)
def test_connecting_in_vain_cancelled_at_each_checkpoint(loop: str) -> None:
    node = Node()
    node.script = lambda asked: asked.opcode == Opcode.STARTUP and asked.error(0x0100, "wrong password")

    async def main(stage: Stage) -> int:
        async def session() -> None:
            with pytest.raises(triocql.errors.AuthenticationError, match="wrong password"):
                await stage.connect().__aenter__()

        undisturbed = Stepped(session())
        assert not await stage.cancelling(undisturbed)
        note(undisturbed)
        for number in range(undisturbed.count + 1):
            await stage.cancelling(Stepped(session(), number))
        return undisturbed.count

    assert run_on(loop, main, node) > 2


@pytest.mark.parametrize("loop", LOOPS)
def test_closing_cancelled_at_each_checkpoint(loop: str) -> None:
    async def main(stage: Stage) -> None:
        number = 0
        while True:
            session = await stage.connect().__aenter__()
            stage.node.holding = True
            session.executor.start(Ignored(), "INSERT 1")
            stepped = Stepped(session.aclose(0.05), number)
            await stage.cancelling(stepped)
            note(stepped)
            assert session.executor.router.connections() == []
            await session.aclose()
            stage.node.holding = False
            if stepped.count <= number:
                break
            number += 1

    run_on(loop, main, scripted())


class Bug(Exception):
    """What a block is left by."""


@pytest.mark.parametrize("loop", LOOPS)
def test_leaving_by_an_error_cancelled_at_each_checkpoint(loop: str) -> None:
    async def main(stage: Stage) -> int:
        async def session() -> None:
            with pytest.raises(Bug):
                async with stage.connect():
                    raise Bug

        undisturbed = Stepped(session())
        assert not await stage.cancelling(undisturbed)
        note(undisturbed)
        for number in range(undisturbed.count + 1):
            await stage.cancelling(Stepped(session(), number))
        return undisturbed.count

    assert run_on(loop, main, scripted()) > 3


class Ignored:
    """A sink that nobody waits behind."""

    def resolve(self, value: object) -> None:
        """Ignore it."""

    def reject(self, error: Exception) -> None:
        """Ignore it."""


def awaits(path: Path) -> list[tuple[int, int]]:
    """Return the first and last line of every expression in a file that may suspend its coroutine."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Await):
            found.append((node.lineno, node.end_lineno or node.lineno))
        elif isinstance(node, ast.AsyncFor):
            found.append((node.lineno, node.iter.end_lineno or node.lineno))
        elif isinstance(node, ast.AsyncWith):
            found.append((node.lineno, node.items[-1].context_expr.end_lineno or node.lineno))
    return found


def test_every_checkpoint_of_the_library_is_reached() -> None:
    for name in SCENARIOS:
        test_cancelled_at_each_checkpoint("simulated", name)
    for options in ({}, {"keyspace": "shop"}):
        test_connecting_cancelled_at_each_checkpoint("simulated", options)
    test_closing_cancelled_at_each_checkpoint("simulated")
    for loop in ("simulated", "trio"):
        test_connecting_in_vain_cancelled_at_each_checkpoint(loop)
        test_leaving_by_an_error_cancelled_at_each_checkpoint(loop)
    root = Path(inspect.getfile(triocql)).parent
    missed = [
        f"{place}.py:{first}"
        for place in PLACES
        for first, last in awaits(root / f"{place}.py")
        if not any((str(root / f"{place}.py"), line) in REACHED for line in range(first, last + 1))
    ]
    assert missed == [], missed
