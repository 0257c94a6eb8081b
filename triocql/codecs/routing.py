# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
# cython: freethreading_compatible=False
"""The partition key of a request, out of the values that were bound: what its token is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.protocol.constants import MAX_SHORT

if TYPE_CHECKING:
    import cython
else:
    from triocql import _cython as cython

if not cython.compiled:  # where it is, these functions are those of `_pieces.pxd`

    def int_at(values: bytes, at: int) -> int:
        """Return the [int] there."""
        return int.from_bytes(values[at : at + 4], "big", signed=True)

    def piece(values: bytes, at: int, size: int) -> bytes:
        """Return so many bytes from there."""
        return values[at : at + size]


def routing_key(values: bytes, indexes: tuple[int, ...]) -> bytes | None:
    """Return the partition key among bound values, serialized as nodes hash it.

    Args:
        values: as `Binder.bind` returns them: a [short] n, then n times a [value].
        indexes: which of them make up the partition key, in its order.

    None if there is no key, or nodes take none like it: a part is null, unset or, of several, longer than 64 KiB. A
    key of one part is its bytes; one of several is, for each part, a [short] length, the bytes, and a zero byte
    (Cassandra's CompositeType).

    >>> routing_key(bytes.fromhex("0002 00000004 00000001 00000001 78"), (0,)).hex()
    '00000001'
    >>> routing_key(bytes.fromhex("0002 00000004 00000001 00000001 78"), (1, 0)).hex()
    '0001780000040000000100'
    """
    if len(indexes) == 1:
        return _part(values, indexes[0])
    key = b""
    for index in indexes:
        part = _part(values, index)
        if part is None or len(part) > MAX_SHORT:
            return None
        key += len(part).to_bytes(2, "big") + part + b"\0"
    return key or None


def _part(values: bytes, index: int) -> bytes | None:
    """Return one of the values; None if it is null or unset, or there are not so many."""
    at, end = 2, len(values)
    while at + 4 <= end:
        size = int_at(values, at)
        at += 4
        if index == 0:
            return None if size < 0 or size > end - at else piece(values, at, size)
        index -= 1
        if size > 0:
            at += size
    return None
