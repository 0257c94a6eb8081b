"""LZ4 and Snappy: blocks inside v5 segments, whole frame bodies in v3 and v4 (section 5 of the specifications).

What a peer declares as the size after decompression is checked before anything of that size is allocated.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal, NamedTuple

from triocql._brief import brief
from triocql.errors import LimitExceeded, MissingExtraError, OptionError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

Algorithm = Literal["lz4", "snappy"]
Buffer = bytes | bytearray | memoryview

_LZ4_MAX_RATIO = 255
"""No byte of an LZ4 block stands for more bytes of output than this."""

_SNAPPY_MAX_RATIO = 22
"""No byte of a Snappy block stands for more bytes of output than this: three make 64 at most."""

_LENGTH = struct.Struct(">I")


class FrameCompression(NamedTuple):
    """How bodies of whole frames are compressed in v3 and v4."""

    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]


class BlockCompression(NamedTuple):
    """How payloads of v5 segments are compressed; `decompress` takes the size that has to come out."""

    compress: Callable[[Buffer], bytes]
    decompress: Callable[[Buffer, int], bytes]


def check_algorithm(algorithm: str) -> None:
    """Check that a compression is known and installed; raises OptionError or MissingExtraError."""
    if algorithm == "snappy":
        try:
            import cramjam  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                "compression='snappy' needs the package cramjam: pip install triocql[snappy]"
            ) from error
    elif algorithm == "lz4":
        try:
            import lz4.block  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                f"compression='lz4' needs the package lz4, which cannot be loaded here: {error}"
            ) from error
    else:
        raise OptionError(f"compression is {brief(algorithm)}; it can be 'lz4', 'snappy' or None")


def block_compression() -> BlockCompression:
    """Return LZ4 for v5 segments, the only algorithm that v5 knows."""
    import lz4.block

    def compress(data: Buffer) -> bytes:
        block: bytes = lz4.block.compress(data, store_size=False)
        return block

    def decompress(data: Buffer, size: int) -> bytes:
        if size > _LZ4_MAX_RATIO * (len(data) + 1):
            raise ProtocolError(f"{len(data)} bytes of LZ4 cannot hold the {size} bytes that they declare")
        try:
            plain: bytes = lz4.block.decompress(data, uncompressed_size=size)
        except lz4.block.LZ4BlockError as error:
            raise ProtocolError("an LZ4 block is corrupt") from error
        if len(plain) != size:
            raise ProtocolError(f"an LZ4 block holds {len(plain)} bytes and declares {size}")
        return plain

    return BlockCompression(compress, decompress)


def frame_compression(algorithm: Algorithm, max_frame: int) -> FrameCompression:
    """Return how bodies are compressed by `algorithm`; bodies over `max_frame` bytes raise LimitExceeded."""
    check_algorithm(algorithm)
    return _lz4_frames(max_frame) if algorithm == "lz4" else _snappy_frames(max_frame)


def _lz4_frames(max_frame: int) -> FrameCompression:
    block = block_compression()

    def compress(body: bytes) -> bytes:
        return _LENGTH.pack(len(body)) + block.compress(body)

    def decompress(body: bytes) -> bytes:
        if len(body) < _LENGTH.size:
            raise ProtocolError(f"a compressed body of {len(body)} bytes is too short for its length")
        size = _checked(_LENGTH.unpack_from(body)[0], max_frame)
        return block.decompress(memoryview(body)[_LENGTH.size :], size)

    return FrameCompression(compress, decompress)


def _snappy_frames(max_frame: int) -> FrameCompression:
    import cramjam

    def compress(body: bytes) -> bytes:
        return bytes(cramjam.snappy.compress_raw(body))

    def decompress(body: bytes) -> bytes:
        size = _checked(_snappy_size(body), max_frame)
        if size > _SNAPPY_MAX_RATIO * len(body):
            raise ProtocolError(f"{len(body)} bytes of Snappy cannot hold the {size} bytes that they declare")
        try:
            plain = bytes(cramjam.snappy.decompress_raw(body))
        except cramjam.DecompressionError as error:
            raise ProtocolError("a Snappy block is corrupt") from error
        if len(plain) != size:
            raise ProtocolError(f"a Snappy block holds {len(plain)} bytes and declares {size}")
        return plain

    return FrameCompression(compress, decompress)


def _snappy_size(body: bytes) -> int:
    """Read the size at the start of a Snappy block: seven bits a byte, the lowest first, at most five bytes."""
    size = 0
    for position, byte in enumerate(body[:5]):
        size |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return size
    raise ProtocolError("a Snappy block does not start with its size")


def _checked(size: int, limit: int) -> int:
    if size > limit:
        raise LimitExceeded(f"a compressed body declares {size} bytes; the limit is {limit}")
    return size
