"""Requests leave no garbage that waits for a collection: what has ended is freed at once."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest

import triocql
from tests.engine.peer import Node
from tests.engine.world import INSERT, SELECT
from tests.session.loops import LOOPS, Stage, run_on
from tests.sync.served import Served
from triocql import Batch, errors

PAGES = "SELECT v FROM pages"
BAD = "BAD"

Step = Callable[[triocql.Session], Coroutine[Any, Any, Any]]


def node() -> Node:
    node = Node()
    node.pages[PAGES] = [[1, 2], [3]]
    node.script = lambda asked: asked.text == BAD and asked.error(0x2000)
    return node


@contextmanager
def no_garbage() -> Iterator[None]:
    """Check that nothing of the library is left to the collector by the block."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        kinds = Counter(
            f"{type(each).__module__}.{type(each).__qualname__}"
            for each in gc.garbage
            if type(each).__module__.startswith("triocql")
        )
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not kinds


async def execute_text(session: triocql.Session) -> None:
    await session.execute("SELECT x")


async def execute_prepared(session: triocql.Session) -> None:
    select = await session.prepare(SELECT)
    assert (await session.execute(select, [7])).scalar() == 7


async def execute_batch(session: triocql.Session) -> None:
    batch = Batch()
    batch.add(INSERT, [1])
    await session.execute(batch)


async def pages(session: triocql.Session) -> None:
    assert len(await (await session.execute(PAGES)).all()) == 3


async def refused(session: triocql.Session) -> None:
    with suppress(errors.SyntaxError):
        await session.execute(BAD)


async def refused_before_it_was_sent(session: triocql.Session) -> None:
    with suppress(errors.BindTypeError):
        await session.execute(SELECT, ["no number"])


async def not_started(session: triocql.Session) -> None:
    select = await session.prepare(SELECT)
    for statement in ("SELECT x", select, select.bind(7)):
        with suppress(errors.PagingStateMismatch):
            await session.execute(statement, [7] if statement is select else None, paging_state=b"no such")


STEPS: list[Step] = [
    execute_text,
    execute_prepared,
    execute_batch,
    pages,
    refused,
    refused_before_it_was_sent,
    not_started,
]


async def scenario(step: Step, stage: Stage) -> None:
    async with stage.connect() as session:
        for _ in range(2):  # whatever is made once
            await step(session)
        with no_garbage():
            await step(session)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("loop", LOOPS)
def test_on_a_loop(loop: str, step: Step) -> None:
    run_on(loop, partial(scenario, step), node())


@pytest.mark.parametrize("text", ["SELECT x", BAD])
def test_of_a_thread(text: str) -> None:
    with Served() as served:
        served.node.script = node().script
        with served.connect() as session:

            def step() -> None:
                with suppress(errors.SyntaxError):
                    session.execute(text)

            step()
            with no_garbage():
                step()
