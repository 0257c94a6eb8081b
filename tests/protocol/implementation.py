"""What both implementations of frames and segments have, for the tests; and streams of bytes to feed them with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from triocql.protocol.compression import BlockCompression
    from triocql.protocol.frames import Frame, FrameDecoder
    from triocql.protocol.segments import SegmentDecoder

GOLDEN = Path(__file__).parent / "golden"


class Implementation(Protocol):
    FrameDecoder: type[FrameDecoder]
    SegmentDecoder: type[SegmentDecoder]

    @staticmethod
    def encode_frames(
        version: int, frames: Sequence[Frame], compress: Callable[[bytes], bytes] | None = None, /
    ) -> bytes: ...

    @staticmethod
    def encode_segments(
        version: int, frames: Sequence[Frame], compression: BlockCompression | None = None, /
    ) -> bytes: ...


class Feeds(Protocol):
    has_more: bool

    def feed(self, data: bytes) -> list[Frame]: ...


def feed(decoder: Feeds, *chunks: bytes) -> list[Frame]:
    frames = []
    for chunk in chunks:
        frames += decoder.feed(chunk)
        while decoder.has_more:
            frames += decoder.feed(b"")
    return frames


def halves(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every way to cut some bytes into two."""
    for position in range(len(data) + 1):
        yield data[:position], data[position:]


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.bin").read_bytes()
