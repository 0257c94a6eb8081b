# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
# cython: freethreading_compatible=False
"""The partition key of a request, out of the values that were bound: what its token is made of."""

from __future__ import annotations

from triocql.protocol.constants import MAX_SHORT


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
    if not indexes:
        return None
    wanted, at, number = max(indexes) + 1, 2, 0
    parts: list[bytes | None] = []
    while number < wanted:
        first = values[at]
        size = (first << 24) | (values[at + 1] << 16) | (values[at + 2] << 8) | values[at + 3]
        at += 4
        if size >= 0x80000000:  # -1 is null, -2 unset
            parts.append(None)
        else:
            parts.append(values[at : at + size])
            at += size
        number += 1
    return _composed([parts[index] for index in indexes])


def _composed(parts: list[bytes | None]) -> bytes | None:
    key = b""
    for part in parts:
        if part is None or len(parts) == 1:
            return part
        if len(part) > MAX_SHORT:
            return None
        key += len(part).to_bytes(2, "big") + part + b"\0"
    return key
