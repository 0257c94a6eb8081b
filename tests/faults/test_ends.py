"""Connections that end under many requests, or between two steps: nobody is sent again, nobody is left waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trustme

from tests.faults.callers import callers
from tests.faults.invariants import run
from tests.faults.scene import INSERT, ON_EVERY_LOOP, Scene
from tests.reactors.certificates import client_context, server_context
from triocql import (
    Error,
    errors,
    execute_concurrent,
    execute_concurrent_with_args,
    open_request_nursery,
    stream_concurrent,
)
from triocql.testing.server import Opcode, Step, as_usual, close, no_response, reset

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


@ON_EVERY_LOOP
@pytest.mark.parametrize("many", [_list, _async_source, _stream, _nursery, _texts])
def test_requests_of_one_call_are_not_sent_again_after_its_first_error(loop: str, many: Many) -> None:
    """The end of a connection ends the call, which abandons the others; other tasks learn of it, too."""
    ended: list[Exception] = []

    async def row(scene: Scene) -> None:
        rule = scene.server.when(INSERT).then(no_response())

        async def there(count: int) -> None:
            await scene.until(lambda: len(rule.calls) >= count)

        async def call() -> None:
            try:
                await many(scene, list(range(8)))
            except Error as error:
                ended.append(error)

        async with callers(scene) as group:
            before = [group.write(100 + number) for number in range(2)]
            await there(2)
            group.start(call)
            await there(10)
            after = [group.write(200 + number) for number in range(2)]
            await there(12)
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


@pytest.fixture(scope="module")
def tls() -> dict[str, dict[str, Any]]:
    """The arguments of the server and of the session, by whether they speak TLS."""
    ca = trustme.CA()
    return {
        "plain": {},
        "TLS": {
            "server": {"ssl_context": server_context(ca, "127.0.0.1", "10.0.0.1")},
            "ssl_context": client_context(ca),
        },
    }


@ON_EVERY_LOOP
@pytest.mark.parametrize("wire", ["plain", "TLS"])
@pytest.mark.parametrize("last", [Opcode.STARTUP, Opcode.QUERY])
@pytest.mark.parametrize("end", [close(), reset()])
def test_a_connection_that_ends_with_the_last_answer_of_its_handshake_enters_no_pool(
    loop: str, wire: str, last: Opcode, end: Step, tls: dict[str, dict[str, Any]]
) -> None:
    """READY, or the answer to USE, and the end of the connection arrive in the same step."""

    async def row(scene: Scene) -> None:
        scene.server.when(opcode=last, times=3).then(as_usual(), end)
        scene.server.nodes[0].restart()
        await scene.until(lambda: len(scene.server.log.requests(Opcode.STARTUP)) == 4)
        await scene.whole()
        assert not scene.only().streams.closed
        assert (await scene.read(7).wait()).value == 7

    run(loop, row, keyspace="ks", **tls[wire])
