"""What a schema is made of: keyspaces and what is in them, as they were declared; and the names of CQL."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .errorcodes import ErrorCode
from .types import CqlType, UserType, parse_type

Options = dict[str, Any]
"""Columns of the system tables that differ from their defaults."""

NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_NAMES = re.compile(NAME)


class SchemaError(Exception):
    """A statement cannot be carried out; `code` and `fields` are those of the node's error."""

    def __init__(self, code: ErrorCode, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.code = code
        self.fields = fields


class Change(NamedTuple):
    """A change of the schema, in the words of the protocol's events; `arguments` are the types of a function's."""

    change: str
    target: str
    keyspace: str
    name: str | None = None
    arguments: tuple[str, ...] | None = None


@dataclass
class Index:
    """An index on a table: what its row has."""

    kind: str
    options: dict[str, str]


@dataclass
class Table:
    """A table; types are names of CQL."""

    keyspace: str
    name: str
    columns: dict[str, str]
    partition_key: list[str]
    clustering: list[str]
    static: set[str]
    descending: set[str] = field(default_factory=set)
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    options: Options = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)
    dropped: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The kind and type of each column that was dropped."""

    def kind(self, column: str) -> tuple[str, int]:
        """Return what a column is, and its position in that."""
        if column in self.partition_key:
            return "partition_key", self.partition_key.index(column)
        if column in self.clustering:
            return "clustering", self.clustering.index(column)
        return ("static" if column in self.static else "regular"), -1


@dataclass
class View:
    """A materialized view: a table by its rows, and what it is a view of."""

    table: Table
    base: Table
    where: str
    all_columns: bool


@dataclass
class Function:
    """A user-defined function."""

    arguments: dict[str, str]
    returns: str
    language: str
    body: str
    called_on_null: bool


@dataclass
class Aggregate:
    """A user-defined aggregate."""

    arguments: tuple[str, ...]
    state_function: str
    state_type: str
    final_function: str | None
    initial: str | None
    returns: str


@dataclass
class Keyspace:
    """A keyspace; `types` has the fields of its user-defined types, functions go by name and types of arguments.

    In ScyllaDB `tablets` is how many each table has at first, 0 for as many as suit, None if it has none.
    """

    name: str
    replication: dict[str, str]
    durable_writes: bool = True
    tablets: int | None = None
    consistency: str | None = None
    tables: dict[str, Table] = field(default_factory=dict)
    types: dict[str, dict[str, str]] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    functions: dict[tuple[str, tuple[str, ...]], Function] = field(default_factory=dict)
    aggregates: dict[tuple[str, tuple[str, ...]], Aggregate] = field(default_factory=dict)


class Declarations:
    """All keyspaces, by their names."""

    def __init__(self) -> None:
        self.keyspaces: dict[str, Keyspace] = {}

    def table(self, name: str, keyspace: str | None) -> Table | None:
        """Return a table; `name` may have its keyspace before it."""
        keyspace, name = split_name(name, keyspace)
        found = self.keyspaces.get(keyspace or "")
        return found.tables.get(name) if found else None

    def type(self, text: str, keyspace: str | None) -> CqlType:
        """Return the type with this name. Raises ValueError if there is none."""

        def find(name: str) -> UserType | None:
            within, bare = split_name(name, keyspace)
            declared = self.keyspaces[within].types.get(bare) if within in self.keyspaces else None
            if declared is None or within is None:
                return None
            return UserType(within, bare, tuple((key, self.type(of, within)) for key, of in declared.items()))

        return parse_type(text, find)


def split_name(name: str, keyspace: str | None) -> tuple[str | None, str]:
    """Return keyspace and name of what may be qualified; not quoted means lower case.

    >>> split_name('Shop."Users"', None)
    ('shop', 'Users')
    """
    parts = [
        part[1:-1].replace('""', '"') if part[0] == '"' else part.lower() for part in _NAMES.findall(name)
    ]
    return (parts[0], parts[1]) if len(parts) == 2 else (keyspace, parts[0])


def split_list(text: str) -> Iterator[str]:
    """Yield what is between the commas outside any brackets.

    >>> list(split_list("a int, b map<int, text>, PRIMARY KEY (a, b)"))
    ['a int', 'b map<int, text>', 'PRIMARY KEY (a, b)']
    """
    depth, start = 0, 0
    for at, sign in enumerate(text):
        depth += (sign in "(<{[") - (sign in ")>}]")
        if sign == "," and not depth:
            yield text[start:at].strip()
            start = at + 1
    yield text[start:].strip()


def unquoted(name: str) -> str:
    """Return a name without a keyspace as system tables have it."""
    return split_name(name, None)[1]
