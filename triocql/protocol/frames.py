"""Frames: the header of nine bytes and the body that it announces (section 2 of the specifications).

Frames are plain tuples: this is the hot path. `_frames` is the compiled twin of `encode_frames` and `FrameDecoder`;
tests/property/test_twins.py holds them to the same results and errors.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from triocql.errors import LimitExceeded, ProtocolError, UsageError
from triocql.protocol.constants import FLAG_COMPRESSED, HEADER_SIZE, MAX_FRAME, RESPONSE_BIT, VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Frame = tuple[int, int, int, bytes]
"""(stream, flags, opcode, body)"""

MIN_COMPRESSED = 128
"""Shorter bodies (in bytes) are sent as they are: they hardly shrink, and the call costs more than that."""

_HEADER = struct.Struct(">BBhBi")


def encode_frames(
    version: int, frames: Sequence[Frame], compress: Callable[[bytes], bytes] | None = None
) -> bytes:
    """Return the bytes of `frames` with a header before each body, compressed where that makes it shorter.

    Raises UsageError for a body that is longer than frames can be.
    """
    parts = []
    for stream, flags, opcode, body in frames:
        check_body(len(body))
        if compress is not None and len(body) >= MIN_COMPRESSED:
            packed = compress(body)
            if len(packed) < len(body):
                flags |= FLAG_COMPRESSED
                body = packed
        parts.append(_HEADER.pack(version, flags, stream, opcode, len(body)))
        parts.append(body)
    return b"".join(parts)


class FrameDecoder:
    """Cuts a stream of bytes, in chunks of any size, into frames.

    Every header is checked as soon as it is there, before its body is waited for. Bytes of an unfinished frame
    are collected in one growing buffer, so that a frame costs its length however many chunks it comes in.
    """

    has_more = False
    """Never: all frames are returned at once. Bytes are not many frames, unless they were compressed."""

    def __init__(
        self,
        version_byte: int,
        max_frame: int = MAX_FRAME,
        decompress: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._version_byte = version_byte
        self._max_frame = max_frame
        self._decompress = decompress
        self._buffer = bytearray()
        self._needed = HEADER_SIZE

    @property
    def mid_frame(self) -> bool:
        """Whether bytes of an unfinished frame are here."""
        return bool(self._buffer)

    @property
    def frame_size_pending(self) -> int:
        """The declared length of the unfinished frame with its header, 0 before its header is complete."""
        return self._needed if len(self._buffer) >= HEADER_SIZE else 0

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """Take bytes and return the frames that they complete; raises ProtocolError for a bad header."""
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                self._check_start(self._buffer)
                return []
            # A new buffer: the old one can neither shrink nor grow while `_cut` has a view of it.
            data, self._buffer = self._buffer, bytearray()
        frames: list[Frame] = []
        consumed = self._cut(data, frames)
        self._buffer += memoryview(data)[consumed:]
        return frames

    def _cut(self, data: bytes | bytearray | memoryview, frames: list[Frame]) -> int:
        """Add the whole frames in `data` to `frames`; return how many bytes they take."""
        view = memoryview(data)
        start, end = 0, len(view)
        self._needed = HEADER_SIZE
        while end - start >= HEADER_SIZE:
            version_byte, flags, stream, opcode, length = _HEADER.unpack_from(view, start)
            if version_byte != self._version_byte or not 0 <= length <= self._max_frame:
                raise header_error(view[start:], self._version_byte, self._max_frame)
            stop = start + HEADER_SIZE + length
            if stop > end:
                self._needed = HEADER_SIZE + length
                return start
            body = bytes(view[start + HEADER_SIZE : stop])
            if flags & FLAG_COMPRESSED:
                flags ^= FLAG_COMPRESSED
                body = decompressed(body, self._decompress)
            frames.append((stream, flags, opcode, body))
            start = stop
        self._check_start(view[start:])
        return start

    def _check_start(self, view: bytearray | memoryview) -> None:
        """Refuse a header by its first byte: TLS and HTTP servers may send fewer bytes than a header has."""
        if len(view) and view[0] != self._version_byte:
            raise header_error(view, self._version_byte, self._max_frame)


def check_body(size: int) -> None:
    """Check that a body can be sent; raises UsageError for one that is longer than frames can be."""
    if size > MAX_FRAME:
        raise UsageError(f"a request has {size:,} bytes; the protocol allows {MAX_FRAME:,} in one frame")


def decompressed(body: bytes, decompress: Callable[[bytes], bytes] | None) -> bytes:
    """Return the content of a body that is flagged as compressed."""
    if decompress is None:
        raise ProtocolError("a frame is compressed although no compression was agreed on")
    return decompress(body)


def header_error(start: bytes | bytearray | memoryview, version_byte: int, max_frame: int) -> ProtocolError:
    """Say what is wrong with the header at the start of some bytes."""
    # Whoever is at a wrong port is told so, rather than of bytes that cannot be read. An HTTP server answers with its
    # status line; a TLS server with an alert (0x15) or a handshake record (0x16), whose version begins with 3. None of
    # these first bytes is that of a protocol version. The start may be shorter than what it is compared with.
    head = bytes(start[:HEADER_SIZE])
    if b"HTTP/".startswith(head[:5]):
        return ProtocolError("the peer answered with HTTP: this is no CQL port")
    if head[0] in (0x15, 0x16) and head[1:2] in (b"", b"\x03"):
        return ProtocolError("the peer answered with TLS on a connection without it: set ssl_context=")
    if head[0] != version_byte:
        return ProtocolError(_version_text(head, version_byte))
    length: int = _HEADER.unpack(head)[4]
    if length < 0:
        return ProtocolError(f"a frame declares a negative length, {length} bytes ({head.hex(' ')})")
    return LimitExceeded(f"a frame declares {length} bytes; the limit is {max_frame}")


def _version_text(head: bytes, version_byte: int) -> str:
    expected = f"expected version byte {version_byte:#04x}, got {head[0]:#04x} ({head.hex(' ')})"
    if (head[0] ^ RESPONSE_BIT) == version_byte:
        return f"a frame goes in the wrong direction: {expected}"
    if head[0] & ~RESPONSE_BIT in VERSIONS:
        return f"a frame of another protocol version: {expected}"
    return f"this is no frame of the native protocol: {expected}"
