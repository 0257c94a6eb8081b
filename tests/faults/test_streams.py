"""Stream ids: whatever a node says on them, each answer goes to its own request or to nobody."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from functools import partial

import pytest

from tests.engine.world import free_ids
from tests.faults.invariants import run
from tests.faults.scene import EVERYWHERE, INSERT, SELECT, VERSIONS, Call, Scene
from triocql import errors
from triocql.testing.server import (
    Gate,
    Opcode,
    Request,
    Step,
    as_usual,
    delay,
    duplicate,
    header,
    no_response,
    reorder,
    wrong_stream,
)
from triocql.testing.server.framing import Frame

VOID = bytes.fromhex("00000001")


async def connection_is_given_up(scene: Scene, calls: list[Call]) -> None:
    """Check that all these calls learn of a protocol error at once, and that nothing is delivered."""
    for call in calls:
        error = await scene.failed(call, errors.ConnectionLost)
        assert isinstance(error.__cause__, errors.ProtocolError)
        assert error.maybe_executed
    await scene.whole()
    assert (await scene.read(77).wait()).value == 77


@EVERYWHERE
@VERSIONS
@pytest.mark.parametrize("stream", [60, 2047, 32_767])
def test_s08_response_on_an_id_that_was_never_issued(loop: str, version: int, stream: int) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(INSERT).then(no_response())
        scene.server.when(SELECT, times=1).then(as_usual(), wrong_stream(stream))
        calls = [scene.write(number) for number in range(4)]
        await connection_is_given_up(scene, [*calls, scene.read(4, idempotent=False)])

    run(loop, row, server={"versions": (version,)})


@EVERYWHERE
@VERSIONS
@pytest.mark.parametrize("others", [0, 3])
def test_s09_response_given_twice(loop: str, version: int, others: int) -> None:
    async def row(scene: Scene) -> None:
        gate = Gate()
        scene.server.when(INSERT).then(gate, as_usual())
        old = scene.only()
        waiting = [scene.write(1 + number) for number in range(others)]
        await scene.received(others)
        scene.server.when(SELECT, times=1).then(as_usual(), duplicate())
        first = await scene.read(0, idempotent=False).wait()
        assert first.value == 0
        await connection_is_given_up(scene, waiting)
        assert old.state.value == "closed"
        assert isinstance(old.error, errors.ProtocolError)
        gate.open()

    run(loop, row, server={"versions": (version,)})


async def used_once(scene: Scene, version: int) -> tuple[int, Callable[[], None]]:
    """Have one request answered; return its stream id, and what sends the answer to it once more."""
    (link,) = scene.links
    assert (await scene.read(0).wait()).value == 0
    (entry,) = scene.server.log
    again = Frame(0x80 | version, 0, entry.request.stream, Opcode.RESULT, VOID)
    return entry.request.stream, lambda: link.send(again)


@EVERYWHERE
@VERSIONS
@pytest.mark.parametrize("between", [0, 1, 10])
def test_s09_response_given_again_before_its_id_is_taken_again(loop: str, version: int, between: int) -> None:
    """An id that was given back is the last to be taken: who comes next gets another, and not this answer."""

    async def row(scene: Scene) -> None:
        old = scene.only()
        stream, send_again = await used_once(scene, version)
        for number in range(between):
            assert (await scene.read(1 + number).wait()).value == 1 + number
        scene.server.when(INSERT).then(no_response())
        waiting = [scene.write(100 + number) for number in range(5)]
        await scene.received(1 + between + 5)
        assert stream not in old.in_flight
        scene.server.call(send_again)
        await connection_is_given_up(scene, waiting)
        assert old.state.value == "closed"

    run(loop, row, server={"versions": (version,)}, max_in_flight=64)


@EVERYWHERE
@VERSIONS
def test_s09_duplicate_for_an_id_in_use_cannot_be_told_from_its_answer(loop: str, version: int) -> None:
    """Nothing but its id says whose an answer is: the request that has the id now gets it. Its own answer is then one
    that nobody waits for, and the last that is read on this connection."""

    async def row(scene: Scene) -> None:
        old = scene.only()
        stream, send_again = await used_once(scene, version)
        gate = Gate()
        scene.server.when(INSERT).then(gate, as_usual())
        calls = [scene.write(100 + number) for number in range(8)]
        await scene.received(1 + 8)
        (position,) = [
            at
            for at, call in enumerate(calls)
            if call.execution and call.execution.attempt is old.in_flight[stream]
        ]
        scene.server.call(send_again)
        assert (await calls[position].wait()).succeeded
        assert [call.done for call in calls].count(True) == 1
        gate.open(position + 1)
        for call in calls[:position]:
            assert (await call.wait()).succeeded
        await scene.until(
            lambda: old.state.value == "closed"
        )  # if it was the last call, nobody else would tell
        await connection_is_given_up(scene, calls[position + 1 :])
        assert isinstance(old.error, errors.ProtocolError)

    run(loop, row, server={"versions": (version,)}, max_in_flight=8)


@EVERYWHERE
@VERSIONS
@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("requests", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_s10_responses_in_any_order(loop: str, version: int, seed: int | None, requests: int) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(SELECT).then(as_usual(), reorder(100, seed=seed))
        for start in range(0, requests, 1000):
            calls = [scene.read(start + number) for number in range(1000)]
            for call in calls:
                assert (await call.wait()).value == call.token
        assert len(scene.server.log) == requests

    run(loop, row, server={"versions": (version,)})


@pytest.mark.parametrize("idempotent", [True, False])
def test_s11_late_response_to_a_request_that_timed_out(idempotent: bool) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(SELECT, times=3).then(delay(3.0), as_usual())
        connection = scene.only()
        late = [scene.read(number, timeout=1.0, idempotent=idempotent) for number in range(3)]
        await scene.received(3)
        before = sorted(free_ids(connection))
        for call in late:
            assert (await scene.failed(call, errors.RequestTimeout)).written
        assert len(connection.orphans) == 3
        # Who asks meanwhile gets other ids.
        assert (await scene.read(10).wait()).value == 10
        assert sorted(free_ids(connection)) == before
        await scene.sleep(2.1)
        assert not connection.orphans
        assert sorted(free_ids(connection)) == list(range(8))
        assert all(len(call.outcomes) == 1 for call in late)
        assert scene.only() is connection

    run("simulated", row, max_in_flight=8)


def test_s12_responses_that_never_come() -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(INSERT).then(no_response())
        old = scene.only()
        before = scene.links[0].number
        lost = [scene.write(number, timeout=1.0) for number in range(9)]
        for call in lost[:8]:
            assert call.deadline == lost[0].deadline
        served = [scene.read(100 + number) for number in range(5)]
        for call in served:
            assert (await call.wait()).value == call.token
        for call in lost:
            await scene.failed(call, errors.RequestTimeout)
        # Past the threshold, nothing more is asked of it; it ends, another one serves.
        scene.server.log.clear()
        for number in range(200):
            assert (await scene.read(200 + number, timeout=2.0).wait()).value == 200 + number
        assert old.state.value == "closed"
        (following,) = {entry.connection for entry in scene.server.log}
        assert following != before
        assert all(call.took < 1.1 for call in scene.calls)

    run("simulated", row, max_in_flight=64, max_orphans=8)


def test_s12_up_to_the_threshold_nothing_is_replaced() -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(INSERT).then(no_response())
        connection = scene.only()
        lost = [scene.write(number, timeout=1.0) for number in range(8)]
        for call in lost:
            await scene.failed(call, errors.RequestTimeout)
        await scene.sleep(10)
        assert scene.only() is connection
        assert len(connection.orphans) == 8

    run("simulated", row, max_in_flight=64, max_orphans=8)


def test_s12_a_connection_of_nothing_but_orphans_is_replaced() -> None:
    """Even below the threshold: it can take nothing, and be asked for no sign of life."""

    async def row(scene: Scene) -> None:
        scene.server.when(INSERT).then(no_response())
        old = scene.only()
        for call in [scene.write(number, timeout=1.0) for number in range(8)]:
            await scene.failed(call, errors.RequestTimeout)
        assert not old.free
        await scene.sleep(40)
        assert old.state.value == "closed"

    run("simulated", row, max_in_flight=8, max_orphans=100)


@EVERYWHERE
@VERSIONS
def test_s13_event_that_nobody_subscribed_to(
    loop: str, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def row(scene: Scene) -> None:
        (link,) = scene.links
        for body in (b"\x00\x09SOMETHING\x00\x00", b"", b"\x00\x09SOMETHING\x00\x00"):
            scene.server.call(partial(link.send_event, body))
        assert (await scene.read(1).wait()).value == 1
        await scene.until(lambda: scene.only().events == 3)
        assert scene.links == [link]
        # Once a connection, not once an event.
        (told,) = [
            record
            for record in caplog.records
            if record.name == "triocql.engine.routing.router" and record.levelno >= logging.WARNING
        ]
        assert told.levelno == logging.WARNING
        assert told.message == f"{scene.only().name} sends events that it was not asked for; they are ignored"

    run(loop, row, server={"versions": (version,)})


@EVERYWHERE
@VERSIONS
@pytest.mark.parametrize(("stream", "opcode"), [(-1, None), (-2, None), (-2, Opcode.EVENT), (-32_768, None)])
def test_s13_negative_stream_id(loop: str, version: int, stream: int, opcode: Opcode | None) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(INSERT, times=1).then(as_usual(), header(stream=stream, opcode=opcode))
        await connection_is_given_up(scene, [scene.write(1)])

    run(loop, row, server={"versions": (version,)})


def late_by_chance(seed: int, longest: float) -> Callable[[Request], list[Step]]:
    """Return what answers after a delay that is drawn anew for each request."""
    draw = random.Random(seed)
    return lambda _: [delay(draw.uniform(0.0, longest)), as_usual()]


@VERSIONS
@pytest.mark.parametrize("requests", [6_000, pytest.param(20_000, marks=pytest.mark.long)])
def test_echo_with_a_third_timing_out_or_cancelled(version: int, requests: int) -> None:
    """Every answer that is delivered is its own, and nothing is left of the others."""

    async def row(scene: Scene) -> None:
        draw = random.Random(7)
        scene.server.when(SELECT).then(late_by_chance(1, 1.0))
        served = timed_out = cancelled = 0
        for start in range(0, requests, 400):
            calls = [
                scene.read(token, timeout=draw.uniform(0.05, 0.5) if draw.random() < 0.25 else 10.0)
                for token in range(start, start + 400)
            ]
            await scene.sleep(0.3)
            for call in draw.sample([call for call in calls if not call.done], 50):
                call.abandon()
                cancelled += 1
            for call in calls:
                if call.abandoned:
                    assert not call.done
                elif (await call.wait()).succeeded:
                    assert call.value == call.token
                    served += 1
                else:
                    assert isinstance(call.error, errors.RequestTimeout)
                    timed_out += 1
        assert served + timed_out + cancelled == requests
        assert 0.25 < (timed_out + cancelled) / requests < 0.35

    run("simulated", row, server={"versions": (version,)}, max_in_flight=512, max_orphans=256)
