from __future__ import annotations

import random
from itertools import chain
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocol.implementation import feed, halves
from triocql._impl import compiled
from triocql.errors import ChecksumError, LimitExceeded, ProtocolError
from triocql.protocol.compression import BlockCompression, block_compression
from triocql.protocol.segments import MAX_PAYLOAD, crc24

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.protocol.implementation import Implementation
    from triocql.protocol.frames import Frame

LZ4 = block_compression()
both = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
compressions = pytest.mark.parametrize("compression", [None, LZ4], ids=["plain", "lz4"])
frames = st.lists(
    st.tuples(
        st.integers(-1, 32767),
        st.just(0),
        st.integers(0, 16),
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from([MAX_PAYLOAD - 10, MAX_PAYLOAD - 9, MAX_PAYLOAD - 8, 300_000]).map(bytes),
        ),
    ),
    max_size=5,
)


def segments(data: bytes, compression: BlockCompression | None) -> list[tuple[int, bool]]:
    """The stored length and self-contained bit of each segment."""
    found = []
    head = 3 if compression is None else 5
    while data:
        fields = int.from_bytes(data[:head], "little")
        stored = fields & MAX_PAYLOAD
        found.append((stored, bool(fields >> (17 if compression is None else 34) & 1)))
        data = data[head + 3 + stored + 4 :]
    return found


@compressions
@both
@given(sent=frames)
def test_what_is_encoded_is_decoded(
    impl: Implementation, compression: BlockCompression | None, sent: list[Frame]
) -> None:
    decoder = impl.SegmentDecoder(impl.FrameDecoder(0x85), compression)
    assert decoder.feed(impl.encode_segments(0x85, sent, compression)) == sent
    assert not decoder.mid_frame


@compressions
@both
@given(sent=frames, size=st.integers(1, 200_000))
def test_chunks_do_not_matter(
    impl: Implementation, compression: BlockCompression | None, sent: list[Frame], size: int
) -> None:
    data = impl.encode_segments(0x85, sent, compression)
    size = max(size, len(data) // 200)
    decoder = impl.SegmentDecoder(impl.FrameDecoder(0x85), compression)
    assert feed(decoder, *(data[start : start + size] for start in range(0, len(data), size))) == sent


@compressions
def test_every_split_point(impl: Implementation, compression: BlockCompression | None) -> None:
    parts: list[list[Frame]] = [[(1, 0, 8, b"one"), (2, 0, 8, b"two")], [(3, 0, 8, b"x" * 500)]]
    data = b"".join(impl.encode_segments(0x85, part, compression) for part in parts)
    for chunks in halves(data):
        decoder = impl.SegmentDecoder(impl.FrameDecoder(0x85), compression)
        assert feed(decoder, *chunks) == [*parts[0], *parts[1]]


def test_both_implementations_encode_the_same(impl: Implementation) -> None:
    from triocql.protocol.segments import encode_segments

    sent: list[Frame] = [(n, 0, 8, bytes([n]) * n * 40) for n in range(120)] + [(5, 0, 8, bytes(400_000))]
    for compression in (None, LZ4):
        assert impl.encode_segments(5, sent, compression) == encode_segments(5, sent, compression)


def test_small_frames_share_a_segment(impl: Implementation) -> None:
    sent: list[Frame] = [(n, 0, 7, b"x" * 91) for n in range(100)]
    assert segments(impl.encode_segments(5, sent), None) == [(10_000, True)]
    assert impl.encode_segments(5, []) == b""


def test_no_frame_is_cut_unless_it_has_to(impl: Implementation) -> None:
    nearly = MAX_PAYLOAD - 9
    sent: list[Frame] = [
        (1, 0, 7, b""),
        (2, 0, 7, bytes(nearly)),
        (3, 0, 7, b""),
        (4, 0, 7, bytes(nearly + 1)),
        (5, 0, 7, b""),
    ]
    assert segments(impl.encode_segments(5, sent), None) == [
        (9, True),
        (MAX_PAYLOAD, True),
        (9, True),
        (MAX_PAYLOAD, False),
        (1, False),
        (9, True),
    ]


def test_what_does_not_shrink_is_stored_as_it_is(impl: Implementation) -> None:
    sent: list[Frame] = [(1, 0, 7, b"q")]
    data = impl.encode_segments(0x85, sent, LZ4)
    assert int.from_bytes(data[:5], "little") == 10 | 0 << 17 | 1 << 34
    assert data[8:18] == impl.encode_frames(0x85, sent)
    assert impl.SegmentDecoder(impl.FrameDecoder(0x85), LZ4).feed(data) == sent


def test_the_checksum_of_headers() -> None:
    # From a segment that Cassandra 5.0 sent: 3 bytes of fields, 3 of checksum.
    from tests.protocol.implementation import golden

    stream = golden("streams/v5-plain")
    start = stream.index(b"\x85\0\0\1\x10") - 6  # AUTH_SUCCESS is the first segment
    assert crc24(stream[start : start + 3]) == int.from_bytes(stream[start + 3 : start + 6], "little")


@pytest.mark.parametrize("sizes", [range(300), [1000, 4095, 65_536, MAX_PAYLOAD - 10, MAX_PAYLOAD - 9]])
def test_the_checksum_of_payloads_of_all_sizes(impl: Implementation, sizes: Iterable[int]) -> None:
    chance = random.Random(5)
    for size in sizes:
        data = impl.encode_segments(5, [(1, 0, 8, chance.randbytes(size))])
        assert int.from_bytes(data[-4:], "little") == crc32(data[6:-4], crc32(b"\xfa\x2d\x55\xca"))


@compressions
def test_every_flipped_bit_is_found(impl: Implementation, compression: BlockCompression | None) -> None:
    data = impl.encode_segments(0x85, [(1, 0, 8, b"some body" * 3)], compression)
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(ChecksumError):
                impl.SegmentDecoder(impl.FrameDecoder(0x85), compression).feed(damaged)


def seal(payload: bytes, fields: int, head: int = 3) -> bytes:
    """A segment with right checksums around whatever it is given."""
    header = fields.to_bytes(head, "little")
    checksum = crc32(payload, crc32(b"\xfa\x2d\x55\xca")).to_bytes(4, "little")
    return header + crc24(header).to_bytes(3, "little") + payload + checksum


def test_a_self_contained_segment_has_whole_frames(impl: Implementation) -> None:
    frame = impl.encode_frames(0x85, [(1, 0, 8, b"body")])
    with pytest.raises(ProtocolError, match="ends in the middle"):
        impl.SegmentDecoder(impl.FrameDecoder(0x85)).feed(seal(frame[:-1], 12 | 1 << 17))
    decoder = impl.SegmentDecoder(impl.FrameDecoder(0x85))
    assert decoder.feed(seal(frame[:10], 10)) == []
    assert decoder.mid_frame
    assert decoder.frame_size_pending == 13
    with pytest.raises(ProtocolError, match="comes in the middle"):
        decoder.feed(seal(frame, 13 | 1 << 17))


def test_an_empty_segment_is_nothing(impl: Implementation) -> None:
    assert impl.SegmentDecoder(impl.FrameDecoder(0x85)).feed(seal(b"", 1 << 17)) == []


def test_a_chain_of_segments_is_bounded_by_its_first_header(impl: Implementation) -> None:
    decoder = impl.SegmentDecoder(impl.FrameDecoder(0x85, 1 << 20))
    header = b"\x85\0\0\1\x08" + ((1 << 20) + 1).to_bytes(4, "big")
    with pytest.raises(LimitExceeded):
        decoder.feed(seal(header, 9))


def test_a_wrong_size_of_a_compressed_payload(impl: Implementation) -> None:
    frame = impl.encode_frames(0x85, [(1, 0, 8, bytes(90))])
    packed = LZ4.compress(frame)
    for size in (len(frame) - 1, len(frame) + 1, MAX_PAYLOAD):
        data = seal(packed, len(packed) | size << 17 | 1 << 34, 5)
        with pytest.raises(ProtocolError, match="LZ4"):
            impl.SegmentDecoder(impl.FrameDecoder(0x85), LZ4).feed(data)


@compressions
@both
@given(data=st.binary(max_size=300))
def test_noise_gives_nothing_but_protocol_errors(
    impl: Implementation, compression: BlockCompression | None, data: bytes
) -> None:
    head = 3 if compression is None else 5
    for stream in (data, seal(data, len(data) | 1 << (17 if head == 3 else 34), head)):
        try:
            impl.SegmentDecoder(impl.FrameDecoder(0x85), compression).feed(stream)
        except ProtocolError:
            continue


def verdict(kind: Implementation, data: bytes, compression: BlockCompression | None) -> object:
    """What a decoder makes of some bytes: the frames, or the error and what it says."""
    try:
        return kind.SegmentDecoder(kind.FrameDecoder(0x85), compression).feed(data)
    except ProtocolError as error:
        return type(error), str(error)


@compressions
@both
@given(sent=frames, position=st.integers(0, 400_000), byte=st.integers(0, 255), resealed=st.booleans())
def test_both_implementations_judge_the_same(
    impl: Implementation,
    compression: BlockCompression | None,
    sent: list[Frame],
    position: int,
    byte: int,
    resealed: bool,
) -> None:
    from triocql.protocol import frames as pure_frames
    from triocql.protocol import segments as pure_segments

    data = bytearray(
        impl.encode_frames(0x85, sent) if resealed else impl.encode_segments(0x85, sent, compression)
    )
    if data:
        data[position % len(data)] = byte
    stream = bytes(data)
    if resealed:
        short = stream[:MAX_PAYLOAD]
        head = 3 if compression is None else 5
        stream = seal(short, len(short) | 1 << (17 if head == 3 else 34), head)
    pure = SimpleNamespace(FrameDecoder=pure_frames.FrameDecoder, SegmentDecoder=pure_segments.SegmentDecoder)
    assert verdict(impl, stream, compression) == verdict(cast("Implementation", pure), stream, compression)


def test_what_compression_keeps_stays_readable(impl: Implementation) -> None:
    kept: list[bytes | bytearray | memoryview] = []

    def compress(data: bytes | bytearray | memoryview) -> bytes:
        kept.append(data)
        return LZ4.compress(data)

    def decompress(data: bytes | bytearray | memoryview, size: int) -> bytes:
        kept.append(data)
        return LZ4.decompress(data, size)

    keeping = BlockCompression(compress, decompress)
    sent: list[Frame] = [(1, 0, 8, b"x" * 300_000), (2, 0, 8, b"y" * 500)]
    data = impl.encode_segments(0x85, sent, keeping)
    decoder = impl.SegmentDecoder(impl.FrameDecoder(0x85), keeping)
    assert feed(decoder, data[:1000], data[1000:]) == sent
    packed, plain = [bytes(each) for each in kept[:4]], [bytes(each) for each in kept[4:]]
    assert [LZ4.decompress(each, len(other)) for each, other in zip(plain, packed, strict=True)] == packed


@pytest.mark.parametrize("made", [None, "text"])
def test_what_compression_makes_is_checked(impl: Implementation, made: Any) -> None:
    odd = BlockCompression(lambda data: made, lambda data, size: made)
    data = impl.encode_segments(0x85, [(1, 0, 8, b"x" * 500)], LZ4)
    with pytest.raises(TypeError):
        impl.encode_segments(0x85, [(1, 0, 8, b"x" * 500)], odd)
    with pytest.raises(TypeError):
        impl.SegmentDecoder(impl.FrameDecoder(0x85), odd).feed(data)


@compressions
def test_many_frames_are_returned_segment_by_segment(
    impl: Implementation, compression: BlockCompression | None
) -> None:
    few: list[Frame] = [(number, 0, 8, b"") for number in range(500)]
    many: list[Frame] = [(-1, 0, 12, b"")] * 14_563
    parts = [few, few, few, many, few, many, many]
    data = b"".join(impl.encode_segments(0x85, part, compression) for part in parts)
    for chunks in ((data,), (data[:-1], data[-1:]), (data[:20_000], data[20_000:])):
        decoder = impl.SegmentDecoder(impl.FrameDecoder(0x85), compression)
        returned = []
        for chunk in chunks:
            returned.append(decoder.feed(chunk))
            while decoder.has_more:
                returned.append(decoder.feed(b""))
        assert list(chain(*returned)) == list(chain(*parts))
        assert max(map(len, returned)) < 1024 + len(many)
        assert not decoder.mid_frame


def test_a_bomb_of_frames_is_opened_bit_by_bit(impl: Implementation) -> None:
    bomb = impl.encode_segments(0x85, [(-1, 0, 12, b"")] * 14_563, LZ4) * 200
    assert len(bomb) < 128 * 1024
    decoder = impl.SegmentDecoder(impl.FrameDecoder(0x85), LZ4)
    assert len(decoder.feed(bomb)) == 14_563
    assert decoder.has_more


@pytest.mark.skipif(not compiled, reason="what is compiled keeps bytes where others may come to be")
def test_bytes_that_come_while_others_are_taken_are_refused() -> None:
    from triocql.protocol import _frames, _segments

    data = _segments.encode_segments(0x85, [(1, 0, 8, bytes(1000))], LZ4)
    again: Any = SimpleNamespace(decompress=lambda *_: decoder.feed(bytes(1_000_000)))
    decoder: Any = _segments.SegmentDecoder(_frames.FrameDecoder(0x85), again)
    assert decoder.feed(data[:5]) == []
    with pytest.raises(RuntimeError, match="while others"):
        decoder.feed(data[5:])
