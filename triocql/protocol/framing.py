"""The byte side of one connection: what a client sends as frames and receives as bytes, in every version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._impl import compiled
from triocql.errors import OptionError
from triocql.protocol.compression import (
    Algorithm,
    BlockCompression,
    FrameCompression,
    block_compression,
    check_algorithm,
    frame_compression,
)
from triocql.protocol.constants import MAX_FRAME, RESPONSE_BIT, V5, VERSIONS
from triocql.protocol.frames import Frame
from triocql.protocol.greeting import GreetingDecoder

if TYPE_CHECKING:
    from collections.abc import Sequence

# The only place where the compiled ones are chosen.
if compiled:
    from triocql.protocol._frames import FrameDecoder, encode_frames
    from triocql.protocol._segments import SegmentDecoder, encode_segments
else:
    from triocql.protocol.frames import FrameDecoder, encode_frames
    from triocql.protocol.segments import SegmentDecoder, encode_segments


class Framing:
    """Frames, segments and compression of one connection; no stream table and no I/O.

    It starts with plain frames. The answer to STARTUP switches both directions over: to segments in v5, to
    compressed bodies in v3 and v4 if `use_compression` asked for it. Before that answer, an ERROR of another
    version than ours is let through, because a server refuses so a version that it does not know.

    >>> framing = Framing(5)
    >>> framing.encode([(0, 0, 0x05, b"")])
    b'\\x05\\x00\\x00\\x00\\x05\\x00\\x00\\x00\\x00'
    >>> framing.receive(b"\\x85\\x00\\x00\\x00\\x02\\x00\\x00\\x00\\x00")
    [(0, 0, 2, b'')]
    >>> framing.established
    True
    """

    def __init__(self, version: int, *, max_frame: int = MAX_FRAME) -> None:
        if version not in VERSIONS:
            raise OptionError(f"protocol version {version} is not spoken here; it can be one of {VERSIONS}")
        self.version = version
        self._max_frame = max_frame
        self._blocks: BlockCompression | None = None
        self._bodies: FrameCompression | None = None
        self._greeting: GreetingDecoder | None = GreetingDecoder(version, max_frame)
        self._decoder: GreetingDecoder | FrameDecoder | SegmentDecoder = self._greeting

    @property
    def established(self) -> bool:
        """Whether the answer to STARTUP has come."""
        return self._greeting is None

    def use_compression(self, algorithm: Algorithm | None) -> None:
        """Compress from the answer to STARTUP on; call it before STARTUP is sent.

        Raises OptionError for an algorithm that is unknown or that v5 does not have, MissingExtraError if it is
        not installed.
        """
        self._blocks = self._bodies = None
        if algorithm is None or self._greeting is None:
            return
        check_algorithm(algorithm)
        if self.version < V5:
            self._bodies = frame_compression(algorithm, self._max_frame)
            self._greeting.decompress = self._bodies.decompress
        elif algorithm == "lz4":
            self._blocks = block_compression()
        else:
            raise OptionError(f"protocol v5 has no {algorithm}: set compression='lz4', or protocol_version=4")

    def encode(self, frames: Sequence[Frame]) -> bytes:
        """Return the bytes to send for `frames`: pass all that waits at once, so that segments are filled."""
        if self._greeting is not None:
            return encode_frames(self.version, frames)
        if self.version >= V5:
            return encode_segments(self.version, frames, self._blocks)
        return encode_frames(self.version, frames, self._bodies and self._bodies.compress)

    def receive(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """Take bytes from the server, in chunks of any size, and return the frames that they complete, or the first
        of them: while `has_more` says that others are left, call it again, with no bytes.

        Raises ProtocolError; the connection cannot go on then.
        """
        frames = self._decoder.feed(data)
        if self._greeting is not None and self._greeting.answered:
            frames += self._establish(self._greeting.rest)
        return frames

    def _establish(self, rest: bytearray) -> list[Frame]:
        """Switch over; return the frames in the bytes that came after the answer to STARTUP."""
        self._greeting = None
        decompress = self._bodies and self._bodies.decompress
        decoder = FrameDecoder(self.version | RESPONSE_BIT, self._max_frame, decompress)
        self._decoder = SegmentDecoder(decoder, self._blocks) if self.version >= V5 else decoder
        return self._decoder.feed(rest)

    @property
    def has_more(self) -> bool:
        """Whether bytes are here that `receive` may make more frames of: a peer can pack millions into few bytes."""
        return self._decoder.has_more

    @property
    def mid_frame(self) -> bool:
        """Whether bytes of an unfinished frame or segment are here."""
        return self._decoder.mid_frame

    @property
    def frame_size_pending(self) -> int:
        """The declared length of the unfinished frame with its header in bytes, 0 while it is not known."""
        return self._decoder.frame_size_pending
