"""Frames (section 2 of the protocol's v5 specification) and v5 segments (2.2): read and written by a node."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol
from zlib import crc32

import lz4.block

from .encoder import FLAG_COMPRESSED
from .wire import BadRequest

HEADER = struct.Struct(">BBhBI")
SEGMENT_SIZE = 128 * 1024 - 1
"""Bytes of a segment's payload, at most."""
_MAX_FRAME = 256 * 1024 * 1024
_CRC32_START = crc32(b"\xfa\x2d\x55\xca")


class Frame(NamedTuple):
    """A frame, with its body not compressed. `length`, if not None, is said in place of the body's real length."""

    version: int
    flags: int
    stream: int
    opcode: int
    body: bytes
    length: int | None = None

    def encode(self, compression: Compression | None = None) -> bytes:
        """Return its bytes."""
        body, flags = self.body, self.flags
        if compression is not None and body and not flags & FLAG_COMPRESSED:
            body, flags = compression.compress_frame(body), flags | FLAG_COMPRESSED
        length = len(body) if self.length is None else self.length
        return HEADER.pack(self.version, flags, self.stream, self.opcode, length) + body


# --- Compression ---------------------------------------------------------------------------------------------


class Compression(Protocol):
    """Of the bodies of v3 and v4 frames."""

    def compress_frame(self, data: bytes) -> bytes:
        """Compress a body."""

    def decompress_frame(self, data: bytes) -> bytes:
        """Decompress a body."""


class Lz4:
    """LZ4 blocks; the length before it is said first, in big-endian order."""

    def compress_frame(self, data: bytes) -> bytes:
        """Compress a body."""
        return struct.pack(">I", len(data)) + bytes(lz4.block.compress(data, store_size=False))

    def decompress_frame(self, data: bytes) -> bytes:
        """Decompress a body."""
        return self.decompress(data[4:], int.from_bytes(data[:4], "big"))

    def decompress(self, data: bytes, size: int) -> bytes:
        """Decompress a bare block to `size` bytes."""
        if not 0 <= size <= _MAX_FRAME:
            raise BadRequest(f"LZ4 data that would take {size} bytes")
        try:
            return bytes(lz4.block.decompress(data, uncompressed_size=size))
        except lz4.block.LZ4BlockError as error:
            raise BadRequest(f"LZ4: {error}") from None


class Snappy:
    """Snappy; needs cramjam."""

    def __init__(self) -> None:
        import cramjam

        self._snappy: Any = cramjam.snappy
        self._error: type[Exception] = cramjam.DecompressionError

    def compress_frame(self, data: bytes) -> bytes:
        """Compress a body."""
        return bytes(self._snappy.compress_raw(data))

    def decompress_frame(self, data: bytes) -> bytes:
        """Decompress a body."""
        try:
            return bytes(self._snappy.decompress_raw(data))
        except self._error as error:
            raise BadRequest(f"Snappy: {error}") from None


COMPRESSIONS: dict[str, type[Lz4] | type[Snappy]] = {"lz4": Lz4, "snappy": Snappy}


# --- Reading -------------------------------------------------------------------------------------------------


class FrameReader:
    """Makes frames out of whatever chunks come in. Not compressed itself, it decompresses bodies."""

    def __init__(self) -> None:
        self.compression: Compression | None = None
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[Frame]:
        """Add bytes; yields the frames that they complete."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            version, flags, stream, opcode, length = HEADER.unpack_from(self._buffer)
            if length > _MAX_FRAME:
                raise BadRequest(f"a frame of {length} bytes is too long")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield Frame(version, flags, stream, opcode, self._plain(flags, body))

    def _plain(self, flags: int, body: bytes) -> bytes:
        if not flags & FLAG_COMPRESSED:
            return body
        if self.compression is None:
            raise BadRequest("a frame is compressed, but no compression was agreed on")
        return self.compression.decompress_frame(body)


class SegmentReader:
    """Takes segments; what is in them goes to a frame reader."""

    def __init__(self, compressed: bool) -> None:
        self._lz4 = Lz4() if compressed else None
        self._header_size = 5 if compressed else 3
        self._buffer = bytearray()
        self._frames = FrameReader()

    def feed(self, data: bytes | memoryview) -> Iterator[Frame]:
        """Add bytes; yields the frames that they complete."""
        self._buffer += data
        head = self._header_size
        while len(self._buffer) >= head + 3:
            header = bytes(self._buffer[:head])
            if crc24(header) != int.from_bytes(self._buffer[head : head + 3], "little"):
                raise BadRequest("the CRC24 of a segment's header does not match")
            fields = int.from_bytes(header, "little")
            size = fields & 0x1FFFF
            end = head + 3 + size + 4
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[head + 3 : end - 4])
            if crc32(payload, _CRC32_START) != int.from_bytes(self._buffer[end - 4 : end], "little"):
                raise BadRequest("the CRC32 of a segment's payload does not match")
            del self._buffer[:end]
            yield from self._frames.feed(self._plain(payload, (fields >> 17) & 0x1FFFF))

    def _plain(self, payload: bytes, size: int) -> bytes:
        return payload if self._lz4 is None or not size else self._lz4.decompress(payload, size)


# --- Writing -------------------------------------------------------------------------------------------------


def crc24(data: bytes) -> int:
    """Return the checksum of a segment's header."""
    crc = 0x875060
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc = (crc << 1) ^ (0x1974F0B if crc & 0x800000 else 0)
    return crc & 0xFFFFFF


def segment(payload: bytes, *, compressed: bool, self_contained: bool = True) -> bytes:
    """Return a segment. What LZ4 does not make smaller goes as it is."""
    packed, size = payload, 0
    if compressed:
        block = bytes(lz4.block.compress(payload, store_size=False))
        if len(block) < len(payload):
            packed, size = block, len(payload)
        fields, width = len(packed) | size << 17 | self_contained << 34, 5
    else:
        fields, width = len(packed) | self_contained << 17, 3
    header = fields.to_bytes(width, "little")
    checksum = crc32(packed, _CRC32_START)
    return header + crc24(header).to_bytes(3, "little") + packed + checksum.to_bytes(4, "little")


def segments(frames: list[bytes], *, compressed: bool, size: int = SEGMENT_SIZE) -> bytes:
    """Return the segments of frames: as many whole ones in each as fit, longer ones over several."""
    out, gathered = b"", b""
    for frame in frames:
        if len(gathered) + len(frame) <= size:
            gathered += frame
            continue
        if gathered:
            out += segment(gathered, compressed=compressed)
        gathered = frame
        if len(frame) > size:
            parts = [frame[start : start + size] for start in range(0, len(frame), size)]
            out += b"".join(segment(part, compressed=compressed, self_contained=False) for part in parts)
            gathered = b""
    return out + (segment(gathered, compressed=compressed) if gathered else b"")
