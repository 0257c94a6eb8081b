"""Bytes that are no valid message: refused before they cost anything, and never taken for an answer."""

from __future__ import annotations

import logging
import re
import struct

import lz4.block
import pytest

from tests.engine import wire
from tests.faults.invariants import heal, peak, run
from tests.faults.scene import EVERYWHERE, INSERT, SELECT, VERSIONS, Scene
from triocql import errors
from triocql.testing.server import (
    AnyStep,
    Gate,
    Opcode,
    as_usual,
    bad_crc,
    frame,
    header,
    no_response,
    raw,
    rows,
    small_segments,
)

FROM_V3 = pytest.mark.parametrize("version", [3, 4, 5])
SECRET = "row-data-4711"
MIB = 1024 * 1024


def tells_no_data(error: Exception) -> None:
    """Check that an error shows no more than a few bytes of what came, and nothing of a row."""
    text = f"{error} {error!r}"
    assert SECRET not in text
    assert SECRET.encode().hex(" ") not in text
    assert all(len(dump.split()) <= 64 for dump in re.findall(r"[0-9a-f]{2}(?: [0-9a-f]{2})+", text))


async def ends_the_connection(scene: Scene, *steps: AnyStep, cause: type[Exception] | None = None) -> str:
    """Answer one request by these steps: the connection has to end, with all that is asked of it. Returns why."""
    scene.server.when(INSERT).then(no_response())
    scene.server.when(SELECT, times=1).then(*steps)
    waiting = [scene.write(number) for number in range(3)]
    old = scene.only()
    call = await scene.read(100, idempotent=False).wait()
    assert isinstance(call.error, (errors.ConnectionLost, errors.ProtocolError))
    assert call.error.maybe_executed
    assert isinstance(old.error, cause or errors.ProtocolError)
    assert call.took < 20.0 if scene.virtual else True
    for other in waiting:
        error = await scene.failed(other, errors.ConnectionLost)
        assert error.__cause__ is old.error
    assert old.state.value == "closed"
    for error in (old.error, call.error, *(other.error for other in waiting)):
        tells_no_data(error)
    return str(old.error)


# --- S14, S15 ------------------------------------------------------------------------------------------------


@EVERYWHERE
@VERSIONS
@pytest.mark.parametrize("opcode", [0x33, 0xFF, Opcode.QUERY, Opcode.STARTUP, Opcode.SUPPORTED])
def test_s14_opcode_that_is_none_of_an_answer(
    loop: str, version: int, opcode: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def row(scene: Scene) -> None:
        reason = await ends_the_connection(scene, rows({"v": "text"}, [[SECRET]]), header(opcode=opcode))
        assert f"opcode {opcode:#04x}" in reason
        assert len(reason) < 200

    with caplog.at_level(logging.INFO):
        run(loop, row, server={"versions": (version,)})
    assert SECRET not in caplog.text


@EVERYWHERE
@pytest.mark.parametrize(
    ("version", "byte"), [*((5, byte) for byte in (0x05, 0x84, 0x04, 0, 0xFF)), (4, 0x04), (4, 0x85), (4, 0)]
)
def test_s14_version_byte_of_another_direction_or_protocol(
    loop: str, version: int, byte: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def row(scene: Scene) -> None:
        reason = await ends_the_connection(scene, rows({"v": "text"}, [[SECRET]]), header(version=byte))
        assert f"{byte:#04x}" in reason
        assert len(reason) < 200

    with caplog.at_level(logging.INFO):
        run(loop, row, server={"versions": (version,)})
    assert SECRET not in caplog.text


def _rows(flags: int = 1, type_id: int = 9, columns: int = 1) -> bytes:
    """Return a result of one row of one column."""
    described = wire.string("ks") + wire.string("t") + wire.string("v") + struct.pack(">H", type_id)
    numbers = struct.pack(">iIi", 2, flags, columns)
    return numbers + described + struct.pack(">iii", 1, 4, 7)


@FROM_V3
@pytest.mark.parametrize(
    "body",
    [
        struct.pack(">i", 0x99),
        struct.pack(">i", -1),
        b"",
        _rows(type_id=0x7777),
        _rows(flags=0x81),
        _rows(flags=0x80000001),
        _rows(columns=-1),
        _rows(columns=1000),
        _rows()[:-1],
    ],
    ids=["kind", "negative kind", "empty", "type", "flag", "high flag", "columns", "many", "short"],
)
def test_s15_result_that_cannot_be_read(version: int, body: bytes) -> None:
    async def row(scene: Scene) -> None:
        gate = Gate()
        scene.server.when(INSERT).then(gate, as_usual())
        scene.server.when("SELECT broken").then(frame(Opcode.RESULT, body))
        connection, waiting = scene.only(), scene.write(1)
        with pytest.raises(errors.ProtocolError) as info:
            await (await scene.session.execute("SELECT broken")).all()
        assert info.value.maybe_executed or isinstance(info.value, errors.DecodeError)
        gate.open()
        assert (await waiting.wait()).succeeded
        assert scene.only() is connection

    run("simulated", row, server={"versions": (version,)})


@FROM_V3
@pytest.mark.parametrize("flags", [0x20, 0x80])
def test_s15_flags_of_a_frame_that_nobody_knows(version: int, flags: int) -> None:
    async def row(scene: Scene) -> None:
        connection = scene.only()
        scene.server.when(SELECT, times=1).then(as_usual(), header(flags=flags))
        call = await scene.read(1, idempotent=False).wait()
        assert isinstance(call.error, errors.ProtocolError)
        assert scene.only() is connection

    run("simulated", row, server={"versions": (version,)})


# --- S22 -----------------------------------------------------------------------------------------------------

BODY = _rows() + bytes(200)
PACKED = lz4.block.compress(BODY, store_size=False)


def _sized(size: int, block: bytes) -> bytes:
    return struct.pack(">I", size) + block


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    "body",
    [
        _sized(len(BODY), PACKED[:-3]),
        _sized(len(BODY) + 1, PACKED),
        _sized(len(BODY) - 1, PACKED),
        _sized(2**31 - 1, bytes(20)),
        _sized(2**32 - 1, bytes(20)),
        b"\0\0",
        b"",
    ],
    ids=["truncated", "too long", "too short", "2 GiB", "4 GiB", "no size", "empty"],
)
def test_s22_compressed_body_that_is_not_valid(version: int, body: bytes) -> None:
    async def row(scene: Scene) -> None:
        await ends_the_connection(scene, frame(Opcode.RESULT, body, flags=0x01))

    with peak(30 * MIB):
        run("simulated", row, server={"versions": (version,)}, compression="lz4")


@pytest.mark.parametrize(("version", "compression"), [(3, None), (4, None), (5, None), (5, "lz4")])
def test_s22_compressed_flag_that_was_not_agreed_on(version: int, compression: str | None) -> None:
    """In v5 it never is: segments are compressed, not frames."""

    async def row(scene: Scene) -> None:
        await ends_the_connection(scene, frame(Opcode.RESULT, _sized(len(BODY), PACKED), flags=0x01))

    run("simulated", row, server={"versions": (version,)}, compression=compression)


@pytest.mark.parametrize(
    ("payload", "plain"),
    [(PACKED[:-3], len(BODY)), (PACKED, len(BODY) + 1), (PACKED, len(BODY) - 1), (bytes(20), 2**17 - 1)],
    ids=["truncated", "too long", "too short", "longest"],
)
def test_s22_compressed_segment_that_is_not_valid(payload: bytes, plain: int) -> None:
    async def row(scene: Scene) -> None:
        await ends_the_connection(scene, raw(wire.compressed_segment(payload, plain)))

    run("simulated", row, server={"versions": (5,)}, compression="lz4")


# --- S23 -----------------------------------------------------------------------------------------------------

COMPRESSION = pytest.mark.parametrize("compression", [None, "lz4"])


@EVERYWHERE
@COMPRESSION
@pytest.mark.parametrize("of", ["header", "payload"])
def test_s23_wrong_checksum(loop: str, compression: str | None, of: str) -> None:
    async def row(scene: Scene) -> None:
        reason = await ends_the_connection(scene, as_usual(), bad_crc(of), cause=errors.ChecksumError)  # type: ignore[arg-type]
        assert of in reason

    run(loop, row, server={"versions": (5,)}, compression=compression)


def test_s23_empty_segments_say_nothing() -> None:
    empty = wire.segment(b"", whole=True)

    async def row(scene: Scene) -> None:
        connection = scene.only()
        scene.server.when(SELECT).then(raw(empty * 3), as_usual(), raw(empty))
        for number in range(3):
            assert (await scene.read(number).wait()).value == number
        assert scene.only() is connection

    run("simulated", row, server={"versions": (5,)})


def test_s23_chain_of_segments_that_is_never_completed() -> None:
    started = wire.frame(5, 1, Opcode.RESULT, bytes(400_000))
    chain = b"".join(wire.segment(started[i : i + 100_000], whole=False) for i in (0, 100_000, 200_000))

    async def row(scene: Scene) -> None:
        scene.server.when(opcode=Opcode.OPTIONS).then(no_response())
        scene.server.when(SELECT, times=1).then(raw(chain))
        dying, call = scene.only(), scene.read(1, timeout=2.0)
        await scene.failed(call, errors.RequestTimeout)
        await scene.sleep(36)
        assert dying.state.value == "closed"
        assert isinstance(dying.error, errors.ConnectionLost)
        heal(scene)
        await scene.sleep(10)

    run("simulated", row, server={"versions": (5,)})


def test_s23_chain_of_segments_is_bounded_by_the_longest_frame() -> None:
    async def row(scene: Scene) -> None:
        endless = wire.frame(5, 1, Opcode.RESULT, bytes(MIB + 1))[:90_000]
        step = raw(wire.segment(endless, whole=False))
        await ends_the_connection(scene, step, cause=errors.LimitExceeded)

    run("simulated", row, server={"versions": (5,)}, max_frame=MIB)


@EVERYWHERE
@COMPRESSION
def test_s23_two_frames_in_one_segment(loop: str, compression: str | None) -> None:
    async def row(scene: Scene) -> None:
        (link,) = scene.links
        scene.server.when(SELECT).then(no_response())
        calls = [scene.read(number) for number in range(2)]
        await scene.received(2)
        frames = b"".join(
            wire.frame(5, entry.request.stream, Opcode.RESULT, _answer(entry.values[0]))
            for entry in scene.server.log
        )
        if compression is None:
            segment = wire.segment(frames, whole=True)
        else:
            segment = wire.compressed_segment(lz4.block.compress(frames, store_size=False), len(frames))
        scene.server.call(lambda: link.send_raw(segment))
        for call in calls:
            assert (await call.wait()).value == call.token

    run(loop, row, server={"versions": (5,)}, compression=compression)


def _answer(token: int) -> bytes:
    return wire.rows((("k", "int"),), [[wire.integer(token)]], describe=False)


@EVERYWHERE
@COMPRESSION
def test_s23_several_frames_a_segment(loop: str, compression: str | None) -> None:
    async def row(scene: Scene) -> None:
        gate = Gate()
        scene.server.when(SELECT).then(gate, as_usual())
        calls = [scene.read(number) for number in range(50)]
        await scene.until(lambda: len(gate.waiting) == 50)
        scene.server.call(gate.open)
        for call in calls:
            assert (await call.wait()).value == call.token

    run(loop, row, server={"versions": (5,)}, compression=compression)


@EVERYWHERE
@COMPRESSION
@pytest.mark.parametrize("size", [1, 8, 9, 20])
def test_s23_frame_across_segments(loop: str, compression: str | None, size: int) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(SELECT).then(as_usual(), small_segments(size))
        for number in range(5):
            assert (await scene.read(number).wait()).value == number

    run(loop, row, server={"versions": (5,)}, compression=compression)
