"""The orders in which Cassandra has the items of its maps, and sorts names: those of Java."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")

_LOAD: Final = 0.75
_WORD: Final = 0xFFFF_FFFF


def as_hash_map(keys: Sequence[T], hash_code: Callable[[T], int]) -> list[T]:
    """Return keys in the order of a HashMap that was made of a map with them, in this order.

    >>> as_hash_map(["class", "east", "west"], text_hash)
    ['west', 'east', 'class']
    """
    capacity = 1
    while capacity < int(len(keys) / _LOAD + 1.0):
        capacity *= 2
    return _by_bucket(keys, hash_code, capacity)


def as_grown_hash_map(keys: Sequence[T], hash_code: Callable[[T], int]) -> list[T]:
    """Return keys in the order of a HashMap to which they were added one by one."""
    capacity = 16
    while len(keys) > capacity * _LOAD:
        capacity *= 2
    return _by_bucket(keys, hash_code, capacity)


def _by_bucket(keys: Sequence[T], hash_code: Callable[[T], int], capacity: int) -> list[T]:
    """Return keys in the order of a HashMap with so many buckets."""

    def bucket(key: T) -> int:
        spread = hash_code(key)
        return (spread ^ spread >> 16) & (capacity - 1)

    return sorted(keys, key=bucket)


def text_hash(text: str) -> int:
    """Return the hash of a String."""
    code = 0
    for unit in _units(text):
        code = (31 * code + unit) & _WORD
    return code


def bytes_hash(text: str) -> int:
    """Return the hash of a ByteBuffer with the bytes of a text."""
    code = 1
    for byte in reversed(text.encode("utf-8", "surrogatepass")):
        code = (31 * code + (byte - 256 if byte > 127 else byte)) & _WORD
    return code


def signed(text: str) -> list[int]:
    """Return what a text is sorted by where ByteBuffers are compared: bytes with a sign."""
    return [byte - 256 if byte > 127 else byte for byte in text.encode("utf-8", "surrogatepass")]


def ignoring_case(text: str) -> list[int]:
    """Return what a text is sorted by where String.compareToIgnoreCase compares."""
    return _units("".join(_folded(letter) for letter in text))


def by_dependency(types: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the names of types in the order of ``DESCRIBE``: each after those that it is made of.

    Args:
        types: the names of the types that each has in it.
    """
    ordered: dict[str, None] = {}
    for name in sorted(types, key=signed):
        _add(name, types, ordered, ())
    return list(ordered)


def _add(
    name: str, types: Mapping[str, Iterable[str]], ordered: dict[str, None], above: tuple[str, ...]
) -> None:
    if name in ordered or name in above or name not in types:
        return
    for within in types[name]:
        _add(within, types, ordered, (*above, name))
    ordered[name] = None


def _units(text: str) -> list[int]:
    """Return the characters of a String: units of UTF-16."""
    encoded = text.encode("utf-16-be", "surrogatepass")
    return [high << 8 | low for high, low in zip(encoded[::2], encoded[1::2], strict=True)]


def _folded(letter: str) -> str:
    """Return a letter as Java compares it without case: never as several."""
    upper = letter.upper()
    upper = upper if len(upper) == 1 else letter
    lower = upper.lower()
    return lower if len(lower) == 1 else upper
