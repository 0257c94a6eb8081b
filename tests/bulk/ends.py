"""Keys of a token of one's choice: the hash of 16 bytes can be turned round."""

from __future__ import annotations

_MASK = 2**64 - 1
_C1, _C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
_FINAL = (0xC4CEB9FE1A85EC53, 0xFF51AFD7ED558CCD)


def key_of(token: int) -> bytes:
    """Return a key of 16 bytes whose hash (Murmur3, of which a token is the first half) is `token`.

    >>> from triocql.metadata.murmur3 import murmur3
    >>> [murmur3(key_of(token)) for token in (5, -(2**63), 2**63 - 1)]
    [5, -9223372036854775808, 9223372036854775807]
    """
    last = 0  # of the second half, which may be anything
    first, second = _unmixed(token - last), _unmixed(last)
    second -= first
    first = (first - second) & _MASK ^ 16
    second = second & _MASK ^ 16
    h2 = _rotated((second - 0x38495AB5) * _inverse(5) - first, 31)
    h1 = _rotated((first - 0x52DCE729) * _inverse(5), 27)
    k1 = _rotated(h1 * _inverse(_C2), 31) * _inverse(_C1) & _MASK
    k2 = _rotated(h2 * _inverse(_C1), 33) * _inverse(_C2) & _MASK
    return k1.to_bytes(8, "little") + k2.to_bytes(8, "little")


def _unmixed(value: int) -> int:
    value &= _MASK
    for factor in _FINAL:
        value ^= value >> 33
        value = value * _inverse(factor) & _MASK
    return value ^ value >> 33


def _rotated(value: int, bits: int) -> int:
    """Rotate to the right."""
    value &= _MASK
    return value >> bits | value << 64 - bits & _MASK


def _inverse(factor: int) -> int:
    return pow(factor, -1, 2**64)
