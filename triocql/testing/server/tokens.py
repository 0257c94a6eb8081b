"""The tokens of partitions: Murmur3 as Cassandra has it, which takes bytes for signed numbers where others do not."""

from __future__ import annotations

_MASK = (1 << 64) - 1
_C1, _C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
MIN_TOKEN = -(1 << 63)
MAX_TOKEN = (1 << 63) - 1


def token_of(key: bytes) -> int:
    """Return the token of a key.

    >>> token_of(b"123")
    -7468325962851647638
    """
    if not key:
        return MIN_TOKEN
    first = second = 0
    whole = len(key) - len(key) % 16
    for at in range(0, whole, 16):
        first ^= _mixed(int.from_bytes(key[at : at + 8], "little"), _C1, 31, _C2)
        first = ((_rotated(first, 27) + second) * 5 + 0x52DCE729) & _MASK
        second ^= _mixed(int.from_bytes(key[at + 8 : at + 16], "little"), _C2, 33, _C1)
        second = ((_rotated(second, 31) + first) * 5 + 0x38495AB5) & _MASK
    second ^= _mixed(_signed(key[whole + 8 :]), _C2, 33, _C1)
    first ^= _mixed(_signed(key[whole : whole + 8]), _C1, 31, _C2)
    first, second = first ^ len(key), second ^ len(key)
    first = (first + second) & _MASK
    second = (second + first) & _MASK
    token = (_finished(first) + _finished(second)) & _MASK
    token -= (token >> 63) << 64
    return MAX_TOKEN if token == MIN_TOKEN else token


def composite(parts: list[bytes]) -> bytes:
    """Return the key of a partition out of its parts: one as it is; several each with a length and a zero."""
    if len(parts) == 1:
        return parts[0]
    return b"".join(b"%b%b\0" % (len(part).to_bytes(2, "big"), part) for part in parts)


def _signed(tail: bytes) -> int:
    """Return the last bytes as one number, each with its sign."""
    number = 0
    for at, byte in enumerate(tail):
        number ^= ((byte - 256 if byte > 127 else byte) << (8 * at)) & _MASK
    return number


def _mixed(number: int, before: int, by: int, after: int) -> int:
    return _rotated(number * before & _MASK, by) * after & _MASK


def _rotated(number: int, by: int) -> int:
    return (number << by | number >> (64 - by)) & _MASK


def _finished(number: int) -> int:
    number = (number ^ number >> 33) * 0xFF51AFD7ED558CCD & _MASK
    number = (number ^ number >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return number ^ number >> 33
