from __future__ import annotations

import itertools
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.memory import traced
from tests.protocol.implementation import feed, halves
from triocql.errors import LimitExceeded, ProtocolError, UsageError
from triocql.protocol.constants import MAX_FRAME
from triocql.protocol.frames import MIN_COMPRESSED, Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.protocol.implementation import Implementation

frames = st.lists(
    st.tuples(
        st.integers(-1, 32767), st.sampled_from([0, 2, 8, 14]), st.integers(0, 16), st.binary(max_size=40)
    ),
    max_size=8,
)
both = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_header_says_version_flags_stream_opcode_and_length(impl: Implementation) -> None:
    assert impl.encode_frames(4, [(0x0102, 0x0A, 0x07, b"abc")]) == b"\x04\x0a\x01\x02\x07\0\0\0\x03abc"
    assert impl.encode_frames(4, []) == b""


@both
@given(sent=frames)
def test_what_is_encoded_is_decoded(impl: Implementation, sent: list[Frame]) -> None:
    assert impl.FrameDecoder(4).feed(impl.encode_frames(4, sent)) == sent


@both
@given(sent=frames, cuts=st.lists(st.integers(0, 400), max_size=6))
def test_chunks_do_not_matter(impl: Implementation, sent: list[Frame], cuts: list[int]) -> None:
    data = impl.encode_frames(4, sent)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    decoder = impl.FrameDecoder(4)
    assert feed(decoder, *(data[a:b] for a, b in itertools.pairwise(edges))) == sent
    assert not decoder.mid_frame


def test_every_split_point(impl: Implementation) -> None:
    sent: list[Frame] = [(1, 0, 8, b"first"), (-1, 0, 12, b""), (2, 2, 8, b"x" * 300)]
    for chunks in halves(impl.encode_frames(0x84, sent)):
        assert feed(impl.FrameDecoder(0x84), *chunks) == sent


def test_any_kind_of_buffer_is_taken(impl: Implementation) -> None:
    data = impl.encode_frames(0x84, [(1, 0, 8, b"body")])
    for buffer in (data, bytearray(data), memoryview(data)):
        assert impl.FrameDecoder(0x84).feed(buffer) == [(1, 0, 8, b"body")]


def test_a_body_outlives_the_buffer_it_came_in(impl: Implementation) -> None:
    data = bytearray(impl.encode_frames(0x84, [(1, 0, 8, b"body"), (2, 0, 8, b"rest")]))
    decoder = impl.FrameDecoder(0x84)
    decoded = decoder.feed(memoryview(data)[:-2])
    data[:] = bytes(len(data))
    assert decoded == [(1, 0, 8, b"body")]
    assert decoder.feed(b"st") == [(2, 0, 8, b"rest")]
    assert type(decoded[0][3]) is bytes


def test_progress_is_told(impl: Implementation) -> None:
    decoder = impl.FrameDecoder(0x84)
    data = impl.encode_frames(0x84, [(1, 0, 8, b"body")])
    seen = []
    for byte in data:
        decoder.feed(bytes([byte]))
        seen.append((decoder.mid_frame, decoder.frame_size_pending))
    assert seen == [(True, 0)] * 8 + [(True, 13)] * 4 + [(False, 0)]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"HTTP/1.1 400 Bad Request", "HTTP"),
        (b"H", "HTTP"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "TLS"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "TLS"),
        (b"\x15", "TLS"),
        (b"\x04\x00\x00\x00\x08\x00\x00\x00\x00", "wrong direction"),
        (b"\x83\x00\x00\x00\x08\x00\x00\x00\x00", "another protocol version"),
        (b"SSH-2.0-OpenSSH", "no frame of the native protocol"),
        (b"\x84\x00\x00\x00\x08\xff\xff\xff\xff", "negative length"),
    ],
)
def test_bad_headers_are_refused_at_every_split(impl: Implementation, data: bytes, text: str) -> None:
    for chunks in halves(data):
        with pytest.raises(ProtocolError, match=text):
            feed(impl.FrameDecoder(0x84), *chunks)


def test_after_a_header_that_was_refused_there_is_no_frame_of_it(impl: Implementation) -> None:
    data = b"\x84\x00\x00\x00\x08\xff\xff\xff\xff"
    for first, second in halves(data):
        decoder = impl.FrameDecoder(0x84)
        for chunk in (first, second):
            with suppress(ProtocolError):
                assert decoder.feed(chunk) == []
        assert decoder.feed(b"") == []


@pytest.mark.parametrize("length", [1025, 256 * 1024 * 1024 + 1, 2**31 - 1])
def test_a_length_over_the_limit_is_refused_by_its_header(impl: Implementation, length: int) -> None:
    header = b"\x84\x00\x00\x01\x08" + length.to_bytes(4, "big")
    with traced() as memory, pytest.raises(LimitExceeded, match=f"{length} bytes; the limit is 1024"):
        impl.FrameDecoder(0x84, 1024).feed(header)
    assert memory.highest < 1_000_000
    assert impl.FrameDecoder(0x84, 1024).feed(b"\x84\0\0\1\x08\0\0\4\0" + bytes(1024))


def test_a_long_frame_in_many_chunks_is_linear(impl: Implementation) -> None:
    size, chunk = 24 * 1024 * 1024, bytes(4096)
    decoder = impl.FrameDecoder(0x84)
    decoder.feed(b"\x84\0\0\1\x08" + size.to_bytes(4, "big"))
    with traced() as memory:
        for _ in range(size // len(chunk) - 1):
            assert decoder.feed(chunk) == []
        assert len(decoder.feed(chunk)[0][3]) == size
    assert memory.highest < 2.5 * size


def test_long_bodies_are_compressed_if_that_helps(impl: Implementation) -> None:
    def halve(body: bytes) -> bytes:
        return body[: len(body) // 2]

    short, long = b"x" * (MIN_COMPRESSED - 1), b"x" * MIN_COMPRESSED
    assert impl.encode_frames(4, [(0, 0, 7, short)], halve)[1] == 0
    assert (
        impl.encode_frames(4, [(0, 2, 7, long)], halve) == b"\x04\x03\0\0\x07\0\0\0" + bytes([64]) + long[:64]
    )
    assert impl.encode_frames(4, [(0, 0, 7, long)], lambda body: body) == b"\x04\0\0\0\x07\0\0\0\x80" + long


def test_compressed_bodies_are_decompressed_and_the_flag_is_gone(impl: Implementation) -> None:
    decoder = impl.FrameDecoder(0x84, 1024, lambda body: body * 2)
    assert decoder.feed(impl.encode_frames(0x84, [(1, 3, 8, b"ab"), (2, 0, 8, b"cd")])) == [
        (1, 2, 8, b"abab"),
        (2, 0, 8, b"cd"),
    ]


def test_compression_that_was_not_agreed_on_is_refused(impl: Implementation) -> None:
    with pytest.raises(ProtocolError, match="no compression was agreed on"):
        impl.FrameDecoder(0x84).feed(impl.encode_frames(0x84, [(1, 1, 8, b"ab")]))


def test_a_frame_has_to_be_a_tuple_of_four_with_bytes(impl: Implementation) -> None:
    for bad in ((1, 0, 8), (1, 0, 8, "text"), (1, 0, 8, None)):
        with pytest.raises((TypeError, IndexError, ValueError)):
            impl.encode_frames(4, [bad])  # type: ignore[list-item]


@pytest.mark.parametrize("compress", [None, bytes], ids=["plain", "compressed"])
def test_a_body_that_is_longer_than_frames_can_be_is_not_sent(
    impl: Implementation, compress: Callable[[bytes], bytes] | None
) -> None:
    body = bytes(MAX_FRAME + 1)  # nobody touches it: it takes no memory
    with pytest.raises(UsageError, match="268,435,457 bytes; the protocol allows 268,435,456 in one frame"):
        impl.encode_frames(4, [(1, 0, 7, b"short"), (2, 0, 7, body)], compress)
    with pytest.raises(UsageError, match="268,435,457 bytes"):
        impl.encode_segments(5, [(1, 0, 7, b"short"), (2, 0, 7, body)])


def test_a_long_frame_takes_memory_as_it_comes(impl: Implementation) -> None:
    size = 20_000_000
    whole = impl.encode_frames(0x84, [(3, 2, 8, bytes(range(250)) * (size // 250))])
    decoder = impl.FrameDecoder(0x84)
    with traced() as memory:
        assert decoder.feed(whole[:100]) == []
        assert memory.now < size / 4
    assert decoder.feed(whole[100 : size // 2]) == []
    assert decoder.feed(whole[size // 2 :] + whole[:7]) == [(3, 2, 8, whole[9:])]
    assert decoder.mid_frame


def test_the_longest_length_of_all_is_waited_for(impl: Implementation) -> None:
    decoder = impl.FrameDecoder(0x84, 2**31 - 1)
    assert feed(decoder, b"\x84\x00\x00\x01\x08\x7f\xff\xff\xff", b"a", b"b") == []
    assert decoder.frame_size_pending == 2**31 + 8
