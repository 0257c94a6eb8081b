"""Bound values as the server sees them: sets and maps in one order, whatever order they were given in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.codecs.node import INT, pack_sized
from triocql.protocol.types import ListType, MapType, SetType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from triocql.protocol.types import ColumnSpec, CqlType


def canonical_values(columns: Sequence[ColumnSpec], values: bytes) -> bytes:
    """Return what is the same for equal values; `values` is what a binder has written for these bind markers."""
    cells = _cells(values, 2)
    return b"".join(
        values[start - 4 : start] + _canonical(column.type, values[start:end])
        for column, (start, end) in zip(columns, cells, strict=False)
    )


def _canonical(cql_type: CqlType, raw: bytes) -> bytes:
    # Within tuples, user-defined types and vectors there is one order already: the server would not sort there.
    if len(raw) < 4 or not isinstance(cql_type, (ListType, SetType, MapType)):
        return raw
    elements = [raw[start:end] for start, end in _cells(raw, 4)]
    if isinstance(cql_type, ListType):
        return b"".join(pack_sized(_canonical(cql_type.element, each)) for each in elements)
    if isinstance(cql_type, SetType):
        return b"".join(sorted({pack_sized(_canonical(cql_type.element, each)) for each in elements}))
    keys = (pack_sized(_canonical(cql_type.key, each)) for each in elements[::2])
    items = (pack_sized(_canonical(cql_type.value, each)) for each in elements[1::2])
    return b"".join(sorted(key + item for key, item in zip(keys, items, strict=False)))


def _cells(raw: bytes, at: int) -> Iterable[tuple[int, int]]:
    """Iterate over where the values after `at` start and end, each after its length."""
    while at + 4 <= len(raw):
        start = at + 4
        at = start + max(INT.unpack_from(raw, at)[0], 0)
        yield start, at
