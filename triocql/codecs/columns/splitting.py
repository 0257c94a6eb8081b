"""Collections, tuples and vectors, cut into the bytes of their elements, for the pure twin."""

from __future__ import annotations

import struct
from array import array
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any

from triocql.codecs.columns import odd
from triocql.codecs.vint import read_unsigned_vint
from triocql.errors import DecodeError

if TYPE_CHECKING:
    from triocql.codecs.columns.layout import Layout

Cells = list[Any]
"""The bytes of values, None for null."""

_length = struct.Struct(">i").unpack_from


def counts_of(cells: Cells, step: int) -> list[int] | None:
    """Return how many elements each collection has if each element takes `step` bytes; None if some do not."""
    present = [cell for cell in cells if cell]
    sizes = set(map(len, present))
    if any(size % step != 4 % step or size < 4 for size in sizes):
        return None
    counts = [len(cell) // step for cell in present]
    heads = b"".join([cell[:4] for cell in present])
    if heads != struct.pack(f">{len(counts)}i", *counts):
        return None
    return counts if len(counts) == len(cells) else [len(cell) // step if cell else 0 for cell in cells]


def unprefixed(cells: Cells, width: int) -> bytes | None:
    """Return the elements of collections without their lengths, which take 4 bytes each; None if one has another
    length than `width`."""
    packed = bytearray(b"".join([cell[4:] for cell in cells if cell]))
    for i, digit in enumerate(width.to_bytes(4)):
        step = 4 + width - i
        if packed[::step].count(digit) * step != len(packed):
            return None
        del packed[::step]
    return bytes(packed)


def walk(body: bytes, at: int, count: int) -> Cells:
    """Return the bytes of so many values that follow one another; of fewer if the body ends before."""
    cells: Cells = []
    length_at = _length  # local: this is called for every value
    try:
        for _ in repeat(None, count):
            (length,) = length_at(body, at)
            start = at = at + 4
            if length < 0:
                cells.append(None)
            else:
                at += length
                cells.append(body[start:at])
    except struct.error:
        pass
    if at > len(body):
        cells.pop()
    return cells


def split_all(cells: Cells, each: int) -> tuple[array[int], Cells] | None:
    """Return where the elements of collections begin and end, and all elements: `each` of them make up one. None if
    one of the collections is not valid, of which `split` tells more.
    """
    present = [cell for cell in cells if cell]
    heads = b"".join([cell[:4] for cell in present])
    if len(heads) < 4 * len(present):
        return None
    counts = struct.unpack(f">{len(present)}i", heads)
    if counts and min(counts) < 0:
        return None
    joined = b"".join([cell[4:] for cell in present])
    found = walk(joined, 0, each * sum(counts))
    if len(found) < each * sum(counts):
        return None
    # Each has to end where its bytes do. With the lengths before them, elements have 4 bytes more.
    ends = [0, *accumulate([0 if element is None else len(element) for element in found])]
    parts = accumulate([each * count for count in counts])
    if [ends[part] + 4 * part for part in parts] != list(accumulate([len(cell) - 4 for cell in present])):
        return None
    following = iter(counts)
    sizes = counts if len(present) == len(cells) else [next(following) if cell else 0 for cell in cells]
    return array("i", accumulate(sizes, initial=0)), found


def split(raw: bytes, each: int, found: Cells) -> None:
    """Add the elements of a collection: `each` times as many as it says."""
    if len(raw) < 4:
        raise DecodeError(odd.LENGTH)
    count = _length(raw, 0)[0]
    if not 0 <= count * each * 4 <= len(raw) - 4:
        raise DecodeError(odd.COUNT)
    at = 4
    add = found.append
    try:
        for _ in range(count * each):
            length = _length(raw, at)[0]
            at += 4
            if length < 0:
                add(None)
            else:
                add(raw[at : at + length])
                at += length
    except struct.error:
        at = len(raw) + 1
    if at != len(raw):
        raise DecodeError(odd.OVERRUN if at > len(raw) else odd.REST)


def split_fields(raw: bytes, count: int, found: Cells, *, strict: bool) -> int:
    """Add the fields of a value, null for those that are missing at its end, and return how many these are."""
    at = 0
    missing = count
    while missing and at < len(raw):
        at = _next(raw, at, found)
        missing -= 1
    if strict and at < len(raw):
        raise DecodeError(odd.REST)
    found += [None] * missing
    return missing


def _next(raw: bytes, at: int, found: Cells) -> int:
    """Add the value that starts at `at` after its length, and return where it ends."""
    start = at + 4
    if start > len(raw):
        raise DecodeError(odd.OVERRUN)
    length = _length(raw, at)[0]
    if length < 0:
        found.append(None)
        return start
    if length > len(raw) - start:
        raise DecodeError(odd.OVERRUN)
    found.append(raw[start : start + length])
    return start + int(length)


def split_vector(raw: bytes, layout: Layout, found: Cells) -> None:
    """Add the elements of a vector."""
    width = layout.width
    if (width and len(raw) != width * layout.count) or layout.count > len(raw):
        raise DecodeError(odd.LENGTH)
    if width:
        found += [raw[at : at + width] for at in range(0, len(raw), width)]
        return
    at = 0
    for _ in range(layout.count):
        length, at = read_unsigned_vint(raw, at)
        if length > len(raw) - at:
            raise DecodeError(odd.OVERRUN)
        found.append(raw[at : at + length])
        at += length
    if at != len(raw):
        raise DecodeError(odd.REST)
