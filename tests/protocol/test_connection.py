from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.implementation import halves
from triocql.errors import OptionError, ProtocolError
from triocql.protocol.compression import Algorithm, block_compression, frame_compression
from triocql.protocol.constants import MAX_FRAME, Opcode
from triocql.protocol.framing import Framing

if TYPE_CHECKING:
    from tests.protocol.implementation import Implementation
    from triocql.protocol.frames import Frame

pytestmark = pytest.mark.usefixtures("impl")
cases = pytest.mark.parametrize(
    ("version", "algorithm"),
    [(3, None), (3, "lz4"), (3, "snappy"), (4, None), (4, "lz4"), (4, "snappy"), (5, None), (5, "lz4")],
)
LATER: list[Frame] = [(1, 0, 8, b"answer" * 100), (-1, 0, 12, b"event"), (2, 0, 8, b"")]


def connected(version: int, algorithm: Algorithm | None = None) -> Framing:
    wire = Framing(version)
    wire.use_compression(algorithm)
    return wire


def server_bytes(impl: Implementation, version: int, algorithm: Algorithm | None, answer: Opcode) -> bytes:
    """What a server sends: SUPPORTED, the answer to STARTUP, and at once three more frames."""
    greeting = impl.encode_frames(version | 0x80, [(0, 0, Opcode.SUPPORTED, b"\0\0"), (0, 0, answer, b"")])
    if version >= 5:
        return greeting + impl.encode_segments(0x85, LATER, block_compression() if algorithm else None)
    compress = frame_compression(algorithm, MAX_FRAME).compress if algorithm else None
    return greeting + impl.encode_frames(version | 0x80, LATER, compress)


@cases
@pytest.mark.parametrize("answer", [Opcode.READY, Opcode.AUTHENTICATE])
def test_the_answer_to_startup_switches_over_wherever_the_chunks_end(
    impl: Implementation, version: int, algorithm: Algorithm | None, answer: Opcode
) -> None:
    expected = [(0, 0, Opcode.SUPPORTED, b"\0\0"), (0, 0, answer, b""), *LATER]
    for first, second in halves(server_bytes(impl, version, algorithm, answer)):
        wire = connected(version, algorithm)
        assert wire.receive(first) + wire.receive(second) == expected
        assert wire.established
        assert not wire.mid_frame


@cases
def test_the_first_messages_are_sent_plain_the_later_ones_as_agreed(
    impl: Implementation, version: int, algorithm: Algorithm | None
) -> None:
    wire = connected(version, algorithm)
    startup: Frame = (0, 0, Opcode.STARTUP, b"x" * 400)
    assert wire.encode([startup]) == impl.encode_frames(version, [startup])
    wire.receive(impl.encode_frames(version | 0x80, [(0, 0, Opcode.READY, b"")]))
    query: Frame = (1, 0, Opcode.QUERY, b"x" * 400)
    sent = wire.encode([query, query])
    if version >= 5:
        assert sent == impl.encode_segments(5, [query, query], block_compression() if algorithm else None)
    else:
        compress = frame_compression(algorithm, MAX_FRAME).compress if algorithm else None
        assert sent == impl.encode_frames(version, [query, query], compress)
    assert (len(sent) < 400) == (algorithm is not None)


def test_the_answer_to_startup_may_be_compressed(impl: Implementation) -> None:
    name = b"org.apache.cassandra.auth.PasswordAuthenticator" * 4
    compress = frame_compression("lz4", MAX_FRAME).compress
    wire = connected(4, "lz4")
    sent = impl.encode_frames(0x84, [(0, 0, Opcode.AUTHENTICATE, name)], compress)
    assert sent[1] == 1
    assert wire.receive(sent) == [(0, 0, Opcode.AUTHENTICATE, name)]
    with pytest.raises(ProtocolError, match="no compression was agreed on"):
        connected(4).receive(sent)


@pytest.mark.parametrize(("version", "other"), [(5, 3), (5, 4), (4, 5), (3, 5), (5, 6), (4, 7), (3, 15)])
def test_an_error_of_another_version_is_let_through_before_the_answer_to_startup(
    impl: Implementation, version: int, other: int
) -> None:
    error = impl.encode_frames(other | 0x80, [(0, 0, Opcode.ERROR, b"none of this here")])
    for first, second in halves(error):
        wire = Framing(version)
        assert wire.receive(first) + wire.receive(second) == [(0, 0, Opcode.ERROR, b"none of this here")]
    wire = Framing(version)
    wire.receive(impl.encode_frames(version | 0x80, [(0, 0, Opcode.READY, b"")]))
    with pytest.raises(ProtocolError):
        wire.receive(error)


def test_nothing_else_of_another_version_is(impl: Implementation) -> None:
    for version, opcode in (
        (4, Opcode.SUPPORTED),
        (4, Opcode.READY),
        (6, Opcode.READY),
        (2, 0),
        (16, 0),
        (127, 0),
    ):
        with pytest.raises(ProtocolError, match="version byte 0x85"):
            Framing(5).receive(impl.encode_frames(version | 0x80, [(0, 0, opcode, b"")]))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "TLS"),
        (b"\x85\0\0\0\x06\x7f\xff\xff\xff", "limit"),
        (b"\x85\0\0\0\x06\x80\0\0\0", "negative"),
        (b"\x05\0\0\0\x06\0\0\0\0", "wrong direction"),
    ],
)
def test_what_is_no_greeting_is_refused(data: bytes, text: str) -> None:
    for first, second in halves(data):
        wire = Framing(5)
        with pytest.raises(ProtocolError, match=text):
            wire.receive(first) + wire.receive(second)


def test_progress_is_told_before_and_after_the_answer_to_startup(impl: Implementation) -> None:
    wire = Framing(4)
    data = impl.encode_frames(0x84, [(0, 0, Opcode.READY, b"body")])
    for _ in range(2):
        assert (wire.mid_frame, wire.frame_size_pending) == (False, 0)
        wire.receive(data[:8])
        assert (wire.mid_frame, wire.frame_size_pending) == (True, 0)
        wire.receive(data[8:9])
        assert (wire.mid_frame, wire.frame_size_pending) == (True, 13)
        wire.receive(data[9:])
    assert not wire.mid_frame


def test_versions_and_compressions_that_do_not_exist() -> None:
    with pytest.raises(OptionError, match="protocol version 2"):
        Framing(2)
    with pytest.raises(OptionError, match="'zip'"):
        Framing(4).use_compression("zip")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="set compression='lz4', or protocol_version=4"):
        Framing(5).use_compression("snappy")
