"""Writing the values of a request.

The pure twin of `_bind`: tests/property/test_twins.py holds them to the same bytes and errors.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, NoReturn

from triocql._brief import some_names
from triocql.codecs.collections import is_array
from triocql.codecs.node import INT, Node, type_name
from triocql.errors import BindTypeError, BindValueError
from triocql.protocol.constants import MAX_INT, MAX_SHORT, UNSET

if TYPE_CHECKING:
    from triocql.protocol.types import ColumnSpec

NULL_VALUE = b"\xff\xff\xff\xff"
UNSET_VALUE = b"\xff\xff\xff\xfe"
_SHORT = struct.Struct(">H")


class Binder:
    """Writes the values for the bind markers of one statement.

    Attributes:
        columns: what the bind markers stand for.
        nodes: the type node of each.
    """

    __slots__ = ("_head", "_key", "columns", "nodes")

    def __init__(
        self, columns: tuple[ColumnSpec, ...], nodes: tuple[Node, ...], key: tuple[int, ...] = ()
    ) -> None:
        self.columns = columns
        self.nodes = nodes
        self._key = frozenset(key)
        self._head = head(columns)

    def with_key(self, key: tuple[int, ...], nodes: tuple[Node, ...]) -> Binder:
        """Return a binder with these type nodes that refuses UNSET for the markers with these indexes, which are the
        partition key.
        """
        return type(self)(self.columns, nodes, key)

    def bind(self, values: Sequence[Any] | Mapping[str, Any] | None) -> bytes:
        """Return the values as an EXECUTE has them: a [short] n, then n times a [value].

        None is null, UNSET leaves a column as it is. By position or by name; every bind marker needs its
        value.

        Raises:
            BindTypeError: a value of a type that its column does not take; `values` are neither sequence nor
                mapping.
            BindValueError: a value is out of range; too few or too many values; unknown or missing names; UNSET in the
                partition key.

        >>> from triocql.codecs.registry import Registry
        >>> from triocql.protocol.types import ColumnSpec, NativeType
        >>> columns = [ColumnSpec("shop", "users", "id", NativeType("int"))]
        >>> columns.append(ColumnSpec("shop", "users", "name", NativeType("text")))
        >>> Registry().binder(columns).bind([1, "x"])
        b'\\x00\\x02\\x00\\x00\\x00\\x04\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x01x'
        """
        parts = [self._head]
        for i, value in enumerate(in_order(self.columns, values)):
            if value is None:
                parts.append(NULL_VALUE)
            elif value is UNSET:
                if i in self._key:
                    refuse(self.columns[i], value, BindValueError("a partition key needs all its values"))
                parts.append(UNSET_VALUE)
            else:
                raw = self._encode(i, value)
                parts.append(INT.pack(len(raw)))
                parts.append(raw)
        return b"".join(parts)

    def encode(self, index: int, value: Any) -> bytes | None:
        """Return one value without its length; None for null."""
        return None if value is None else self._encode(index, value)

    def _encode(self, index: int, value: Any) -> bytes:
        try:
            raw = self.nodes[index].encode(value)
        except MemoryError:  # no fault of the value
            raise
        except Exception as error:
            refuse(self.columns[index], value, error)
        if len(raw) > MAX_INT:
            refuse(self.columns[index], value, BindValueError("the value is longer than 2 GiB"))
        return raw


def head(columns: Sequence[ColumnSpec]) -> bytes:
    """Return the [short] that the values begin with."""
    if len(columns) > MAX_SHORT:
        raise BindValueError(f"a statement can have {MAX_SHORT} bind markers, not {len(columns)}")
    return _SHORT.pack(len(columns))


def in_order(
    columns: Sequence[ColumnSpec], values: Sequence[Any] | Mapping[str, Any] | None
) -> tuple[Any, ...]:
    """Return one value for each column, whether they are given by position or by name."""
    if values is None:
        values = ()
    if isinstance(values, Mapping):
        return _by_name(columns, values)
    if not _is_sequence(values):
        raise BindTypeError(
            f"values have to be a sequence or a mapping by name, not {type_name(values)}"
            + ("; for a single value write [value]" if isinstance(values, (str, bytes, int, float)) else "")
        )
    values = tuple(values)
    if len(values) < len(columns):
        missing = ", ".join(column.name for column in columns[len(values) :])
        raise BindValueError(
            f"{len(values)} values for {len(columns)} bind markers; missing: {missing} "
            "(triocql.UNSET leaves a column as it is)"
        )
    if len(values) > len(columns):
        raise BindValueError(f"{len(values)} values for {len(columns)} bind markers")
    return values


def _by_name(columns: Sequence[ColumnSpec], values: Mapping[str, Any]) -> tuple[Any, ...]:
    try:
        ordered = tuple([values[column.name] for column in columns])
    except KeyError:
        missing = ", ".join(column.name for column in columns if column.name not in values)
        raise BindValueError(f"no values for {missing} (triocql.UNSET leaves a column as it is)") from None
    names = {column.name for column in columns}
    unknown = [name for name in values if name not in names]
    if unknown:
        there = ", ".join(column.name for column in columns) or "none"
        raise BindValueError(f"no bind marker is named {some_names(unknown)}; there are: {there}")
    return ordered


def _is_sequence(values: Any) -> bool:
    if isinstance(values, (list, tuple)):
        return True
    if isinstance(values, (str, bytes, bytearray, memoryview, Set)):
        return False
    return isinstance(values, Sequence) or is_array(values)


def refuse(column: ColumnSpec, value: Any, error: Exception) -> NoReturn:
    """Raise a bind error that names the column, its type and the type of the value, and never the value
    itself.
    """
    table = f"{column.keyspace}.{column.table}"
    place = f"column {column.name!r} ({column.type}) of {table}, given {type_name(value)}"
    if isinstance(error, (BindTypeError, BindValueError)):
        raise type(error)(f"{place}: {error}") from error.__cause__
    raise BindValueError(f"{place}: {type(error).__name__} while writing the value") from error
