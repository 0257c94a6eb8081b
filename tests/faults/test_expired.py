"""Callers that are cancelled, or out of time, before they call (C06): nothing is sent, and no stream id is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio

from tests.engine.world import INSERT as INSERT_TEXT
from tests.engine.world import World, free_ids
from tests.faults.invariants import run
from tests.faults.scene import EVERYWHERE, Scene
from triocql.testing.simulated import SimCancelled

Call = Callable[[], Awaitable[Any]]


def calls(scene: Scene) -> list[Call]:
    """Return calls that would each send something. A preparation is shared: it goes on for those who may want it."""
    session = scene.session
    return [
        lambda: session.execute("INSERT INTO ks.t (k) VALUES (1)"),
        lambda: session.execute(scene.select, [1]),
        lambda: session.execute(scene.select, [1], timeout=1.0),
    ]


async def nothing_comes_of(scene: Scene, make: Callable[[Call], Awaitable[None]]) -> None:
    """Check that the node learns nothing of calls that are made so, and that no stream id is taken for them."""
    ids = sorted(free_ids(scene.only()))
    for call in calls(scene):
        await make(call)
        assert sorted(free_ids(scene.only())) == ids
    assert (await scene.read(7).wait()).value == 7
    assert len(scene.server.log) == 1


async def trio_scope(call: Call) -> None:
    with trio.move_on_after(0):
        await call()


async def trio_cancelled(call: Call) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await call()


async def asyncio_timeout(call: Call) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await call()


async def asyncio_wait_for(call: Call) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(), 0)


async def asyncio_cancelled(call: Call) -> None:
    async def itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await call()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(itself())


async def anyio_scope(call: Call) -> None:
    with anyio.move_on_after(0):
        await call()


async def anyio_cancelled(call: Call) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await call()


EXPIRED: list[tuple[str, Callable[[Call], Awaitable[None]]]] = [
    ("trio", trio_scope),
    ("trio", trio_cancelled),
    ("trio", anyio_scope),
    ("trio", anyio_cancelled),
    ("asyncio", asyncio_timeout),
    ("asyncio", asyncio_wait_for),
    ("asyncio", asyncio_cancelled),
    ("asyncio", anyio_scope),
    ("asyncio", anyio_cancelled),
]


@pytest.mark.parametrize(("loop", "expired"), EXPIRED, ids=[f"{fn.__name__}-{on}" for on, fn in EXPIRED])
def test_c06_expired_before_the_call(loop: str, expired: Callable[[Call], Awaitable[None]]) -> None:
    run(loop, lambda scene: nothing_comes_of(scene, expired))


@EVERYWHERE
def test_c06_cancelled_by_itself(loop: str) -> None:
    async def row(scene: Scene) -> None:
        async def cancelled(call: Call) -> None:
            outcomes: list[BaseException | None] = []

            async def itself() -> None:
                cancel()
                try:
                    await call()
                    outcomes.append(None)
                except BaseException as error:
                    outcomes.append(error)
                    raise

            cancel = scene.session._context.reactor.spawn(itself)
            await scene.until(lambda: bool(outcomes))
            assert isinstance(outcomes[0], BaseException)
            assert not isinstance(outcomes[0], Exception)

        await nothing_comes_of(scene, cancelled)

    run(loop, row)


@EVERYWHERE
def test_c06_cancelled_before_its_task_begins(loop: str) -> None:
    async def row(scene: Scene) -> None:
        async def cancelled(call: Call) -> None:
            answers: list[object] = []

            async def itself() -> None:
                answers.append(await call())

            cancel = scene.session._context.reactor.spawn(itself)
            cancel()
            await scene.session._context.reactor.sleep(0.001)
            assert answers == []

        await nothing_comes_of(scene, cancelled)

    run(loop, row)


def test_c06_cancelled_before_it_begins() -> None:
    for seed in range(20):
        world = World(seed=seed)
        with world.session() as session:
            tasks = [world.reactor.start(session.execute, INSERT_TEXT.replace("?", "1")) for _ in range(5)]
            world.node.asked.clear()
            world.reactor._run_ready()
            for task in tasks:
                task.cancel()
            world.settle()
            assert world.node.asked == []
            for task in tasks:
                with pytest.raises(SimCancelled):
                    task.result()
