"""All golden bytes, fed in all ways: whatever the chunks, the frames are the same; damaged, they do no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocol.implementation import GOLDEN, Implementation, feed, halves
from triocql.errors import ProtocolError
from triocql.protocol.compression import block_compression
from triocql.protocol.constants import Opcode
from triocql.protocol.framing import Framing
from triocql.protocol.responses import RowsHeader, decode_message, split_extras

if TYPE_CHECKING:
    from pathlib import Path

    from triocql.protocol.frames import Frame

MESSAGES = sorted(
    path
    for path in GOLDEN.glob("*/v[345]/*.bin")
    if not path.name.startswith(("request-", "paging-state", "error-version-"))
)
STREAMS = sorted(GOLDEN.glob("streams/*.bin"))
with_both = pytest.mark.usefixtures("impl")
both = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def version_of(path: Path) -> int:
    return int(path.read_bytes()[0] & 0x7F)


def frame_of(data: bytes) -> Frame:
    return int.from_bytes(data[2:4], "big", signed=True), data[1], data[4], data[9:]


def established(version: int, algorithm: str | None = None) -> Framing:
    wire = Framing(version)
    wire.use_compression(algorithm)  # type: ignore[arg-type]
    wire.receive(bytes((version | 0x80, 0, 0, 0, Opcode.READY, 0, 0, 0, 0)))
    return wire


def read(version: int, frame: Frame) -> object:
    _, flags, opcode, body = frame
    _, start = split_extras(flags, body)
    return decode_message(opcode, body, start, version)


def stream_case(path: Path) -> tuple[int, str | None]:
    version, algorithm = path.stem.split("-")
    return int(version[1:]), None if algorithm == "plain" else algorithm


def test_all_are_there() -> None:
    assert len(MESSAGES) > 200
    assert len(STREAMS) == 8


@pytest.mark.parametrize("path", MESSAGES, ids=name)
def test_every_message_at_every_split_point(path: Path, impl: Implementation) -> None:
    data, version = path.read_bytes(), version_of(path)
    expected = frame_of(data)
    for chunks in halves(data):
        wire = Framing(version)
        assert [frame for chunk in chunks for frame in wire.receive(chunk)] == [expected]
        assert feed(impl.FrameDecoder(data[0]), *chunks) == [expected]
    read(version, expected)


@pytest.mark.parametrize("path", [path for path in MESSAGES if path.parent.name == "v5"], ids=name)
def test_every_message_in_a_segment_at_every_split_point(path: Path, impl: Implementation) -> None:
    frame = frame_of(path.read_bytes())
    for algorithm in (None, "lz4"):
        segment = impl.encode_segments(0x85, [frame], block_compression() if algorithm else None)
        for chunks in halves(segment):
            wire = established(5, algorithm)
            assert [got for chunk in chunks for got in wire.receive(chunk)] == [frame]


@with_both
@pytest.mark.parametrize("path", STREAMS, ids=name)
@pytest.mark.parametrize("size", [7, 1000, 65536, 1 << 20])
def test_all_that_a_node_sent_on_one_connection(path: Path, size: int) -> None:
    data = path.read_bytes()
    version, algorithm = stream_case(path)
    wire = Framing(version)
    wire.use_compression(algorithm)  # type: ignore[arg-type]
    frames = [got for start in range(0, len(data), size) for got in wire.receive(data[start : start + size])]
    opcodes = [opcode for _, _, opcode, _ in frames]
    start = [
        Opcode.SUPPORTED,
        Opcode.AUTHENTICATE,
        Opcode.AUTH_SUCCESS,
        Opcode.RESULT,
        Opcode.RESULT,
        Opcode.ERROR,
    ]
    assert opcodes[:6] == start
    assert sorted(opcodes[6:]) == [Opcode.SUPPORTED] + [Opcode.RESULT] * 38
    assert sorted(stream for stream, _, _, _ in frames[6:]) == list(range(1, 40))
    assert not wire.mid_frame
    blob = frames[4][3]
    header = read(version, frames[4])
    assert isinstance(header, RowsHeader)
    assert blob[header.rows_offset :] == (153_600).to_bytes(4, "big") + bytes(range(256)) * 600
    for frame in frames:
        read(version, frame)


@with_both
@pytest.mark.parametrize("path", [p for p in STREAMS if p.stem.endswith(("lz4", "snappy"))], ids=name)
def test_a_stream_at_every_split_point(path: Path) -> None:
    data = path.read_bytes()[:2500]
    version, algorithm = stream_case(path)
    whole = Framing(version)
    whole.use_compression(algorithm)  # type: ignore[arg-type]
    expected = whole.receive(data)
    for chunks in halves(data):
        wire = Framing(version)
        wire.use_compression(algorithm)  # type: ignore[arg-type]
        assert [got for chunk in chunks for got in wire.receive(chunk)] == expected


@pytest.mark.parametrize("path", MESSAGES, ids=name)
def test_every_truncation_of_a_body_is_valid_or_a_protocol_error(path: Path) -> None:
    data, version = path.read_bytes(), version_of(path)
    body = data[9:]
    for end in range(len(body)):
        try:
            read(version, (0, data[1], data[4], body[:end]))
        except ProtocolError:
            continue


MANY = 10 * settings().max_examples
"""More than of other properties: an example takes little time."""


@settings(max_examples=MANY)
@given(
    path=st.sampled_from(MESSAGES),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damaged_bodies_are_valid_or_a_protocol_error(path: Path, changes: list[tuple[int, int]]) -> None:
    data = path.read_bytes()
    body = bytearray(data[9:])
    for position, byte in changes:
        if body:
            body[position % len(body)] = byte
    try:
        read(version_of(path), (0, data[1], data[4], bytes(body)))
    except ProtocolError:
        return


@with_both
@both
@given(
    path=st.sampled_from([p for p in STREAMS if p.stem.endswith(("lz4", "snappy"))]),
    changes=st.lists(st.tuples(st.integers(0, 11000), st.integers(0, 255)), min_size=1, max_size=4),
    size=st.integers(1, 3000),
)
def test_damaged_streams_are_valid_or_a_protocol_error(
    path: Path, changes: list[tuple[int, int]], size: int
) -> None:
    data = bytearray(path.read_bytes())
    for position, byte in changes:
        data[position % len(data)] = byte
    version, algorithm = stream_case(path)
    wire = Framing(version)
    wire.use_compression(algorithm)  # type: ignore[arg-type]
    try:
        feed_wire(wire, [bytes(data[start : start + size]) for start in range(0, len(data), size)], version)
    except ProtocolError:
        return


def feed_wire(wire: Framing, chunks: list[bytes], version: int) -> None:
    for chunk in chunks:
        for frame in wire.receive(chunk):
            read(version, frame)


@settings(max_examples=MANY // 2)
@given(
    version=st.sampled_from([3, 4, 5]),
    opcode=st.integers(0, 20),
    flags=st.integers(0, 255),
    body=st.binary(max_size=120),
)
def test_noise_is_valid_or_a_protocol_error(version: int, opcode: int, flags: int, body: bytes) -> None:
    try:
        read(version, (0, flags, opcode, body))
    except ProtocolError:
        return
