"""A cancellation that comes while a session is opened or left arrives, whatever else is on its way: on asyncio.

Trio tells a task again at its next checkpoint; asyncio tells it once, and who swallows that has lost it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import anyio
import pytest

import triocql
from tests.engine.peer import Node
from tests.session.loops import Stage, Stepped, run_on
from triocql.errors import AuthenticationError, ConnectError, SessionClosed
from triocql.protocol.constants import Opcode

LOOPS = ["asyncio", "uvloop", "anyio on asyncio"]


class Bug(Exception):
    """What a block is left by."""


# --- What is cancelled -------------------------------------------------------------------------------------------


async def left_in_peace(stage: Stage) -> None:
    async with stage.connect():
        pass


async def left_by_an_error(stage: Stage) -> None:
    async with stage.connect():
        raise Bug


async def left_with_a_request_held(stage: Stage) -> None:
    async def insert() -> None:
        with pytest.raises(SessionClosed):
            await session.execute("INSERT 1")

    async with stage.connect() as session:
        stage.node.holding = True
        inserting = asyncio.create_task(insert())
        inserting.add_done_callback(asyncio.Task.result)
        await asyncio.sleep(0)
        raise Bug


async def closed_in_time(stage: Stage) -> None:
    session = await stage.connect()
    await session.aclose(0.01)


async def refused(stage: Stage) -> None:
    stage.node.script = lambda asked: asked.opcode == Opcode.STARTUP and asked.error(0x0100, "wrong password")
    await stage.connect()


async def nobody_there(stage: Stage) -> None:
    await triocql.connect("127.0.0.1", port=1)


Scenario = Callable[[Stage], Coroutine[Any, Any, None]]
ERRORS: dict[Scenario, type[Exception] | None] = {
    left_in_peace: None,
    left_by_an_error: Bug,
    left_with_a_request_held: Bug,
    closed_in_time: None,
    refused: AuthenticationError,
    nobody_there: ConnectError,
}


# --- How ---------------------------------------------------------------------------------------------------------

Ended = tuple[bool, BaseException | None]
"""Whether something was cancelled before its end, and what it has ended by."""


async def outcome(stepped: Stepped) -> BaseException | None:
    try:
        await stepped
    except BaseException as error:
        return error
    return None


async def by_the_task(stepped: Stepped) -> Ended:
    task = asyncio.create_task(outcome(stepped))
    stepped.cancel = task.cancel
    error = await task
    return task.cancelling() > 0, error


async def by_a_timeout(stepped: Stepped) -> Ended:
    ended: list[Ended] = []

    async def limited() -> None:
        async with asyncio.timeout(None) as timeout:
            stepped.cancel = lambda: timeout.reschedule(0)
            error = await outcome(stepped)
            ended.append((timeout.expired(), error))
            if not timeout.expired():
                timeout.reschedule(None)
            if error is not None:
                raise error

    task = asyncio.create_task(limited())
    await asyncio.wait([task])
    ((cancelled, error),) = ended
    told = task.exception()
    assert isinstance(told, TimeoutError) if cancelled else told is error
    assert task.cancelling() == 0
    return cancelled, error


async def by_a_group(stepped: Stepped) -> Ended:
    failed = asyncio.Event()

    async def fail() -> None:
        await failed.wait()
        raise ZeroDivisionError

    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            failing = group.create_task(fail())
            stepped.cancel = failed.set
            error = await outcome(stepped)
            cancelled = asking.cancelling() > 0
            failing.cancel()
            outcomes.append((cancelled, error))
            if error is not None:
                raise error

    outcomes: list[Ended] = []
    asking = asyncio.create_task(grouped())
    await asyncio.wait([asking])
    (ended,) = outcomes
    if ended[0]:
        errors = asking.exception()
        assert isinstance(errors, ExceptionGroup)
        assert errors.subgroup(ZeroDivisionError)
    else:
        asking.exception()
    return ended


async def by_a_scope(stepped: Stepped) -> Ended:
    error = None
    with anyio.CancelScope() as scope:
        stepped.cancel = scope.cancel
        error = await outcome(stepped)
        if isinstance(error, asyncio.CancelledError):
            raise error
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    return scope.cancelled_caught, error


WAYS = [by_the_task, by_a_timeout, by_a_group, by_a_scope]


def contexts(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__context__


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scenario", ERRORS)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_cancellation_arrives(
    loop: str, scenario: Scenario, way: Callable[[Stepped], Awaitable[Ended]]
) -> None:
    expected = ERRORS[scenario]

    async def swept(stage: Stage) -> int:
        number = arrived = 0
        while True:
            stepped = Stepped(scenario(stage), number)
            cancelled, error = await way(stepped)
            stage.node.holding = False
            if cancelled:
                arrived += 1
                assert isinstance(error, asyncio.CancelledError), (number, error)
                if expected is Bug and stepped.leaving:
                    assert any(isinstance(each, Bug) for each in contexts(error))
            else:
                assert expected is None if error is None else isinstance(error, expected or ()), error
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
            await asyncio.sleep(0)  # nothing comes late
            if stepped.count <= number:
                return arrived
            number += 1

    assert run_on(loop, swept, Node()) > 0
