"""Connections that end under many requests: each is told once, none is sent again, and nobody is left waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.faults.callers import callers
from tests.faults.invariants import run
from tests.faults.scene import EVERYWHERE, INSERT, Scene
from triocql import (
    Error,
    errors,
    execute_concurrent,
    execute_concurrent_with_args,
    open_request_nursery,
    stream_concurrent,
)
from triocql.testing.server import no_response

Many = Callable[[Scene, list[int]], Awaitable[object]]


async def _list(scene: Scene, tokens: list[int]) -> None:
    await execute_concurrent(scene.session, [(scene.insert, [token]) for token in tokens])


async def _async_source(scene: Scene, tokens: list[int]) -> None:
    async def values() -> AsyncIterator[list[int]]:
        for token in tokens:
            yield [token]

    await execute_concurrent_with_args(scene.session, scene.insert, values())


async def _stream(scene: Scene, tokens: list[int]) -> None:
    pairs = [(scene.insert, [token]) for token in tokens]
    async with stream_concurrent(scene.session, pairs) as results:
        async for _ in results:
            pass


async def _nursery(scene: Scene, tokens: list[int]) -> None:
    async with open_request_nursery(scene.session) as nursery:
        for token in tokens:
            await nursery.start(scene.insert, [token])


async def _texts(scene: Scene, tokens: list[int]) -> None:
    """Each text is prepared by the way, once for all who wait for it."""
    await execute_concurrent(scene.session, [(INSERT, [token]) for token in tokens])


@EVERYWHERE
@pytest.mark.parametrize("many", [_list, _async_source, _stream, _nursery, _texts])
def test_requests_of_one_call_are_not_sent_again_after_its_first_error(loop: str, many: Many) -> None:
    """The end of a connection ends the call, which abandons the others; other tasks learn of it, too."""
    ended: list[Exception] = []

    async def row(scene: Scene) -> None:
        scene.server.when(INSERT).then(no_response())

        async def call() -> None:
            try:
                await many(scene, list(range(8)))
            except Error as error:
                ended.append(error)

        async with callers(scene) as group:
            before = [group.write(100 + number) for number in range(2)]
            await scene.received(2)
            group.start(call)
            await scene.received(10)
            after = [group.write(200 + number) for number in range(2)]
            await scene.received(12)
            scene.server.rules.clear()
            for node in scene.server.nodes:
                node.restart()
        await scene.until(lambda: bool(ended))
        (error,) = ended
        assert isinstance(error, errors.ConnectionLost)
        assert error.maybe_executed
        assert all(isinstance(caller.error, errors.ConnectionLost) for caller in (*before, *after))
        scene.server.log.assert_at_most_once(INSERT)

    run(loop, row, nodes=2)
