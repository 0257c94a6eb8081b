"""The hash of Cassandra's default partitioner, in pure Python: `_murmur3` is its compiled twin."""

from __future__ import annotations

from struct import iter_unpack
from typing import Final

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF


def murmur3(key: bytes) -> int:
    """Return the first half of MurmurHash3 (x64, 128 bits, seed 0), as a signed number, as Cassandra computes it.

    What differs from the hash as it was published: the bytes behind the last whole block count as signed ones.

    >>> murmur3(b"123"), murmur3(b"\\x80")
    (-7468325962851647638, -5284281814142962636)
    """
    size = len(key)
    whole = size & ~15
    h1 = h2 = 0
    for k1, k2 in iter_unpack("<QQ", key[:whole]):
        h1 ^= _first(k1)
        h1 = (((h1 << 27 | h1 >> 37) & _MASK) + h2) * 5 + 0x52DC_E729 & _MASK
        h2 ^= _second(k2)
        h2 = (((h2 << 31 | h2 >> 33) & _MASK) + h1) * 5 + 0x3849_5AB5 & _MASK
    if whole < size:
        h1 ^= _first(_signed_bytes(key[whole : whole + 8]))
        if whole + 8 < size:
            h2 ^= _second(_signed_bytes(key[whole + 8 :]))
    h2 ^= size
    h1 = (h1 ^ size) + h2 & _MASK
    h1 = _mixed(h1) + _mixed(h2 + h1 & _MASK) & _MASK
    return h1 - (1 << 64) if h1 >> 63 else h1


def _first(k1: int) -> int:
    k1 = k1 * 0x87C3_7B91_1142_53D5 & _MASK
    return ((k1 << 31 | k1 >> 33) & _MASK) * 0x4CF5_AD43_2745_937F & _MASK


def _second(k2: int) -> int:
    k2 = k2 * 0x4CF5_AD43_2745_937F & _MASK
    return ((k2 << 33 | k2 >> 31) & _MASK) * 0x87C3_7B91_1142_53D5 & _MASK


def _signed_bytes(part: bytes) -> int:
    number = int.from_bytes(part, "little")
    if not part.isascii():  # each negative one turns the bits of all that come behind it
        for i, byte in enumerate(part, 1):
            if byte & 0x80:
                number ^= _MASK << 8 * i
    return number & _MASK


def _mixed(number: int) -> int:
    number = (number ^ number >> 33) * 0xFF51_AFD7_ED55_8CCD & _MASK
    number = (number ^ number >> 33) * 0xC4CE_B9FE_1A85_EC53 & _MASK
    return number ^ number >> 33
