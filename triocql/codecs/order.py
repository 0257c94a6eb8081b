"""The order in which the server's comparators put the values of a type, told by their bytes.

The server sorts the sets and the keys of maps that it is given, in lists and maps of them, too. Not so within tuples,
user-defined types and vectors: there it keeps the bytes as they come, and compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle, groupby
from math import copysign, isnan
from operator import itemgetter
from struct import unpack
from typing import TYPE_CHECKING, Any

from triocql.codecs.node import INT
from triocql.codecs.scalars import read_decimal
from triocql.codecs.vint import read_unsigned_vint
from triocql.codecs.widths import fixed_width
from triocql.protocol.types import ListType, MapType, NativeType, SetType, TupleType, UserType, VectorType

if TYPE_CHECKING:
    from triocql.protocol.types import CqlType

SortKey = Callable[[bytes], Any]
"""Makes of a value's bytes what it is sorted by; the same of two values that the server takes for equal."""


def sort_key(cql_type: CqlType) -> SortKey:
    """Return what the values of a type are sorted by. Values of no bytes come first, whatever the type."""
    match cql_type:
        case NativeType(name):
            return _NATIVE.get(name, bytes)
        case ListType(element) | SetType(element):
            return partial(_collection, (sort_key(element),))
        case MapType(key, value):
            return partial(_collection, (sort_key(key), sort_key(value)))
        case TupleType(elements):
            return partial(_record, tuple(map(sort_key, elements)))
        case UserType(_, _, fields):
            return partial(_record, tuple(sort_key(field) for _, field in fields))
        case VectorType(element, dimension):
            return partial(_vector, sort_key(element), dimension, fixed_width(element))
    return bytes


def sorted_elements(elements: Iterable[bytes], key: SortKey) -> list[bytes]:
    """Return the elements of a set as the server has them; of several equal ones it keeps the first."""
    return [next(group)[1] for _, group in _groups((key(raw), raw) for raw in elements)]


def sorted_items(items: Iterable[tuple[bytes, bytes]], key: SortKey) -> list[tuple[bytes, bytes]]:
    """Return the items of a map as the server has them: of several equal keys the first one, with the last value."""
    merged = []
    for _, group in _groups(((key(name), (name, value)) for name, value in items)):
        same = [item for _, item in group]
        merged.append((same[0][0], same[-1][1]))
    return merged


def _groups(keyed: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Iterator[tuple[Any, Any]]]]:
    return groupby(sorted(keyed, key=itemgetter(0)), itemgetter(0))


def _signed(raw: bytes) -> bytes:
    """Two's complement."""
    return bytes((raw[0] ^ 0x80,)) + raw[1:] if raw else raw


def _floating(code: str, raw: bytes) -> tuple[Any, ...]:
    """IEEE 754: -0.0 comes before 0.0, and what is no number is all the same, and last."""
    if not raw:
        return ()
    (number,) = unpack(code, raw)
    return (True,) if isnan(number) else (False, number, copysign(1.0, number))


def _number(raw: bytes) -> tuple[Any, ...]:
    """A varint."""
    return (int.from_bytes(raw, signed=True),) if raw else ()


def _decimal(raw: bytes) -> tuple[Any, ...]:
    """A decimal, by its value: 1.0 is 1.00."""
    return (read_decimal(raw),) if raw else ()


def _uuid(raw: bytes) -> bytes:
    """By version, then by time if that is 1, then by the bytes."""
    version = raw[6:7] and bytes((raw[6] >> 4,))
    return version + (_time(raw) if version == b"\1" else raw[:8]) + raw[8:]


def _time_uuid(raw: bytes) -> bytes:
    """By time, then by the other bytes, each as if it had a sign."""
    return _time(raw) + bytes(byte ^ 0x80 for byte in raw[8:])


def _time(raw: bytes) -> bytes:
    # The low part of the time comes first in the bytes, then the middle, then the version with the high part.
    return raw[6:8] + raw[4:6] + raw[:4]


def _collection(keys: tuple[SortKey, ...], raw: bytes) -> tuple[Any, ...]:
    """By the first elements that differ, else by their number."""
    pieces = zip(cycle(keys), _pieces(raw, 4), strict=False)
    return (tuple(key(piece or b"") for key, piece in pieces),) if raw else ()


def _record(keys: tuple[SortKey, ...], raw: bytes) -> tuple[Any, ...]:
    """By the first elements that differ; null comes before any value."""
    # Values may lack elements at their end. A pair of parentheses makes null, (), less than any value.
    pieces = zip(keys, _pieces(raw, 0), strict=False)
    return tuple(() if piece is None else (key(piece),) for key, piece in pieces)


def _vector(key: SortKey, dimension: int, width: int, raw: bytes) -> tuple[Any, ...]:
    """By the first elements that differ."""
    keys = []
    at = 0
    for _ in range(dimension if raw else 0):
        length = width
        if not width:
            length, at = read_unsigned_vint(raw, at)
        keys.append(key(raw[at : at + length]))
        at += length
    return tuple(keys)


def _pieces(raw: bytes, at: int) -> Iterator[bytes | None]:
    """Iterate over what comes after its length each, None for null."""
    while at < len(raw):
        length = INT.unpack_from(raw, at)[0]
        at += 4
        yield raw[at : at + length] if length >= 0 else None
        at += max(length, 0)


_NATIVE: dict[str, SortKey] = {
    "bigint": _signed,
    "decimal": _decimal,
    "double": partial(_floating, ">d"),
    "float": partial(_floating, ">f"),
    "int": _signed,
    "smallint": _signed,
    "timestamp": _signed,
    "timeuuid": _time_uuid,
    "tinyint": _signed,
    "uuid": _uuid,
    "varint": _number,
}
"""Those that are not compared by their bytes, first byte first."""
