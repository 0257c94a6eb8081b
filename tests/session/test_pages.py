"""Pages of a session's results: one by one, all at once, as a stream with pages ahead; ends, loops and mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine import wire
from tests.engine.peer import Asked
from tests.engine.world import World
from triocql import PagingState, Session, errors
from triocql.protocol.constants import Opcode

TEXT = "SELECT v FROM pages"
PREPARED = "SELECT v FROM pages WHERE k = ?"
PAGES = [[], [1, 2], [], [], [3], []]


def paged(version: int = 5, pages: list[list[int]] | None = None, **options: Any) -> World:
    world = World(version, **options)
    world.node.pages[TEXT] = world.node.pages[PREPARED] = PAGES if pages is None else pages
    return world


def fetched(world: World) -> list[bytes | None]:
    """Return the paging states that the node was asked with."""
    return [asked.paging_state for asked in world.node.asked if asked.opcode != Opcode.PREPARE]


async def collect(session: Session, how: str, *arguments: Any, **options: Any) -> list[int]:
    """Read all rows in one of the ways that there are."""
    if how == "stream":
        async with session.stream(*arguments, **options) as rows:
            return [row.v async for row in rows]
    result = await session.execute(*arguments, **options)
    if how == "all":
        return [row.v for row in await result.all()]
    return [row.v async for row in result]


@pytest.mark.parametrize("how", ["all", "for", "stream"])
@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("arguments", [(TEXT,), (PREPARED, [1])])
def test_empty_pages_do_not_end_it(how: str, version: int, arguments: Any) -> None:
    world = paged(version)
    with world.session() as session:
        assert world.call(collect, session, how, *arguments, page_size=2) == [1, 2, 3]
        assert fetched(world) == [None, b"1", b"2", b"3", b"4", b"5"]
        assert {asked.page_size for asked in world.node.asked if asked.opcode != Opcode.PREPARE} == {2}


@pytest.mark.parametrize("how", ["all", "for", "stream"])
def test_very_many_empty_pages_do_not_nest(how: str) -> None:
    world = paged(pages=[[] for _ in range(3000)] + [[7]])
    with world.session() as session:
        assert world.call(collect, session, how, TEXT) == [7]


@pytest.mark.parametrize("how", ["all", "for", "stream"])
def test_paging_state_that_does_not_change(how: str) -> None:
    world = paged(pages=[[number] for number in range(10)])

    def stuck(asked: Asked) -> bool:
        if asked.paging_state != b"4":
            return False
        asked.answer(wire.RESULT, wire.rows([("v", "int")], [[wire.integer(4)]], paging_state=b"4"))
        return True

    world.node.script = stuck
    with world.session() as session:
        with pytest.raises(errors.PagingLoop, match="same paging state"):
            world.call(collect, session, how, TEXT)
        assert len(fetched(world)) == 5
        assert session.stats() == (1, 0, 0, 0)


@pytest.mark.parametrize("how", ["all", "for", "stream"])
def test_paging_states_that_lead_in_a_circle(how: str) -> None:
    world = paged(pages=[[number] for number in range(20)])

    def circling(asked: Asked) -> bool:
        if asked.paging_state != b"7":
            return False
        asked.answer(wire.RESULT, wire.rows([("v", "int")], [[wire.integer(7)]], paging_state=b"5"))
        return True

    world.node.script = circling
    with world.session() as session:
        with pytest.raises(errors.PagingLoop, match="same paging state"):
            world.call(collect, session, how, TEXT)
        assert len(fetched(world)) <= 20


def test_going_on_from_a_paging_state() -> None:
    world = paged(pages=[[1], [2], [3]])
    with world.session() as session:
        for arguments in ((TEXT,), (PREPARED, [1])):
            first = world.call(session.execute, *arguments)
            assert first.has_more_pages
            assert isinstance(first.paging_state, PagingState)
            kept = PagingState.fromhex(first.paging_state.hex())
            second = world.call(session.execute, *arguments, paging_state=kept)
            assert [row.v for row in second.rows] == [2]
            third = world.call(session.execute, *arguments, paging_state=second.paging_state)
            assert [row.v for row in third.rows] == [3]
            assert third.paging_state is None


def test_paging_state_is_refused_by_others() -> None:
    world = paged(pages=[[1], [2]])
    with world.session() as session:
        text = world.call(session.execute, TEXT).paging_state
        prepared = world.call(session.execute, PREPARED, [1]).paging_state
        assert text is not None
        count = len(world.node.asked)
        for arguments, state in [
            ((PREPARED, [2]), prepared),
            ((PREPARED, [1]), text),
            ((TEXT,), prepared),
            (("SELECT other",), text),
            ((TEXT,), b"garbage"),
            ((TEXT,), bytes(text)[:-1] + b"?"),
        ]:
            with pytest.raises(errors.PagingStateMismatch):
                world.call(session.execute, *arguments, paging_state=state)
        assert len(world.node.asked) == count
        assert session.stats() == (1, 0, 0, 0)


@pytest.mark.parametrize("how", ["all", "for", "stream"])
def test_node_that_ends_between_pages(how: str) -> None:
    world = paged(pages=[[1], [2], [3]], count=2)
    world.nodes[1].pages = world.node.pages
    with world.session() as session:

        def ends(asked: Asked) -> bool:
            if asked.paging_state != b"1":
                return False
            for node in world.nodes:
                node.script = None
            world.listeners[world.nodes.index(asked.link.node)].accepted[0].reset()
            return True

        for node in world.nodes:
            node.script = ends
        assert world.call(collect, session, how, TEXT) == [1, 2, 3]
        world.reactor.advance(5)


def test_iteration_goes_on_after_an_error() -> None:
    world = paged(pages=[[1], [2], [3]])
    with world.session() as session:

        async def read() -> list[int]:
            rows = aiter(await session.execute(TEXT))
            seen = [(await anext(rows)).v]
            world.node.script = lambda asked: asked.paging_state == b"1" and asked.error(0x2200, "now")
            with pytest.raises(errors.InvalidQuery):
                await anext(rows)
            world.node.script = None
            seen += [row.v async for row in rows]
            return seen

        assert world.call(read) == [1, 2, 3]


# --- Streams -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_pages_ahead_are_bounded(prefetch: int) -> None:
    world = paged(pages=[[2 * number, 2 * number + 1] for number in range(10)])
    with world.session() as session:

        async def read() -> None:
            async with session.stream(TEXT, prefetch=prefetch) as rows:
                seen = 0
                async for row in rows:
                    assert row.v == seen
                    await session._context.reactor.sleep(1)
                    page = seen // 2
                    assert len(fetched(world)) == min(10, page + 1 + prefetch)
                    seen += 1
                assert seen == 20

        world.call(read)


@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_leaving_early_abandons_the_fetch(prefetch: int) -> None:
    world = paged(pages=[[number] for number in range(10)])
    with world.session() as session:

        async def read() -> None:
            async with session.stream(TEXT, prefetch=prefetch) as rows:
                async for row in rows:
                    if row.v == 2:
                        world.node.holding = True
                    if row.v == 3:
                        break

        task = world.start(read)
        while not task.done:
            world.node.held.pop().respond()
            world.settle()
        count = len(fetched(world))
        held = len(world.node.held)
        assert held == session.stats().orphans <= 1
        world.node.release()
        world.reactor.advance(5)
        assert len(fetched(world)) == count <= 4 + prefetch + 1
        assert session.stats() == (1, 0, 0, 0)


def test_rows_before_an_error_are_given_first() -> None:
    world = paged(pages=[[1], [2], [3]])
    with world.session() as session:
        world.node.script = lambda asked: asked.paging_state == b"2" and asked.error(0x2200, "third page")

        async def read() -> list[int]:
            seen = []
            async with session.stream(TEXT, prefetch=5) as rows:
                with pytest.raises(errors.InvalidQuery, match="third page"):  # noqa: PT012
                    async for row in rows:
                        seen.append(row.v)
                        await session._context.reactor.sleep(1)
            return seen

        assert world.call(read) == [1, 2]


def test_two_tasks_cannot_share_a_stream() -> None:
    world = paged(pages=[[1], [2], [3]])
    with world.session() as session:
        world.node.holding = True

        async def read() -> None:
            async with session.stream(TEXT) as rows:
                first = world.reactor.start(rows.__anext__)
                await session._context.reactor.sleep(1)
                with pytest.raises(errors.UsageError, match="two tasks"):
                    await rows.__anext__()
                world.node.release()
                await session._context.reactor.sleep(1)
                assert first.result().v == 1
                assert [row.v async for row in rows] == [2, 3]

        world.call(read)


def test_stream_is_entered_once_and_before_it_is_read() -> None:
    world = paged()
    with world.session() as session:
        stream = session.stream(TEXT)
        with pytest.raises(errors.UsageError, match="async with"):
            aiter(stream)
        with pytest.raises(errors.UsageError, match="async with"):
            world.call(stream.__anext__)
        world.call(stream.__aenter__)
        with pytest.raises(errors.UsageError, match="entered once"):
            world.call(stream.__aenter__)
        world.call(stream.__aexit__, None, None, None)
        with pytest.raises(errors.UsageError, match="after its block"):
            world.call(stream.__anext__)
        with pytest.raises(errors.UsageError, match="after its block"):
            aiter(stream)


def test_rows_of_a_page_that_is_here_are_not_read_after_the_block() -> None:
    world = paged()
    with world.session() as session:

        async def late() -> None:
            async with session.stream(TEXT) as rows:
                await anext(rows)
            await anext(rows)

        with pytest.raises(errors.UsageError, match="after its block"):
            world.call(late)


def test_a_stream_is_read_once() -> None:
    """A loop that was left goes on; one after the last row would find nothing."""
    world = paged()
    with world.session() as session:

        async def twice() -> tuple[int, list[int]]:
            async with session.stream(TEXT) as rows:
                async for row in rows:
                    first = row.v
                    break
                rest = [row.v async for row in rows]
                with pytest.raises(errors.UsageError, match="read to its end already"):
                    aiter(rows)
                with pytest.raises(StopAsyncIteration):
                    await anext(rows)
            return first, rest

        first, rest = world.call(twice)
        assert [first, *rest] == [value for page in world.node.pages[TEXT] for value in page]


def test_a_page_that_cannot_be_fetched_is_not_the_end_of_the_stream() -> None:
    world = paged()
    with world.session() as session:
        world.node.script = lambda asked: asked.paging_state is not None and asked.error(0x2200, "no more")

        async def read() -> None:
            async with session.stream(TEXT) as rows:
                while True:
                    try:
                        async for _ in rows:
                            pass
                    except errors.InvalidQuery as error:
                        failed.append(error)
                        if len(failed) == 3:
                            return
                    else:
                        raise AssertionError("it ended")

        failed: list[errors.InvalidQuery] = []
        world.call(read)
        assert len(set(map(id, failed))) == 3


@pytest.mark.parametrize("prefetch", [-1, 1.5, None, True, 10**30])
def test_prefetch_that_is_not_valid(prefetch: Any) -> None:
    world = paged()
    with world.session() as session, pytest.raises(errors.OptionError, match="prefetch"):
        session.stream(TEXT, prefetch=prefetch)


def test_wrong_values_are_found_on_reading() -> None:
    world = paged()
    with world.session() as session:
        select = world.call(session.prepare, PREPARED)

        async def read() -> None:
            async with session.stream(select, ["text"]) as rows:
                with pytest.raises(errors.BindTypeError):
                    await anext(rows)

        world.call(read)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_session_that_is_closed_under_a_stream(prefetch: int) -> None:
    world = paged(pages=[[1], [2], [3], [4], [5]])
    with world.session() as session:

        async def read() -> list[int]:
            seen = []
            async with session.stream(TEXT, prefetch=prefetch) as rows:
                with pytest.raises(errors.SessionClosed):  # noqa: PT012
                    async for row in rows:
                        seen.append(row.v)
                        if row.v == 1:
                            await session.aclose()
            return seen

        assert world.call(read)[0] == 1


@pytest.mark.parametrize("row_type", [dict, tuple, None])
def test_forms_of_rows(row_type: Any) -> None:
    world = paged(pages=[[1], [2]])
    with world.session() as session:

        async def read() -> list[Any]:
            async with session.stream(TEXT, row_type=row_type) as rows:
                return [row async for row in rows]

        expected: list[Any] = [{"v": 1}, {"v": 2}] if row_type is dict else [(1,), (2,)]
        assert world.call(read) == expected
