"""What a real Cassandra 5.0 has written: every type, above all the vectors, of which it decides the layout."""

from __future__ import annotations

from typing import Any

from triocql.codecs.registry import Registry
from triocql.protocol.constants import V4, Opcode
from triocql.protocol.responses import RowsHeader, decode_message

from .helpers import columns
from .server_values import CAPTURED, VALUES

BODY = CAPTURED.read_bytes()
HEADER = decode_message(Opcode.RESULT, BODY, 0, V4)
assert isinstance(HEADER, RowsHeader)
assert HEADER.metadata is not None
COLUMNS, OFFSET = HEADER.metadata.columns, HEADER.rows_offset


def test_types(registry: Registry) -> None:
    """The node describes vectors by the name of their class: they are resolved, inside of other types, too."""
    for column, expected in zip(
        registry.plan(COLUMNS).columns, columns(*(name for name, _, _ in VALUES)), strict=True
    ):
        assert str(column.type) == str(expected.type)


def test_reading(registry: Registry) -> None:
    row = registry.plan(COLUMNS).page(BODY, OFFSET, 1).rows()[0]
    for (name, _, expected), value in zip(VALUES, row, strict=True):
        assert value == expected, name
        assert repr(value) == repr(expected) or "address" in name, name


def test_writing(registry: Registry) -> None:
    values: list[Any] = [value for _, _, value in VALUES]
    assert registry.binder(COLUMNS).bind(values)[2:] == BODY[OFFSET:]
