"""Very many callers that are cancelled at once (C02), and many that go or run out of time at random moments."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.engine.world import free_ids
from tests.faults.callers import Callers, callers
from tests.faults.invariants import run
from tests.faults.scene import INSERT, LOOPS, ON_SOCKETS, SELECT, Scene
from tests.faults.test_streams import late_by_chance
from triocql import errors
from triocql.reactors.base import nothing
from triocql.testing.server import Gate, as_usual

STORM = 10_000
MANY = 2_500
MAX_IN_FLIGHT = 16_384
LONG = 60.0
"""Seconds that a request of a storm has."""


@pytest.mark.parametrize(
    ("loop", "storm", "max_orphans"),
    [
        *((loop, MANY, 256) for loop in LOOPS),
        ("simulated", STORM, STORM),
        *(pytest.param(loop, STORM, 256, marks=pytest.mark.long) for loop in LOOPS),
        *(pytest.param(loop, STORM, STORM, marks=pytest.mark.long) for loop in LOOPS if loop != "simulated"),
    ],
)
def test_c02_storm(loop: str, storm: int, max_orphans: int) -> None:
    """10,000 in flight are cancelled within a second. Their ids are orphans, or the connection is replaced, once."""

    async def row(scene: Scene) -> None:
        gate = Gate()
        scene.server.when(INSERT).then(gate, as_usual())
        old = scene.only()
        before = scene.links[0].number
        async with callers(scene) as all_of_them:
            writes = [all_of_them.write(number, LONG) for number in range(storm)]
            await scene.received(storm)
            assert scene.session.stats() == (1, storm, 0, 0)
            took = await seconds_of([caller.cancel for caller in writes], all_of_them.ended())
            # The loop's own part is most of it on Trio, and more than a second on a slow machine.
            assert took <= max(storm / STORM, 3 * await seconds_of_the_loop(scene, all_of_them, storm))
        assert all(caller.abandoned and not caller.done for caller in writes)
        replaced = max_orphans < storm
        assert (old.state.value == "closed") == replaced
        if not replaced:
            assert len(old.orphans) == storm
            assert len(free_ids(old)) == MAX_IN_FLIGHT - storm
            scene.server.call(gate.open)
            await scene.until(lambda: not old.orphans)
        scene.server.rules.clear()
        following = [scene.read(number, LONG) for number in range(storm)]
        for call in following:
            assert (await call.wait()).value == call.token
        assert scene.server.log.count(INSERT) == storm
        assert len({entry.connection for entry in scene.server.log.find(SELECT)} - {before}) == int(replaced)

    run(loop, row, max_in_flight=MAX_IN_FLIGHT, max_orphans=max_orphans)


async def seconds_of_the_loop(scene: Scene, group: Callers, count: int) -> float:
    """Return how long the loop itself takes to cancel as many tasks that wait for nothing."""
    waiting: set[object] = set()

    async def wait() -> None:
        waiting.add(me := object())
        try:
            await scene.session._context.reactor.waiter(nothing).wait()
        finally:
            waiting.remove(me)

    cancels = [group.start(wait) for _ in range(count)]
    await scene.until(lambda: len(waiting) == count)
    return await seconds_of(cancels, scene.until(lambda: not waiting))


async def seconds_of(cancels: list[Callable[[], object]], ended: Awaitable[None]) -> float:
    """Return how long it takes to cancel tasks; the time of this machine's other work is not counted."""
    began = time.thread_time()
    for cancel in cancels:
        cancel()
    await ended
    return time.thread_time() - began


# --- The echo ------------------------------------------------------------------------------------------------

AT_A_TIME, AT_ONCE = 1000, 40
LATEST = 0.1
"""Seconds that an answer takes at most."""


@ON_SOCKETS
@pytest.mark.parametrize("requests", [3_000, pytest.param(20_000, marks=pytest.mark.long)])
def test_echo_on_sockets(loop: str, requests: int) -> None:
    """Every answer that is delivered is its own, whoever else was cancelled or ran out of time meanwhile."""

    async def row(scene: Scene) -> None:
        draw = random.Random(7)
        scene.server.when(SELECT).then(late_by_chance(1, LATEST))
        connection = scene.only()
        for start in range(0, requests, AT_A_TIME):
            async with callers(scene) as group:
                for token in range(start, start + AT_A_TIME):
                    group.read(token, draw.uniform(0.005, LATEST) if draw.random() < 0.25 else LONG)
                await group.begun()
                for _ in range(4):
                    waiting = [caller for caller in group.all if not caller.over]
                    for caller in draw.sample(waiting, min(AT_ONCE, len(waiting))):
                        caller.cancel()
                    await scene.session._context.reactor.sleep(LATEST / 5)
        served = [call for call in scene.calls if call.done and call.succeeded]
        assert all(call.value == call.token for call in served)
        timed_out = [call for call in scene.calls if call.done and not call.succeeded]
        assert all(isinstance(call.error, errors.RequestTimeout) for call in timed_out)
        cancelled = [call for call in scene.calls if call.abandoned]
        assert len(served) + len(timed_out) + len(cancelled) == requests
        # On a slow machine most are over before they can be cancelled, but for the first ones.
        assert len(cancelled) >= AT_ONCE * requests / AT_A_TIME
        assert timed_out
        assert scene.only() is connection

    run(loop, row, max_orphans=2048)
