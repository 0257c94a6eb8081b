"""The frames before a connection is established: never segmented, possibly of a version that is not ours."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from triocql.protocol.constants import FLAG_COMPRESSED, HEADER_SIZE, RESPONSE_BIT, V3, Opcode
from triocql.protocol.frames import Frame, decompressed, header_error

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWERS_TO_STARTUP = (Opcode.READY, Opcode.AUTHENTICATE)

_REFUSALS = range(RESPONSE_BIT | V3, RESPONSE_BIT | 16)
"""The version bytes that an ERROR may have: of the versions that are there, and of those that are to come."""

_HEADER = struct.Struct(">BBhBi")


class GreetingDecoder:
    """Cuts frames out of bytes up to the answer to STARTUP; what follows it is left in `rest`.

    A server refuses a version that it does not know in one that it does: an ERROR of another version passes.
    """

    has_more = False
    """Never: all frames are returned at once."""

    def __init__(self, version: int, max_frame: int) -> None:
        self.decompress: Callable[[bytes], bytes] | None = None
        self.rest = bytearray()
        self.answered = False
        self._version_byte = version | RESPONSE_BIT
        self._max_frame = max_frame

    @property
    def mid_frame(self) -> bool:
        """Whether bytes of an unfinished frame are here."""
        return bool(self.rest)

    @property
    def frame_size_pending(self) -> int:
        """The declared length of the unfinished frame with its header, 0 before its header is complete."""
        if len(self.rest) < HEADER_SIZE:
            return 0
        length: int = _HEADER.unpack_from(self.rest)[4]
        return HEADER_SIZE + length

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """Take bytes and return the frames that they complete; raises ProtocolError for a bad header."""
        self.rest += data
        frames = []
        while not self.answered and (frame := self._next()) is not None:
            frames.append(frame)
            self.answered = frame[2] in ANSWERS_TO_STARTUP
        return frames

    def _next(self) -> Frame | None:
        """Take one frame from the front of `rest`, None if it is not complete."""
        # In this order: the first byte before the header is complete, as TLS and HTTP servers may send fewer bytes;
        # then the version, where an ERROR may have another one; then the length, by which no body is waited for that
        # is longer than allowed.
        if self.rest and self.rest[0] not in _REFUSALS:
            raise header_error(self.rest, self._version_byte, self._max_frame)
        if len(self.rest) < HEADER_SIZE:
            return None
        version_byte, flags, stream, opcode, length = _HEADER.unpack_from(self.rest)
        if version_byte != self._version_byte and opcode != Opcode.ERROR:
            raise header_error(self.rest, self._version_byte, self._max_frame)
        if not 0 <= length <= self._max_frame:
            raise header_error(self.rest, version_byte, self._max_frame)
        stop = HEADER_SIZE + length
        if len(self.rest) < stop:
            return None
        body = bytes(memoryview(self.rest)[HEADER_SIZE:stop])
        del self.rest[:stop]
        if flags & FLAG_COMPRESSED:
            flags ^= FLAG_COMPRESSED
            body = decompressed(body, self.decompress)
        return stream, flags, opcode, body
