"""Faults of what is sent: of frames, and of the bytes that carry them.

They go among the steps of a rule and apply to each answer that it gives::

    server.when("SELECT ...").then(rows(...), truncate(12))
    server.when("SELECT ...", times=1).then(void(), duplicate(), trickle(1.0))
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, Protocol
from weakref import WeakKeyDictionary

from .framing import SEGMENT_SIZE, Frame


class Carrier(Protocol):
    """A connection, as faults see it."""

    segmented: bool

    @property
    def segment_header_size(self) -> int:
        """Bytes of a segment's header without its checksum."""


@dataclass(frozen=True)
class Pause:
    """A break in what is sent, in seconds; infinite: nothing more is ever sent on the connection."""

    seconds: float = 0.0


Piece = bytes | Pause


class Fault:
    """Changes what is sent. Of the two methods a fault has its own version of one, or both.

    Attributes:
        about_bytes: whether it is about bytes, not only about frames.
        segment_size: bytes of a segment at most (v5).
    """

    about_bytes = False
    segment_size = SEGMENT_SIZE

    def frames(self, connection: Carrier, frame: Frame) -> Sequence[Frame]:
        """Return the frames to send for one."""
        return (frame,)

    def pieces(self, connection: Carrier, data: bytes) -> Sequence[Piece]:
        """Return what to send for the bytes of an answer, segments included."""
        return (data,)


# --- Frames --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Duplicate(Fault):
    times: int

    def frames(self, connection: Carrier, frame: Frame) -> Sequence[Frame]:
        return [frame] * self.times


@dataclass(frozen=True)
class _Header(Fault):
    fields: tuple[tuple[str, int], ...]

    def frames(self, connection: Carrier, frame: Frame) -> Sequence[Frame]:
        changes = dict(self.fields)
        return (Frame(**{**frame._asdict(), **changes}),)


@dataclass(eq=False)
class _Reorder(Fault):
    count: int
    random: random.Random | None
    _held: WeakKeyDictionary[Carrier, list[Frame]] = field(default_factory=WeakKeyDictionary)

    def frames(self, connection: Carrier, frame: Frame) -> Sequence[Frame]:
        held = self._held.setdefault(connection, [])
        held.append(frame)
        if len(held) < self.count:
            return ()
        del self._held[connection]
        held.reverse()
        if self.random is not None:
            self.random.shuffle(held)
        return held


def duplicate(times: int = 2) -> Fault:
    """Send each answer so many times."""
    return _Duplicate(times)


def header(
    *,
    version: int | None = None,
    flags: int | None = None,
    stream: int | None = None,
    opcode: int | None = None,
    length: int | None = None,
) -> Fault:
    """Change the header of each answer; the body remains. `version` is the whole byte, 0x85 for an answer of v5."""
    fields = {"version": version, "flags": flags, "stream": stream, "opcode": opcode, "length": length}
    return _Header(tuple((name, number) for name, number in fields.items() if number is not None))


def wrong_stream(stream: int) -> Fault:
    """Send each answer under another stream id."""
    return header(stream=stream)


def oversize(length: int = 0xFFFFFFFF) -> Fault:
    """Have the header say that the body has `length` bytes, whatever it has."""
    return header(length=length)


def reorder(count: int, *, seed: int | None = None) -> Fault:
    """Hold answers back until there are `count` on the connection; then send them, last first.

    Args:
        count: the number of answers.
        seed: shuffles them instead, in the order that this seed gives.
    """
    return _Reorder(count, None if seed is None else random.Random(seed))  # noqa: S311 - repeatable on purpose


# --- Bytes ---------------------------------------------------------------------------------------------------


class _ByteFault(Fault):
    about_bytes = True


@dataclass(frozen=True)
class _Split(_ByteFault):
    at: tuple[int, ...]
    pause: Pause

    def pieces(self, connection: Carrier, data: bytes) -> Sequence[Piece]:
        ends = [0, *sorted(position % len(data) for position in self.at), len(data)]
        found: list[Piece] = []
        for start, end in pairwise(ends):
            found += [data[start:end], self.pause]
        return found[:-1]


@dataclass(frozen=True)
class _Trickle(_ByteFault):
    interval: float
    size: int

    def pieces(self, connection: Carrier, data: bytes) -> Sequence[Piece]:
        at = tuple(range(self.size, len(data), self.size))
        return _Split(at, Pause(self.interval)).pieces(connection, data)


@dataclass(frozen=True)
class _Truncate(_ByteFault):
    keep: int

    def pieces(self, connection: Carrier, data: bytes) -> Sequence[Piece]:
        return [data[: self.keep], Pause(math.inf)]


@dataclass(frozen=True)
class _Cut(_ByteFault):
    keep: int

    def pieces(self, connection: Carrier, data: bytes) -> Sequence[Piece]:
        return [data[: self.keep]]


@dataclass(frozen=True)
class _FlipBit(_ByteFault):
    bit: int

    def pieces(self, connection: Carrier, data: bytes) -> Sequence[Piece]:
        return [_flipped(data, self.bit)]


@dataclass(frozen=True)
class _BadCrc(_ByteFault):
    of: Literal["header", "payload"]

    def pieces(self, connection: Carrier, data: bytes) -> Sequence[Piece]:
        if not connection.segmented:
            raise ValueError("bad_crc() needs protocol v5: earlier versions have no checksums")
        return [_flipped(data, 8 * connection.segment_header_size if self.of == "header" else -1)]


class _SmallSegments(_ByteFault):
    def __init__(self, size: int) -> None:
        self.segment_size = size


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def split(*at: int, pause: float = 0.0) -> Fault:
    """Send each answer in pieces that end at these positions, `pause` seconds apart; negative ones are from the end."""
    return _Split(at, Pause(pause))


def trickle(interval: float = 1.0, size: int = 1) -> Fault:
    """Send `size` bytes each `interval` seconds."""
    return _Trickle(interval, size)


def truncate(keep: int) -> Fault:
    """Send the first `keep` bytes of an answer, and nothing more on this connection, ever."""
    return _Truncate(keep)


def cut(keep: int) -> Fault:
    """Send the first `keep` bytes of an answer only, and go on as if that had been all."""
    return _Cut(keep)


def flip_bit(bit: int) -> Fault:
    """Flip one bit of an answer's bytes as they are sent, counted from 0; negative ones are from the end."""
    return _FlipBit(bit)


def bad_crc(of: Literal["header", "payload"] = "payload") -> Fault:
    """Send each answer in a segment whose checksum of the header or the payload is wrong (v5)."""
    return _BadCrc(of)


def small_segments(size: int) -> Fault:
    """Spread each answer over segments of `size` bytes (v5)."""
    return _SmallSegments(size)
