"""A small model of a server that carries out DDL, and refuses what a real one refuses: what is missing, there already,
in use, or no ALTER's work. It knows the statements that `difference` writes, and shares nothing with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from triocql.metadata.schema import Keyspace

_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_KEYSPACE = '"Shop"'


class RefusedError(Exception):
    """The server does not take a statement."""


def check(condition: object, why: str) -> None:
    """Refuse a statement."""
    if not condition:
        raise RefusedError(why)


@dataclass
class TableState:
    """A table: columns are their text without a mask."""

    columns: dict[str, str] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)
    key: str = ""
    order: str = ""
    options: dict[str, str] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)
    triggers: dict[str, str] = field(default_factory=dict)

    @property
    def key_names(self) -> set[str]:
        return set(re.findall(_NAME, self.key))


@dataclass
class ViewState:
    """A view."""

    base: str
    text: str
    options: dict[str, str]


class Server:
    """What a server has."""

    def __init__(self) -> None:
        self.keyspace: dict[str, str] | None = None
        self.types: dict[str, dict[str, str]] = {}
        self.functions: dict[str, str] = {}
        self.aggregates: dict[str, str] = {}
        self.tables: dict[str, TableState] = {}
        self.views: dict[str, ViewState] = {}
        self.dropped: dict[tuple[str, str], str] = {}

    @classmethod
    def of(cls, keyspace: Keyspace | None) -> Server:
        """Make a server that has a keyspace."""
        server = cls()
        if keyspace is None:
            return server
        for each in keyspace.describe().objects:
            server.execute(each.cql)
        for table in keyspace.tables.values():
            name = _quoted(table.name)
            for trigger in table.triggers.values():
                server.execute(
                    f"CREATE TRIGGER {trigger.name} ON {_KEYSPACE}.{name} USING '{trigger.class_name}';"
                )
            for column in table.dropped_columns.values():
                server.dropped[name, column.name] = column.cql_type
        return server

    def execute(self, cql: str) -> None:
        """Carry out a statement."""
        for pattern, do in _STATEMENTS:
            if found := re.fullmatch(pattern.replace("NAME", _NAME), cql, re.DOTALL):
                do(self, *found.groups())
                return
        raise RefusedError(f"syntax error: {cql}")

    @property
    def state(self) -> object:
        """All that is comparable."""
        return self.keyspace, self.types, self.functions, self.aggregates, self.tables, self.views

    # --- Keyspaces and types -------------------------------------------------------------------------------

    def create_keyspace(self, options: str) -> None:
        check(self.keyspace is None, "it is there")
        self.keyspace = _options(options)

    def alter_keyspace(self, options: str) -> None:
        check(self.keyspace is not None, "no keyspace")
        assert self.keyspace is not None
        self.keyspace.update(_options(options))

    def drop_keyspace(self) -> None:
        check(self.keyspace is not None, "no keyspace")
        self.__init__()  # type: ignore[misc]

    def create_type(self, name: str, body: str) -> None:
        check(self.keyspace is not None, "no keyspace")
        check(name not in self.types, f"type {name} is there")
        fields = dict(line.strip().split(" ", 1) for line in re.split(r",\n", body))
        for each in fields.values():
            self._check_types(each)
        self.types[name] = fields

    def drop_type(self, name: str) -> None:
        check(name in self.types, f"no type {name}")
        del self.types[name]
        for text in self._texts():
            check(not _mentions(text, name), f"type {name} is in use: {text}")

    def add_field(self, name: str, added: str, cql_type: str) -> None:
        check(name in self.types and added not in self.types[name], "no type, or a field twice")
        self._check_types(cql_type)
        for table in self.tables.values():
            partition = next(iter(table.columns.values()))
            check(not self._is_within(name, partition), "it is in a partition key")
        self.types[name][added] = cql_type

    def rename_field(self, name: str, was: str, now: str) -> None:
        check(name in self.types and was in self.types[name] and now not in self.types[name], "no such field")
        self.types[name] = {now if each == was else each: type_ for each, type_ in self.types[name].items()}

    def _check_types(self, text: str) -> None:
        for used in re.findall(r"\bt\d\b", text):
            check(used in self.types, f"no type {used}")

    def _is_within(self, name: str, text: str) -> bool:
        return any(
            used == name or any(self._is_within(name, each) for each in self.types[used].values())
            for used in re.findall(r"\bt\d\b", text)
        )

    def _texts(self) -> Iterator[str]:
        for fields in self.types.values():
            yield from fields.values()
        for table in self.tables.values():
            yield from table.columns.values()
        yield from self.functions
        yield from self.aggregates

    # --- Functions -----------------------------------------------------------------------------------------

    def create_function(self, replace: str | None, name: str, takes: str, rest: str) -> None:
        check(self.keyspace is not None, "no keyspace")
        rest = _with_plain_body(rest)
        types = [each.split(" ", 1)[1] for each in takes.split(", ")]
        self._check_types(takes)
        signature = f"{name}({', '.join(types)})"
        before = self.functions.get(signature)
        check(before is None or replace, f"function {signature} is there")
        if before is not None:
            fixed = r"CALLED|RETURNS NULL ON|RETURNS \w+\n"
            check(re.findall(fixed, before) == re.findall(fixed, rest), "it cannot replace that one")
        self.functions[signature] = f"{takes}{rest}"

    def drop_function(self, signature: str) -> None:
        check(signature in self.functions, f"no function {signature}")
        name = signature.partition("(")[0]
        for aggregate in self.aggregates.values():
            check(f"SFUNC {name}\n" not in aggregate, "an aggregate has it")
        for table in self.tables.values():
            check(
                not any(f".{name.strip(chr(34))}(" in mask for mask in table.masks.values()), "a mask has it"
            )
        del self.functions[signature]

    def create_aggregate(self, replace: str | None, signature: str, rest: str) -> None:
        check(signature not in self.aggregates or replace, "aggregate is there")
        (name,) = re.findall(rf"SFUNC ({_NAME})", rest)
        (taken,) = re.findall(r"\((.*)\)", signature)
        check(f"{name}(int, {taken})" in self.functions, "no state function")
        self.aggregates[signature] = rest

    def drop_aggregate(self, signature: str) -> None:
        check(signature in self.aggregates, "no aggregate")
        del self.aggregates[signature]

    # --- Tables --------------------------------------------------------------------------------------------

    def create_table(self, name: str, body: str, options: str) -> None:
        check(self.keyspace is not None, "no keyspace")
        check(name not in self.tables, f"table {name} is there")
        table = TableState()
        for line in (each.strip() for each in body.split(",\n")):
            if line.startswith("PRIMARY KEY"):
                table.key = line
                continue
            if line.endswith(" PRIMARY KEY"):
                line = line.removesuffix(" PRIMARY KEY")
                table.key = f"PRIMARY KEY ({re.match(_NAME, line)[0]})"  # type: ignore[index]
            self._add(table, line)
        if found := re.match(r"CLUSTERING ORDER BY \((.*?)\)\n    AND ", options):
            table.order, options = found[1], options[found.end() :]
        table.options = _options(options)
        self.tables[name] = table

    def _add(self, table: TableState, text: str) -> None:
        text, _, mask = text.partition(" MASKED WITH ")
        self._check_types(text)
        column = re.match(_NAME, text)[0]  # type: ignore[index]
        check(column not in table.columns, f"column {column} is there")
        table.columns[column] = text
        if mask:
            self._mask(table, column, mask)

    def _mask(self, table: TableState, column: str, mask: str) -> None:
        found = re.match(rf"({_NAME})\.({_NAME})\(", mask)
        assert found is not None
        keyspace, name = found.groups()
        # DESCRIBE does without quotes.
        quoted = _quoted(name.strip('"'))
        known = any(each.partition("(")[0] == quoted for each in self.functions)
        check(keyspace == "system" or known, f"no function {name}")
        table.masks[column] = f"{keyspace}.{name}({mask[found.end() :]}".replace('"', "")

    def _table(self, name: str) -> TableState:
        check(name in self.tables, f"no table {name}")
        return self.tables[name]

    def add_column(self, name: str, text: str) -> None:
        table = self._table(name)
        column, cql_type = text.partition(" MASKED")[0].split(" ", 1)
        before = self.dropped.get((name, column))
        check(before in (None, cql_type), "it was dropped with another type")
        check("counter" not in text and "PRIMARY" not in text, "not to be added")
        self._add(table, text)

    def drop_column(self, name: str, column: str) -> None:
        table = self._table(name)
        check(column in table.columns and column not in table.key_names, f"no column {column}")
        check(not any(f"({column})" in each for each in table.indexes.values()), "an index has it")
        check(not any(view.base == name for view in self.views.values()), "there are views")
        table.masks.pop(column, None)
        del table.columns[column]

    def rename_column(self, name: str, was: str, now: str) -> None:
        table = self._table(name)
        check(was in table.key_names and now not in table.columns, "not to be renamed")
        check(not table.indexes, "there are indexes")
        check(not any(view.base == name for view in self.views.values()), "there are views")
        table.key = re.sub(rf"(?<![\w\"]){re.escape(was)}(?![\w\"])", now, table.key)
        table.columns = {
            (now if each == was else each): (now + text[len(was) :] if each == was else text)
            for each, text in table.columns.items()
        }

    def mask_column(self, name: str, column: str, mask: str) -> None:
        check(column in self._table(name).columns, f"no column {column}")
        self._mask(self.tables[name], column, mask)

    def unmask_column(self, name: str, column: str) -> None:
        check(column in self._table(name).masks, f"no mask of {column}")
        del self.tables[name].masks[column]

    def alter_table(self, name: str, options: str) -> None:
        self._table(name).options.update(_options(options))

    def drop_table(self, name: str) -> None:
        self._table(name)
        check(not any(view.base == name for view in self.views.values()), "there are views")
        del self.tables[name]

    # --- Indexes, triggers, views --------------------------------------------------------------------------

    def create_index(self, name: str, table: str, target: str) -> None:
        check(not any(name in each.indexes for each in self.tables.values()), "index is there")
        check(target in self._table(table).columns, f"no column {target}")
        self.tables[table].indexes[name] = f"({target})"

    def drop_index(self, name: str) -> None:
        (table,) = (each for each in self.tables.values() if name in each.indexes)
        del table.indexes[name]

    def create_trigger(self, name: str, table: str, class_name: str) -> None:
        check(name not in self._table(table).triggers, "trigger is there")
        self.tables[table].triggers[name] = class_name

    def drop_trigger(self, name: str, table: str) -> None:
        check(name in self._table(table).triggers, "no trigger")
        del self.tables[table].triggers[name]

    def create_view(self, name: str, body: str, options: str) -> None:
        check(name not in self.views, "view is there")
        (base,) = re.findall(rf"FROM {_KEYSPACE}\.({_NAME})", body)
        self._table(base)
        order = ""
        if found := re.match(r"CLUSTERING ORDER BY \((.*?)\)\n    AND ", options):
            order, options = found[0], options[found.end() :]
        self.views[name] = ViewState(base, body + order, _options(options))

    def alter_view(self, name: str, options: str) -> None:
        check(name in self.views, "no view")
        self.views[name].options.update(_options(options))

    def drop_view(self, name: str) -> None:
        check(name in self.views, "no view")
        del self.views[name]


def _options(text: str) -> dict[str, str]:
    return dict(each.split(" = ", 1) for each in re.split(r"\s+AND ", text))


def _with_plain_body(text: str) -> str:
    head, _, literal = text.partition(" AS ")
    return (
        f"{head} AS {literal[1:-1].replace(chr(39) * 2, chr(39)) if literal[0] == chr(39) else literal[2:-2]}"
    )


def _quoted(name: str) -> str:
    return name if re.fullmatch("[a-z][a-z0-9_]*", name) else f'"{name}"'


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


_IN = rf"{_KEYSPACE}\."
_STATEMENTS: list[tuple[str, Callable[..., None]]] = [
    (rf"CREATE KEYSPACE {_KEYSPACE} WITH (.*);", Server.create_keyspace),
    (rf"ALTER KEYSPACE {_KEYSPACE} WITH (.*);", Server.alter_keyspace),
    (rf"DROP KEYSPACE {_KEYSPACE};", Server.drop_keyspace),
    (rf"CREATE TYPE {_IN}(NAME) \(\n(.*)\n\);", Server.create_type),
    (rf"DROP TYPE {_IN}(NAME);", Server.drop_type),
    (rf"ALTER TYPE {_IN}(NAME) ADD (NAME) (.*);", Server.add_field),
    (rf"ALTER TYPE {_IN}(NAME) RENAME (NAME) TO (NAME);", Server.rename_field),
    (rf"CREATE (OR REPLACE )?FUNCTION {_IN}(NAME)\((.*?)\)\n(.*);", Server.create_function),
    (rf"DROP FUNCTION {_IN}(NAME\(.*\));", Server.drop_function),
    (rf"CREATE (OR REPLACE )?AGGREGATE {_IN}(NAME\(.*?\))\n(.*);", Server.create_aggregate),
    (rf"DROP AGGREGATE {_IN}(NAME\(.*\));", Server.drop_aggregate),
    (rf"CREATE TABLE {_IN}(NAME) \(\n(.*)\n\) WITH (.*);", Server.create_table),
    (rf"DROP TABLE {_IN}(NAME);", Server.drop_table),
    (rf"ALTER TABLE {_IN}(NAME) ADD (.*);", Server.add_column),
    (rf"ALTER TABLE {_IN}(NAME) DROP (NAME);", Server.drop_column),
    (rf"ALTER TABLE {_IN}(NAME) RENAME (NAME) TO (NAME);", Server.rename_column),
    (rf"ALTER TABLE {_IN}(NAME) ALTER (NAME) MASKED WITH (.*);", Server.mask_column),
    (rf"ALTER TABLE {_IN}(NAME) ALTER (NAME) DROP MASKED;", Server.unmask_column),
    (rf"ALTER TABLE {_IN}(NAME) WITH (.*);", Server.alter_table),
    (rf"CREATE INDEX (NAME) ON {_IN}(NAME) \((.*)\);", Server.create_index),
    (rf"DROP INDEX {_IN}(NAME);", Server.drop_index),
    (rf"CREATE TRIGGER (NAME) ON {_IN}(NAME) USING '(.*)';", Server.create_trigger),
    (rf"DROP TRIGGER (NAME) ON {_IN}(NAME);", Server.drop_trigger),
    (rf"CREATE MATERIALIZED VIEW {_IN}(NAME) AS\n(.*)\n WITH (.*);", Server.create_view),
    (rf"ALTER MATERIALIZED VIEW {_IN}(NAME) WITH (.*);", Server.alter_view),
    (rf"DROP MATERIALIZED VIEW {_IN}(NAME);", Server.drop_view),
]
