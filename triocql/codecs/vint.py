"""Integers of variable length, as durations and vectors have them (native protocol v5, section 3, [vint]).

The number of ones that the first byte starts with is the number of bytes that follow it; signed ones are
zigzag-coded before.
"""

from __future__ import annotations

from triocql.errors import DecodeError


def pack_unsigned_vint(value: int) -> bytes:
    """Return `value`, from 0 to 2**64 - 1, in the fewest bytes."""
    extra = max(value.bit_length() - 1, 0) // 7
    if extra >= 8:
        return b"\xff" + value.to_bytes(8)
    # 0xFF00 >> extra has as many ones at the top of its low byte as bytes follow: they go above the number.
    return (value | (0xFF00 >> extra & 0xFF) << (8 * extra)).to_bytes(extra + 1)


def read_unsigned_vint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that starts at `at`, and where it ends; DecodeError if it goes beyond the data."""
    if at >= len(data):
        raise DecodeError("a variable-length integer goes beyond its value")
    first = data[at]
    extra = 8 - (first ^ 0xFF).bit_length()  # the ones that it starts with
    end = at + 1 + extra
    if end > len(data):
        raise DecodeError("a variable-length integer goes beyond its value")
    return (first & (0xFF >> extra)) << (8 * extra) | int.from_bytes(data[at + 1 : end]), end


def pack_signed_vint(value: int) -> bytes:
    """Return `value`, from -2**63 to 2**63 - 1, in the fewest bytes."""
    return pack_unsigned_vint(value << 1 if value >= 0 else (~value << 1) | 1)


def read_signed_vint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that starts at `at`, and where it ends."""
    coded, end = read_unsigned_vint(data, at)
    return coded >> 1 ^ -(coded & 1), end
