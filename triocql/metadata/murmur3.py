"""The hash of Cassandra's default partitioner, in pure Python: `_murmur3` is its compiled twin."""

from __future__ import annotations

from struct import iter_unpack
from typing import Final

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_SIGNS: Final = 0x8080_8080_8080_8080

# Each step on a number takes a while, whatever the step is, so that there are as few as can be. What is to be turned by
# 31 is multiplied by 2 ** 31 with what it is multiplied by before, and what has left the 64 bits at the top is put in
# at the bottom; what else is there above them does not matter until the next shift to the right, and goes before that.
_FIRST: Final = 0x87C3_7B91_1142_53D5
_SECOND: Final = 0x4CF5_AD43_2745_937F
_FIRST_TURNED: Final = _FIRST << 31
_SECOND_TURNED: Final = _SECOND << 33
_BY_31: Final = (1 << 95) - 1
_BY_33: Final = (1 << 97) - 1

# At the end, two numbers go through the same steps: side by side in one.
_BOTH: Final = _MASK | _MASK << 128
_BOTH_BY_33: Final = _BOTH >> 33 & ~(_MASK << 64)


def murmur3(key: bytes) -> int:
    """Return the first half of MurmurHash3 (x64, 128 bits, seed 0), as a signed number, as Cassandra computes it.

    What differs from the hash as it was published: the bytes behind the last whole block count as signed ones.

    >>> murmur3(b"123"), murmur3(b"\\x80")
    (-7468325962851647638, -5284281814142962636)
    """
    size = len(key)
    whole = size & ~15
    h1 = h2 = 0
    if whole:
        for k1, k2 in iter_unpack("<QQ", key[:whole]):
            k1 = k1 * _FIRST_TURNED & _BY_31
            h1 = (h1 ^ (k1 | k1 >> 64) * _SECOND & _MASK) << 27
            h1 = ((h1 | h1 >> 64) + h2) * 5 + 0x52DC_E729 & _MASK
            k2 = k2 * _SECOND_TURNED & _BY_33
            h2 = (h2 ^ (k2 | k2 >> 64) * _FIRST & _MASK) << 31
            h2 = ((h2 | h2 >> 64) + h1) * 5 + 0x3849_5AB5 & _MASK
    if whole < size:
        k1 = _signed_bytes(key[whole : whole + 8]) * _FIRST_TURNED & _BY_31
        h1 ^= (k1 | k1 >> 64) * _SECOND & _MASK
        if whole + 8 < size:
            k2 = _signed_bytes(key[whole + 8 :]) * _SECOND_TURNED & _BY_33
            h2 ^= (k2 | k2 >> 64) * _FIRST & _MASK
    h2 ^= size
    h1 = (h1 ^ size) + h2 & _MASK
    both = h1 | (h1 + h2 & _MASK) << 128
    both = (both ^ both >> 33 & _BOTH_BY_33) * 0xFF51_AFD7_ED55_8CCD & _BOTH
    both = (both ^ both >> 33 & _BOTH_BY_33) * 0xC4CE_B9FE_1A85_EC53 & _BOTH
    both ^= both >> 33 & _BOTH_BY_33
    hashed = both + (both >> 128) & _MASK
    return hashed - (1 << 64) if hashed >> 63 else hashed


def _signed_bytes(part: bytes) -> int:
    """Return the number, of 64 bits and maybe more above them, that these bytes are if they are signed."""
    number = int.from_bytes(part, "little")
    turned = (number & _SIGNS) << 1
    if turned:  # each negative one turns the bits of all that come behind it
        turned ^= turned << 8
        turned ^= turned << 16
        turned ^= turned << 32
        number ^= turned * 0xFF
    return number
