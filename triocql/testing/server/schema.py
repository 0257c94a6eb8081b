"""The schema that the nodes know: keyspaces, tables and types, declared in CQL."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .errorcodes import ErrorCode
from .types import CqlType, UserType, parse_type


class SchemaError(Exception):
    """A statement cannot be carried out; `code` and `fields` are those of the node's error."""

    def __init__(self, code: ErrorCode, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.code = code
        self.fields = fields


class Change(NamedTuple):
    """A change of the schema, in the words of the protocol's events."""

    change: str
    target: str
    keyspace: str
    name: str | None = None


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

    def kind(self, column: str) -> tuple[str, int]:
        """Return what a column is, and its position in that."""
        if column in self.partition_key:
            return "partition_key", self.partition_key.index(column)
        if column in self.clustering:
            return "clustering", self.clustering.index(column)
        return ("static" if column in self.static else "regular"), -1


@dataclass
class Keyspace:
    """A keyspace; `types` has the fields of its user-defined types."""

    name: str
    replication: dict[str, str]
    durable_writes: bool = True
    tables: dict[str, Table] = field(default_factory=dict)
    types: dict[str, dict[str, str]] = field(default_factory=dict)


class Schema:
    """The schema that all nodes agree on.

    Attributes:
        keyspaces: by their names.
        version: the schema's version; another one after each change.

    >>> schema = Schema()
    >>> schema.execute("CREATE KEYSPACE shop")
    [Change(change='CREATED', target='KEYSPACE', keyspace='shop', name=None)]
    """

    def __init__(self) -> None:
        self.keyspaces: dict[str, Keyspace] = {}
        self.version = uuid.uuid4()

    def execute(self, text: str, keyspace: str | None = None) -> list[Change]:
        """Carry out statements that are separated by semicolons; names without a keyspace are in `keyspace`.

        CREATE and DROP of KEYSPACE, TABLE and TYPE, and ALTER TABLE ... ADD and DROP are understood.

        Raises:
            SchemaError: one of them is not understood, or cannot be carried out.
        """
        changes: list[Change] = []
        for statement in filter(None, map(str.strip, text.split(";"))):
            changes += _Statement(self, statement, keyspace).execute()
        if changes:
            self.version = uuid.uuid4()
        return changes

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


def understands(text: str) -> bool:
    """Whether this is a statement that changes the schema."""
    return _KIND.match(text) is not None


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


_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_NAMES = re.compile(_NAME)
_KIND = re.compile(
    r"\s*(?P<verb>create|drop|alter)\s+(?P<what>keyspace|schema|table|columnfamily|type)\s+"
    rf"(?P<if>if\s+(?:not\s+)?exists\s+)?(?P<name>{_NAME}(?:\.{_NAME})?)\s*(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_COLUMN = re.compile(
    rf"(?P<name>{_NAME})\s+(?P<type>.+?)(?P<static>\s+static)?(?P<key>\s+primary\s+key)?$", re.I | re.DOTALL
)
_PRIMARY_KEY = re.compile(r"primary\s+key\s*\((?P<key>.*)\)$", re.IGNORECASE | re.DOTALL)
_ALTER = re.compile(r"(?P<verb>add|drop)\s+\(?(?P<columns>.*?)\)?$", re.IGNORECASE | re.DOTALL)
_DESCENDING = re.compile(rf"({_NAME})\s+desc\b", re.IGNORECASE)
_PAIR = re.compile(r"'([^']*)'\s*:\s*'?([^',}]*)'?")


class _Statement:
    """One statement on its way into a schema."""

    def __init__(self, schema: Schema, text: str, keyspace: str | None) -> None:
        match = _KIND.match(text)
        if match is None:
            raise SchemaError(
                ErrorCode.INVALID,
                f"the test server does not understand {text!r}: CREATE and DROP of KEYSPACE, TABLE and TYPE, and "
                "ALTER TABLE ... ADD or DROP are what it knows",
            )
        self._schema = schema
        self._text = text
        self._verb = match["verb"].lower()
        self._what = {"schema": "keyspace", "columnfamily": "table"}.get(
            match["what"].lower(), match["what"].lower()
        )
        self._lenient = match["if"] is not None
        self._keyspace, self._name = split_name(match["name"], keyspace)
        self._rest = match["rest"]

    def execute(self) -> list[Change]:
        return _DOERS[self._verb, self._what](self)

    # --- Keyspaces -------------------------------------------------------------------------------------------

    def _create_keyspace(self) -> list[Change]:
        if self._name in self._schema.keyspaces:
            return self._exists_already(keyspace=self._name, table="")
        body = re.search(r"\{(.*?)\}", self._rest)
        replication = dict(_PAIR.findall(body[1])) if body else {"class": "SimpleStrategy"}
        durable = re.search(r"durable_writes\s*=\s*false", self._rest, re.IGNORECASE) is None
        if "." not in replication.get("class", "."):
            replication["class"] = f"org.apache.cassandra.locator.{replication['class']}"
        self._schema.keyspaces[self._name] = Keyspace(self._name, replication, durable)
        return [Change("CREATED", "KEYSPACE", self._name)]

    def _drop_keyspace(self) -> list[Change]:
        if self._name not in self._schema.keyspaces:
            return self._missing()
        del self._schema.keyspaces[self._name]
        return [Change("DROPPED", "KEYSPACE", self._name)]

    # --- Tables and types --------------------------------------------------------------------------------------

    def _create_table(self) -> list[Change]:
        home = self._home()
        if self._name in home.tables:
            return self._exists_already(keyspace=home.name, table=self._name)
        body, after = self._in_brackets()
        table = Table(home.name, self._name, {}, [], [], set())
        for item in split_list(body):
            if key := _PRIMARY_KEY.match(item):
                partition, *clustering = split_list(key["key"])
                table.partition_key = [self._unquoted(each) for each in split_list(partition.strip("()"))]
                table.clustering = [self._unquoted(each) for each in clustering]
            else:
                self._add_column(table, item)
        if not table.partition_key:
            raise SchemaError(ErrorCode.INVALID, f"No PRIMARY KEY specified for table '{self._name}'")
        table.descending = {self._unquoted(each) for each in _DESCENDING.findall(after)}
        home.tables[self._name] = table
        return [Change("CREATED", "TABLE", home.name, self._name)]

    def _alter_table(self) -> list[Change]:
        home = self._home()
        table = home.tables.get(self._name)
        alteration = _ALTER.match(self._rest)
        if table is None:
            return self._missing()
        if alteration is None:
            return [Change("UPDATED", "TABLE", home.name, self._name)]
        for item in split_list(alteration["columns"]):
            if alteration["verb"].lower() == "add":
                self._add_column(table, item)
            else:
                self._drop_column(table, item)
        return [Change("UPDATED", "TABLE", home.name, self._name)]

    def _add_column(self, table: Table, item: str) -> None:
        column = _COLUMN.match(item)
        if column is None:
            raise SchemaError(
                ErrorCode.SYNTAX_ERROR, f"{item!r} in {self._text!r} is not a column and its type"
            )
        name = self._unquoted(column["name"])
        table.columns[name] = self._checked(column["type"], table.keyspace)
        if column["key"]:
            table.partition_key = [name]
        if column["static"]:
            table.static.add(name)

    def _drop_column(self, table: Table, item: str) -> None:
        name = self._unquoted(item)
        if table.columns.pop(name, None) is None:
            raise SchemaError(ErrorCode.INVALID, f"Column {item} was not found in table '{self._name}'")
        table.static.discard(name)

    def _create_type(self) -> list[Change]:
        home = self._home()
        if self._name in home.types:
            return self._exists_already(code=ErrorCode.INVALID)
        fields = [item.split(None, 1) for item in split_list(self._in_brackets()[0])]
        home.types[self._name] = {
            self._unquoted(name): self._checked(type_, home.name) for name, type_ in fields
        }
        return [Change("CREATED", "TYPE", home.name, self._name)]

    def _drop(self) -> list[Change]:
        home = self._home()
        things: dict[str, Any] = home.tables if self._what == "table" else home.types
        if things.pop(self._name, None) is None:
            return self._missing()
        return [Change("DROPPED", self._what.upper(), home.name, self._name)]

    # --- Within ------------------------------------------------------------------------------------------------

    def _home(self) -> Keyspace:
        if self._keyspace is None:
            raise SchemaError(
                ErrorCode.INVALID,
                "No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename",
            )
        if self._keyspace not in self._schema.keyspaces:
            raise SchemaError(ErrorCode.INVALID, f"Keyspace '{self._keyspace}' doesn't exist")
        return self._schema.keyspaces[self._keyspace]

    def _in_brackets(self) -> tuple[str, str]:
        start, end = self._rest.find("("), 0
        depth = 0
        for at, sign in enumerate(self._rest):
            depth += (sign == "(") - (sign == ")")
            if sign == ")" and not depth:
                end = at
                break
        if start < 0 or not end:
            raise SchemaError(ErrorCode.SYNTAX_ERROR, f"{self._text!r} has no columns in brackets")
        return self._rest[start + 1 : end].strip().rstrip(","), self._rest[end + 1 :]

    def _checked(self, text: str, keyspace: str) -> str:
        try:
            self._schema.type(text, keyspace)
        except ValueError as error:
            raise SchemaError(ErrorCode.INVALID, str(error)) from None
        return re.sub(r"\s*([<,>])\s*", r"\1", text.strip().lower()).replace(",", ", ")

    def _exists_already(self, code: ErrorCode = ErrorCode.ALREADY_EXISTS, **fields: Any) -> list[Change]:
        if self._lenient:
            return []
        raise SchemaError(code, f"{self._what} {self._name!r} exists already", **fields)

    def _missing(self) -> list[Change]:
        if self._lenient:
            return []
        raise SchemaError(ErrorCode.INVALID, f"{self._what} {self._name!r} doesn't exist")

    @staticmethod
    def _unquoted(name: str) -> str:
        return split_name(name, None)[1]


def _unknown(statement: _Statement) -> list[Change]:
    raise SchemaError(ErrorCode.INVALID, f"the test server cannot carry out {statement._text!r}")


_DOERS: dict[tuple[str, str], Callable[[_Statement], list[Change]]] = {
    ("create", "keyspace"): _Statement._create_keyspace,
    ("create", "table"): _Statement._create_table,
    ("create", "type"): _Statement._create_type,
    ("drop", "keyspace"): _Statement._drop_keyspace,
    ("drop", "table"): _Statement._drop,
    ("drop", "type"): _Statement._drop,
    ("alter", "table"): _Statement._alter_table,
    ("alter", "keyspace"): _unknown,
    ("alter", "type"): _unknown,
}
