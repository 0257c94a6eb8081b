"""The statements that change a schema, carried out on what was declared before."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .declared import (
    NAME,
    Change,
    Declarations,
    Keyspace,
    SchemaError,
    Table,
    View,
    split_list,
    split_name,
    unquoted,
)
from .errorcodes import ErrorCode
from .functions import aggregate_of, arguments_of, function_of
from .properties import index_options, pairs, table_options

_KIND = re.compile(
    r"\s*(?P<verb>create|drop|alter)\s+(?:or\s+replace\s+)?"
    r"(?P<what>keyspace|schema|table|columnfamily|type|materialized\s+view|function|aggregate|(?:custom\s+)?index)\s+"
    rf"(?P<if>if\s+(?:not\s+)?exists\s+)?(?:(?!on\b)(?P<name>{NAME}(?:\.{NAME})?))?\s*(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_SYNONYMS = {
    "schema": "keyspace",
    "columnfamily": "table",
    "materialized view": "view",
    "custom index": "index",
}
_COLUMN = re.compile(
    rf"(?P<name>{NAME})\s+(?P<type>.+?)(?P<static>\s+static)?(?P<key>\s+primary\s+key)?$", re.I | re.DOTALL
)
_PRIMARY_KEY = re.compile(r"primary\s+key\s*\((?P<key>.*)\)$", re.IGNORECASE | re.DOTALL)
_ALTER = re.compile(r"(?P<verb>add|drop)\s+\(?(?P<columns>.*?)\)?$", re.IGNORECASE | re.DOTALL)
_ADD_FIELD = re.compile(rf"add\s+(?P<name>{NAME})\s+(?P<type>.+)$", re.IGNORECASE | re.DOTALL)
_RENAMED = re.compile(rf"({NAME})\s+to\s+({NAME})", re.IGNORECASE)
_DESCENDING = re.compile(rf"({NAME})\s+desc\b", re.IGNORECASE)
_DURABLE = re.compile(r"durable_writes\s*=\s*(true|false)", re.IGNORECASE)
_REPLICATION = re.compile(r"\breplication\s*=\s*\{(.*?)\}", re.IGNORECASE | re.DOTALL)
_TABLETS = re.compile(r"\btablets\s*=\s*\{(.*?)\}", re.IGNORECASE | re.DOTALL)
_CONSISTENCY = re.compile(r"\bconsistency\s*=\s*'(\w+)'", re.IGNORECASE)
_INDEX = re.compile(
    rf"on\s+(?P<table>{NAME}(?:\.{NAME})?)\s*\((?P<target>[^()]*(?:\([^()]*\))?)\s*\)\s*(?:using\s+'(?P<using>[^']+)')?(?P<rest>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_VIEW = re.compile(
    rf"as\s+select\s+(?P<columns>.+?)\s+from\s+(?P<base>{NAME}(?:\.{NAME})?)\s+where\s+(?P<where>.+?)\s+"
    r"primary\s+key\s*\((?P<key>[^)]*(?:\)[^)]*)??)\)\s*(?P<rest>with\b.*)?$",
    re.IGNORECASE | re.DOTALL,
)


def understands(text: str) -> bool:
    """Whether this is a statement that changes the schema."""
    return _KIND.match(text) is not None


class Statement:
    """One statement on its way into a schema. Raises SchemaError if it is none that is understood."""

    def __init__(self, schema: Declarations, text: str, keyspace: str | None) -> None:
        match = _KIND.match(text)
        if match is None:
            raise SchemaError(
                ErrorCode.INVALID,
                f"the test server does not understand {text!r}: CREATE, ALTER and DROP of KEYSPACE, TABLE and TYPE, "
                "CREATE and DROP of INDEX, MATERIALIZED VIEW, FUNCTION and AGGREGATE are what it knows",
            )
        self._schema = schema
        self._text = text
        self._verb = match["verb"].lower()
        what = " ".join(match["what"].lower().split())
        self._what = _SYNONYMS.get(what, what)
        self._lenient = match["if"] is not None
        self._keyspace, self._name = split_name(match["name"], keyspace) if match["name"] else (keyspace, "")
        self._rest = match["rest"]

    def execute(self) -> list[Change]:
        """Carry it out; return what has changed. Raises SchemaError."""
        return _DOERS.get((self._verb, self._what), Statement._unknown)(self)

    # --- Keyspaces -----------------------------------------------------------------------------------------

    def _create_keyspace(self) -> list[Change]:
        if self._name in self._schema.keyspaces:
            return self._exists_already(keyspace=self._name, table="")
        self._schema.keyspaces[self._name] = Keyspace(self._name, {"class": _located("SimpleStrategy")})
        self._set_properties()
        return [Change("CREATED", "KEYSPACE", self._name)]

    def _alter_keyspace(self) -> list[Change]:
        if self._name not in self._schema.keyspaces:
            return self._missing()
        if not self._set_properties():
            return self._unknown()
        return [Change("UPDATED", "KEYSPACE", self._name)]

    def _set_properties(self) -> bool:
        keyspace = self._schema.keyspaces[self._name]
        replication, durable = _REPLICATION.search(self._rest), _DURABLE.search(self._rest)
        tablets, consistency = _TABLETS.search(self._rest), _CONSISTENCY.search(self._rest)
        if replication is not None:
            keyspace.replication = pairs(replication[1])
            keyspace.replication["class"] = _located(keyspace.replication.get("class", "SimpleStrategy"))
        if durable is not None:
            keyspace.durable_writes = durable[1].lower() == "true"
        if tablets is not None:
            told = pairs(tablets[1])
            keyspace.tablets = int(told.get("initial", 0)) if told.get("enabled", "true") == "true" else None
        if consistency is not None:
            keyspace.consistency = consistency[1]
        return any(each is not None for each in (replication, durable, tablets, consistency))

    def _drop_keyspace(self) -> list[Change]:
        if self._name not in self._schema.keyspaces:
            return self._missing()
        del self._schema.keyspaces[self._name]
        return [Change("DROPPED", "KEYSPACE", self._name)]

    # --- Tables and views ----------------------------------------------------------------------------------

    def _create_table(self) -> list[Change]:
        home = self._home()
        if self._name in home.tables:
            return self._exists_already(keyspace=home.name, table=self._name)
        body, after = self._in_brackets()
        table = Table(home.name, self._name, {}, [], [], set())
        for item in split_list(body):
            if key := _PRIMARY_KEY.match(item):
                _set_key(table, key["key"])
            else:
                self._add_column(table, item)
        if not table.partition_key:
            raise SchemaError(ErrorCode.INVALID, f"No PRIMARY KEY specified for table '{self._name}'")
        table.descending = {unquoted(each) for each in _DESCENDING.findall(after)}
        table.options = table_options(after)
        home.tables[self._name] = table
        return [Change("CREATED", "TABLE", home.name, self._name)]

    def _alter_table(self) -> list[Change]:
        home = self._home()
        table = home.tables.get(self._name)
        if table is None:
            return self._missing()
        altered = [Change("UPDATED", "TABLE", home.name, self._name)]
        alteration = _ALTER.match(self._rest)
        if alteration is None:
            table.options |= table_options(self._rest)
            return altered
        views = [view for view in home.views.values() if view.base is table and view.all_columns]
        for item in split_list(alteration["columns"]):
            if alteration["verb"].lower() == "add":
                self._add_column(table, item)
                for view in views:
                    self._add_column(view.table, item)
            else:
                self._drop_column(table, item)
        return [*(Change("UPDATED", "TABLE", home.name, view.table.name) for view in views), *altered]

    def _add_column(self, table: Table, item: str) -> None:
        column = _COLUMN.match(item)
        if column is None:
            raise SchemaError(
                ErrorCode.SYNTAX_ERROR, f"{item!r} in {self._text!r} is not a column and its type"
            )
        name = unquoted(column["name"])
        table.columns[name] = self._checked(column["type"], table.keyspace)
        if column["key"]:
            table.partition_key = [name]
        if column["static"]:
            table.static.add(name)

    def _drop_column(self, table: Table, item: str) -> None:
        name = unquoted(item)
        if name not in table.columns:
            raise SchemaError(ErrorCode.INVALID, f"Column {item} was not found in table '{self._name}'")
        table.dropped[name] = table.kind(name)[0], table.columns.pop(name)
        table.static.discard(name)

    def _create_index(self) -> list[Change]:
        parsed = _INDEX.match(self._rest)
        table = self._schema.table(parsed["table"], self._keyspace) if parsed else None
        if parsed is None or table is None:
            return self._unknown()
        target = parsed["target"].strip()
        name = self._name or f"{table.name}_{unquoted(target.split('(')[-1])}_idx"
        if name in table.indexes:
            return self._exists_already(code=ErrorCode.INVALID)
        table.indexes[name] = index_options(target, parsed["using"], parsed["rest"])
        return [Change("UPDATED", "TABLE", table.keyspace, table.name)]

    def _drop_index(self) -> list[Change]:
        for table in self._home().tables.values():
            if table.indexes.pop(self._name, None) is not None:
                return [Change("UPDATED", "TABLE", table.keyspace, table.name)]
        return self._missing()

    def _create_view(self) -> list[Change]:
        home = self._home()
        parsed = _VIEW.match(self._rest)
        base = self._schema.table(parsed["base"], home.name) if parsed else None
        if parsed is None or base is None:
            return self._unknown()
        if self._name in home.views:
            return self._exists_already(keyspace=home.name, table=self._name)
        everything = parsed["columns"].strip() == "*"
        names = list(base.columns) if everything else list(map(unquoted, split_list(parsed["columns"])))
        table = Table(home.name, self._name, {name: base.columns[name] for name in names}, [], [], set())
        _set_key(table, parsed["key"])
        table.columns |= {name: base.columns[name] for name in (*table.partition_key, *table.clustering)}
        table.descending = {unquoted(each) for each in _DESCENDING.findall(parsed["rest"] or "")}
        table.options = table_options(parsed["rest"] or "")
        home.views[self._name] = View(table, base, parsed["where"], everything)
        return [Change("CREATED", "TABLE", home.name, self._name)]

    # --- Types and functions ---------------------------------------------------------------------------------

    def _create_type(self) -> list[Change]:
        home = self._home()
        if self._name in home.types:
            return self._exists_already(code=ErrorCode.INVALID)
        fields = [item.split(None, 1) for item in split_list(self._in_brackets()[0])]
        home.types[self._name] = {unquoted(name): self._checked(type_, home.name) for name, type_ in fields}
        return [Change("CREATED", "TYPE", home.name, self._name)]

    def _alter_type(self) -> list[Change]:
        home = self._home()
        fields = home.types.get(self._name)
        if fields is None:
            return self._missing()
        if added := _ADD_FIELD.match(self._rest):
            fields[unquoted(added["name"])] = self._checked(added["type"], home.name)
        elif self._rest.lower().startswith("rename"):
            renamed = {unquoted(old): unquoted(new) for old, new in _RENAMED.findall(self._rest)}
            home.types[self._name] = {renamed.get(name, name): of for name, of in fields.items()}
        else:
            return self._unknown()
        return [*self._users_of(home), Change("UPDATED", "TYPE", home.name, self._name)]

    def _users_of(self, home: Keyspace) -> list[Change]:
        """Return the changes of the tables that have the type in their columns, as Cassandra announces them."""
        word = re.compile(rf"\b{re.escape(self._name)}\b")
        return [
            Change("UPDATED", "TABLE", home.name, table.name)
            for table in home.tables.values()
            if any(word.search(type_) for type_ in table.columns.values())
        ]

    def _create_function(self) -> list[Change]:
        home = self._home()
        function = function_of(*self._in_brackets())
        if function is None:
            return self._unknown()
        arguments = tuple(function.arguments.values())
        replaced = (self._name, arguments) in home.functions
        home.functions[self._name, arguments] = function
        return [Change("UPDATED" if replaced else "CREATED", "FUNCTION", home.name, self._name, arguments)]

    def _create_aggregate(self) -> list[Change]:
        home = self._home()
        aggregate = aggregate_of(home, *self._in_brackets())
        if aggregate is None:
            return self._unknown()
        replaced = (self._name, aggregate.arguments) in home.aggregates
        home.aggregates[self._name, aggregate.arguments] = aggregate
        change = "UPDATED" if replaced else "CREATED"
        return [Change(change, "AGGREGATE", home.name, self._name, aggregate.arguments)]

    def _drop_function(self) -> list[Change]:
        home = self._home()
        things: dict[Any, Any] = home.functions if self._what == "function" else home.aggregates
        wanted = arguments_of(self._rest)
        for name, arguments in things:
            if name == self._name and wanted in (None, arguments):
                del things[name, arguments]
                return [Change("DROPPED", self._what.upper(), home.name, name, arguments)]
        return self._missing()

    def _drop(self) -> list[Change]:
        home = self._home()
        places: dict[str, Any] = {"table": home.tables, "type": home.types, "view": home.views}
        things = places[self._what]
        found = things.get(self._name)
        if found is None:
            return self._missing()
        if any(view.base is found for view in home.views.values()):
            raise SchemaError(
                ErrorCode.INVALID, "Cannot drop a table when materialized views still depend on it"
            )
        del things[self._name]
        target = "TYPE" if self._what == "type" else "TABLE"
        return [Change("DROPPED", target, home.name, self._name)]

    # --- Within --------------------------------------------------------------------------------------------

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

    def _unknown(self) -> list[Change]:
        raise SchemaError(ErrorCode.INVALID, f"the test server cannot carry out {self._text!r}")


def _set_key(table: Table, text: str) -> None:
    partition, *clustering = split_list(text)
    table.partition_key = [unquoted(each) for each in split_list(partition.strip("()"))]
    table.clustering = [unquoted(each) for each in clustering]


def _located(strategy: str) -> str:
    return strategy if "." in strategy else f"org.apache.cassandra.locator.{strategy}"


_DOERS: dict[tuple[str, str], Callable[[Statement], list[Change]]] = {
    ("create", "keyspace"): Statement._create_keyspace,
    ("create", "table"): Statement._create_table,
    ("create", "type"): Statement._create_type,
    ("create", "index"): Statement._create_index,
    ("create", "view"): Statement._create_view,
    ("create", "function"): Statement._create_function,
    ("create", "aggregate"): Statement._create_aggregate,
    ("drop", "keyspace"): Statement._drop_keyspace,
    ("drop", "table"): Statement._drop,
    ("drop", "type"): Statement._drop,
    ("drop", "index"): Statement._drop_index,
    ("drop", "view"): Statement._drop,
    ("drop", "function"): Statement._drop_function,
    ("drop", "aggregate"): Statement._drop_function,
    ("alter", "keyspace"): Statement._alter_keyspace,
    ("alter", "table"): Statement._alter_table,
    ("alter", "type"): Statement._alter_type,
}
