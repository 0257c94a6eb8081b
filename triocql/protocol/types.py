"""The types of CQL as values: frozen, hashable, equal when they mean the same; `str()` gives their CQL text.

Whether a collection is frozen is a matter of its column's declaration and never shows on the wire, so that it is
no part of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Fields = tuple[tuple[str, "CqlType"], ...]


class CqlType:
    """The base of all types of CQL."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class NativeType(CqlType):
    """A type without parameters, such as ``int``; `varchar` is spelled by its other name, ``text``."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ListType(CqlType):
    """``list<element>``."""

    element: CqlType

    def __str__(self) -> str:
        return f"list<{self.element}>"


@dataclass(frozen=True, slots=True)
class SetType(CqlType):
    """``set<element>``."""

    element: CqlType

    def __str__(self) -> str:
        return f"set<{self.element}>"


@dataclass(frozen=True, slots=True)
class MapType(CqlType):
    """``map<key, value>``."""

    key: CqlType
    value: CqlType

    def __str__(self) -> str:
        return f"map<{self.key}, {self.value}>"


@dataclass(frozen=True, slots=True)
class TupleType(CqlType):
    """``tuple<...>`` of at least one element."""

    elements: tuple[CqlType, ...]

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.elements))}>"


@dataclass(frozen=True, slots=True)
class UserType(CqlType):
    """A user-defined type: its keyspace, its name, and its fields as pairs of name and type, in order."""

    keyspace: str
    name: str
    fields: Fields

    def __str__(self) -> str:
        return quote_name(self.name)


@dataclass(frozen=True, slots=True)
class VectorType(CqlType):
    """``vector<element, dimension>``; Cassandra 5.0 describes it as a custom type on the wire."""

    element: CqlType
    dimension: int

    def __str__(self) -> str:
        return f"vector<{self.element}, {self.dimension}>"


@dataclass(frozen=True, slots=True)
class CustomType(CqlType):
    """A type that the protocol has no number for, by the name of its class in the server."""

    class_name: str

    def __str__(self) -> str:
        return "'" + self.class_name.replace("'", "''") + "'"


class ColumnSpec(NamedTuple):
    """A column of a result, or a bind marker of a prepared statement: where it is from, its name and type."""

    keyspace: str
    table: str
    name: str
    type: CqlType


def quote_name(name: str) -> str:
    """Return the name of a keyspace, table, column, … as CQL takes it: in double quotes unless it is plain lower case
    and no word that Cassandra from 3.11 on, or Scylla, wants to be quoted anywhere.

    Raises nothing, whatever the name has.

    >>> quote_name("users"), quote_name("Users"), quote_name("order")
    ('users', '"Users"', '"order"')
    """
    plain = name.isascii() and name.isidentifier() and name == name.lower() and name[0] != "_"
    return name if plain and name not in _NOT_BARE else quoted(name)


def quoted(name: str) -> str:
    """Return an identifier in double quotes, which is right for every name and every version of a server."""
    return '"' + name.replace('"', '""') + '"'


_RESERVED = """
    add allow alter and apply asc authorize batch begin by check columnfamily constraint create default delete desc
    describe drop entries execute false from full grant if in index infinity insert into is keyspace length limit
    materialized mbean mbeans modify nan norecursive not null of on or order primary rename replace revoke schema
    select set table to token true truncate unlogged unset update use using view where with
"""
_NO_NAMES_OF_TYPES = """
    ascii bigint bitstring blob boolean byte cast complex count counter date decimal distinct double duration enum
    float inet int interval json macaddr maxwritetime smallint text time timestamp timeuuid tinyint ttl uuid varchar
    varint vector writetime
"""
_NOT_BARE = frozenset(_RESERVED.split() + _NO_NAMES_OF_TYPES.split())
"""Words that have to be quoted to be names in some version of Cassandra from 3.11 on: the reserved ones, the literals
among them, and those that no user-defined type can be called."""


NATIVE_TYPES: dict[int, NativeType] = {
    code: NativeType(name)
    for code, name in {
        0x01: "ascii",
        0x02: "bigint",
        0x03: "blob",
        0x04: "boolean",
        0x05: "counter",
        0x06: "decimal",
        0x07: "double",
        0x08: "float",
        0x09: "int",
        0x0A: "text",
        0x0B: "timestamp",
        0x0C: "uuid",
        0x0D: "text",
        0x0E: "varint",
        0x0F: "timeuuid",
        0x10: "inet",
        0x11: "date",
        0x12: "time",
        0x13: "smallint",
        0x14: "tinyint",
        0x15: "duration",
    }.items()
}
"""The types without parameters by their number on the wire (v5, section 4.2.5.2)."""
