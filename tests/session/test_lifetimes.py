"""Opening, closing and leaving a session, cancelled at each checkpoint, on every loop: nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import triocql
from tests.engine import wire
from tests.engine.peer import Asked, Node
from tests.session.loops import LOOPS, Stage, Stepped, check_executed_once, run_on
from tests.session.test_checkpoints import note, scripted
from triocql.abc import Address
from triocql.protocol.constants import Opcode

PASSWORDS = "org.apache.cassandra.auth.PasswordAuthenticator"

TURNS = 20
"""After so many turns of a loop a task that was ending has ended."""


class Kept:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.outcomes: list[object] = []

    def resolve(self, value: object) -> None:
        """Keep the value."""
        self.outcomes.append(value)

    def reject(self, error: BaseException) -> None:
        """Keep the error."""
        self.outcomes.append(error)


async def without_connections(stage: Stage) -> int:
    """Wait until the node has no connection, and return how many tasks there are then."""
    await stage.until(lambda: all(link.lost for link in stage.node.links))
    for _ in range(TURNS):
        await stage.sleep(0)
    return stage.tasks()


async def without_session(stage: Stage, scenario: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Cancel what opens and ends a session at each checkpoint; nothing of it may be left.

    Return how often it was cancelled before it left the reactor.
    """
    undisturbed = Stepped(scenario())
    assert not await stage.cancelling(undisturbed)
    note(undisturbed)
    tasks = await without_connections(stage)
    early = 0
    for number in range(undisturbed.count + 1):
        stepped = await stage.cancelling_at(number, scenario())
        early += stepped.came is not None and not stepped.leaving
        await stage.until(lambda: all(link.lost for link in stage.node.links) and stage.tasks() <= tasks)
        check_executed_once(stage.node)
    return early


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("options", [{}, {"keyspace": "shop"}, {"protocol_version": 4}])
def test_connecting_cancelled_at_each_checkpoint(loop: str, options: dict[str, Any]) -> None:
    async def main(stage: Stage) -> int:
        async def session() -> None:
            async with stage.connect(**options) as session:
                await session.execute("INSERT 1")

        return await without_session(stage, session)

    assert run_on(loop, main, scripted()) > 3


@pytest.mark.parametrize("loop", LOOPS)
def test_connecting_beside_a_node_that_is_away_cancelled_at_each_checkpoint(loop: str) -> None:
    node = scripted()
    node.peers = [(Node(), Address("127.0.0.1", 1))]

    async def main(stage: Stage) -> int:
        async def session() -> None:
            async with stage.connect(connections_local=2) as session:
                await stage.until(lambda: len(session._context.executor.router.connections()) == 2)

        return await without_session(stage, session)

    assert run_on(loop, main, node) > 3


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("step", ["OPTIONS", "STARTUP", "AUTH_RESPONSE", "QUERY"])
def test_connecting_cancelled_while_the_node_owes_an_answer(loop: str, step: str) -> None:
    """The first connection is dialled by a task of its own: it ends in whichever step it is."""
    node = Node()
    auth = triocql.PlainTextAuth("me", password=lambda: "secret")

    async def main(stage: Stage) -> None:
        async def session() -> None:
            await stage.connect(keyspace="shop", auth=auth).__aenter__()

        stepped = Stepped(session())

        def script(asked: Asked) -> bool:
            if asked.opcode == Opcode[step]:
                stepped.cancel()
                return asked.hold()
            if asked.opcode == Opcode.AUTH_RESPONSE:
                return asked.answer(Opcode.AUTH_SUCCESS, wire.integer(-1))
            return asked.opcode == Opcode.STARTUP and asked.answer(wire.AUTHENTICATE, wire.string(PASSWORDS))

        async with stage.connect():
            pass
        tasks = await without_connections(stage)
        node.script = script
        assert await stage.cancelling(stepped)
        await stage.until(lambda: all(link.lost for link in node.links) and stage.tasks() <= tasks)
        assert len(node.held) == 1

    run_on(loop, main, node)


@pytest.mark.parametrize("loop", LOOPS)
def test_connecting_in_vain_cancelled_at_each_checkpoint(loop: str) -> None:
    node = Node()
    node.script = lambda asked: asked.opcode == Opcode.STARTUP and asked.error(0x0100, "wrong password")

    async def main(stage: Stage) -> int:
        async def session() -> None:
            with pytest.raises(triocql.errors.AuthenticationError, match="wrong password"):
                await stage.connect().__aenter__()

        return await without_session(stage, session)

    assert run_on(loop, main, node) >= 1


@pytest.mark.parametrize("loop", LOOPS)
def test_closing_cancelled_at_each_checkpoint(loop: str) -> None:
    async def main(stage: Stage) -> None:
        async with stage.connect():
            pass
        tasks = await without_connections(stage)
        number = early = 0
        while True:
            session = await stage.connect().__aenter__()
            stage.node.holding = True
            kept = Kept()
            session._context.executor.start(kept, "INSERT 1")
            stepped = await stage.cancelling_at(number, session.aclose(0.05))
            early += stepped.came is not None and not stepped.leaving
            note(stepped)
            assert session._context.executor.router.connections() == []
            await session.aclose()
            stage.node.holding = False
            (outcome,) = kept.outcomes
            assert isinstance(outcome, triocql.errors.SessionClosed)
            await stage.until(lambda: stage.tasks() <= tasks)
            check_executed_once(stage.node)
            if stepped.count <= number:
                break
            number += 1
        assert early > 0

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

        return await without_session(stage, session)

    assert run_on(loop, main, scripted()) > 2
