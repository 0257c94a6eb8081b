"""Segments: the checksummed envelopes that v5 puts around frames (v5 specification, section 2).

A segment holds several whole frames ("self-contained"), or a part of one frame that is too long for one segment.
All numbers of a segment are little-endian. `_segments` is the compiled twin of `encode_segments` and `SegmentDecoder`;
tests/property/test_twins.py holds them to the same results and errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from triocql.errors import ChecksumError, ProtocolError
from triocql.protocol.constants import HEADER_SIZE
from triocql.protocol.frames import Frame, FrameDecoder, encode_frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triocql.protocol.compression import BlockCompression

MAX_PAYLOAD = 128 * 1024 - 1
"""The longest payload of one segment, in bytes, before compression."""

AT_ONCE = 1024
"""No more segments are opened in one go once they have given so many frames."""

_SELF_CONTAINED = 1
_LENGTH_BITS = 17
_CRC24_SIZE = 3
_CRC32_SIZE = 4
_CRC24_START = 0x875060
_CRC24_POLYNOMIAL = 0x1974F0B
CRC32_START = crc32(b"\xfa\x2d\x55\xca")
"""The checksum of a payload goes on from that of these four bytes."""


def _crc24_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= _CRC24_POLYNOMIAL
        table.append(crc)
    return tuple(table)


_CRC24_TABLE = _crc24_table()


def crc24(data: bytes) -> int:
    """Return the checksum of a segment's header."""
    crc = _CRC24_START
    for byte in data:
        crc = ((crc << 8) & 0xFFFFFF) ^ _CRC24_TABLE[(crc >> 16) ^ byte]
    return crc


def encode_segments(
    version: int, frames: Sequence[Frame], compression: BlockCompression | None = None
) -> bytes:
    """Return the bytes of `frames` in as few segments as the rules allow. Raises UsageError as `encode_frames`."""
    segments: list[bytes | memoryview] = []
    for group in _grouped(frames):
        payload = encode_frames(version, group)
        if len(payload) <= MAX_PAYLOAD:
            segments += _segment(payload, _SELF_CONTAINED, compression)
            continue
        view = memoryview(payload)
        for start in range(0, len(payload), MAX_PAYLOAD):
            segments += _segment(view[start : start + MAX_PAYLOAD], 0, compression)
    return b"".join(segments)


def _grouped(frames: Sequence[Frame]) -> list[Sequence[Frame]]:
    """Cut `frames` into runs that fit one segment each; a frame that fits none is a run of its own."""
    groups: list[Sequence[Frame]] = []
    start = size = 0
    for position, frame in enumerate(frames):
        length = HEADER_SIZE + len(frame[3])
        if size and size + length > MAX_PAYLOAD:
            groups.append(frames[start:position])
            start, size = position, 0
        size += length
    if size:
        groups.append(frames[start:])
    return groups


def _segment(
    payload: bytes | memoryview, self_contained: int, compression: BlockCompression | None
) -> tuple[bytes, bytes | memoryview, bytes]:
    """Return the header, the payload as it is sent, and the checksum of the payload."""
    size = len(payload)
    if compression is None:
        head = (size | self_contained << _LENGTH_BITS).to_bytes(3, "little")
    else:
        packed = compression.compress(payload)
        if len(packed) < size:
            payload = packed
        else:
            size = 0  # says that the payload is not compressed
        fields = len(payload) | size << _LENGTH_BITS | self_contained << (2 * _LENGTH_BITS)
        head = fields.to_bytes(5, "little")
    checksum = crc32(payload, CRC32_START).to_bytes(_CRC32_SIZE, "little")
    return head + crc24(head).to_bytes(_CRC24_SIZE, "little"), payload, checksum


class SegmentDecoder:
    """Cuts a stream of bytes, in chunks of any size, into segments, and their payloads into frames.

    A segment may have 255 times its size within, in 14,000 frames. So they are not opened all at once: where `has_more`
    says that some are left, feed it again, with no bytes.
    """

    def __init__(self, frames: FrameDecoder, compression: BlockCompression | None = None) -> None:
        self.has_more = False
        self._frames = frames
        self._compression = compression
        self._head_size = 3 if compression is None else 5
        self._buffer = bytearray()
        self._needed = self._head_size + _CRC24_SIZE

    @property
    def mid_frame(self) -> bool:
        """Whether bytes of an unfinished segment or frame are here."""
        return bool(self._buffer) or self._frames.mid_frame

    @property
    def frame_size_pending(self) -> int:
        """The declared length of the unfinished frame with its header, 0 before its header is complete."""
        return self._frames.frame_size_pending

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """Take bytes and return the frames that they complete, up to the end of a segment if they are many: `has_more`
        says so. Raises ProtocolError for what is not valid.
        """
        self.has_more = False
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return []
            data, self._buffer = self._buffer, bytearray()
        frames: list[Frame] = []
        consumed = self._cut(memoryview(data), frames)
        self._buffer += memoryview(data)[consumed:]
        return frames

    def _cut(self, view: memoryview, frames: list[Frame]) -> int:
        """Add the frames in whole segments of `view` to `frames`; return how many bytes the segments take."""
        start, end = 0, len(view)
        header_size = self._head_size + _CRC24_SIZE
        self._needed = header_size
        while end - start >= header_size:
            stored, plain, self_contained = self._header(view[start : start + header_size])
            body = start + header_size
            stop = body + stored + _CRC32_SIZE
            if stop > end:
                self._needed = stop - start
                break
            payload = view[body : body + stored]
            if crc32(payload, CRC32_START) != int.from_bytes(view[body + stored : stop], "little"):
                raise ChecksumError("the checksum of a segment's payload is wrong")
            frames += self._unwrapped(payload, plain, self_contained)
            start = stop
            if len(frames) >= AT_ONCE:
                self.has_more = start < end
                break
        return start

    def _header(self, header: memoryview) -> tuple[int, int, bool]:
        """Return the stored length, the length before compression (0: stored as it is), self-contained."""
        head = header[: self._head_size]
        if crc24(bytes(head)) != int.from_bytes(header[self._head_size :], "little"):
            raise ChecksumError(f"the checksum of a segment's header is wrong ({header.hex(' ')})")
        fields = int.from_bytes(head, "little")
        stored = fields & MAX_PAYLOAD
        fields >>= _LENGTH_BITS
        if self._compression is None:
            return stored, 0, bool(fields & _SELF_CONTAINED)
        return stored, fields & MAX_PAYLOAD, bool(fields >> _LENGTH_BITS & _SELF_CONTAINED)

    def _unwrapped(self, payload: memoryview, plain: int, self_contained: bool) -> list[Frame]:
        """Return the frames that a payload completes."""
        content: bytes | memoryview = payload
        if self._compression is not None and plain:
            content = self._compression.decompress(payload, plain)
        # Whole frames only: none is unfinished before such a segment, and none after it.
        if self_contained and self._frames.mid_frame:
            raise ProtocolError("a self-contained segment comes in the middle of a frame")
        frames = self._frames.feed(content)
        if self_contained and self._frames.mid_frame:
            raise ProtocolError("a self-contained segment ends in the middle of a frame")
        return frames
