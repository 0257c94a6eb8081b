"""The grammar of changes: what makes of one schema another one that has much in common with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from .columntypes import native, write_types
from .derived import write_indexes, write_views
from .functions import write_functions
from .grammar import generated, write_keyspace
from .options import write_options
from .tables import mask_of, write_change, write_table
from .triggers import write_triggers
from .writer import Schema, Server, Writer, quoted

if TYPE_CHECKING:
    from .columntypes import UserType
    from .tables import Table

_NAME = r'"(?:[^"]|"")+"'
_INDEX = re.compile(rf"CREATE (?:CUSTOM )?INDEX ({_NAME}) ON {_NAME}\.({_NAME}) ")
_VIEW = re.compile(rf"CREATE MATERIALIZED VIEW {_NAME}\.({_NAME}) AS .*? FROM {_NAME}\.({_NAME}) ")
_TRIGGER = re.compile(rf"CREATE TRIGGER ({_NAME}) ON {_NAME}\.({_NAME}) ")
_FUNCTION = re.compile(r"CREATE FUNCTION (.*) AS .*", re.DOTALL)


class Pair(NamedTuple):
    """Two schemas of one keyspace."""

    old: Schema
    new: Schema


@st.composite
def pairs(draw: Callable[[st.SearchStrategy[Any]], Any], server: Server) -> Pair:
    """Draw a schema for a node, and one that changes make of it."""
    writer = Writer(draw, server, "Evolving")
    write_keyspace(writer, transient=False)
    types = write_types(writer)
    write_functions(writer, types)
    tables = [write_table(writer, types) for _ in range(writer.count(1, 3))]
    for table in tables:
        write_indexes(writer, table)
        write_views(writer, table)
        write_triggers(writer, table)
    old = Schema(writer.schema.keyspace, list(writer.schema.statements), set(writer.schema.features))
    _evolve(writer, types, tables)
    return Pair(old, writer.schema)


def generate_pairs(server: Server, count: int) -> list[Pair]:
    """Return so many different pairs, the same ones each time."""
    return generated(pairs(server), count)


def _evolve(writer: Writer, types: list[UserType], tables: list[Table]) -> None:
    written = "\n".join(writer.schema.statements)
    keyspace = quoted(writer.schema.keyspace)
    if writer.sometimes("altered keyspaces", 4):
        writer.write(f"ALTER KEYSPACE {keyspace} WITH durable_writes = {writer.pick(['true', 'false'])}")
    if types and writer.sometimes("types altered later", 3):
        name = writer.qualified(writer.pick(types).name)
        writer.write(f"ALTER TYPE {name} ADD {quoted('added later')} {native(writer, key=True).cql}")
    for statement in writer.schema.statements:
        found = _FUNCTION.fullmatch(statement)
        if found and "RETURNS int " in found[1] and writer.sometimes("replaced functions"):
            writer.write(f"CREATE OR REPLACE FUNCTION {found[1]} AS 'return 42; // $$'")
            break
    for table in tables:
        _evolve_table(writer, types, table, written)
    if writer.sometimes("tables made later", 3):
        table = write_table(writer, types)
        write_indexes(writer, table)
        write_views(writer, table)


def _evolve_table(writer: Writer, types: list[UserType], table: Table, written: str) -> None:
    keyspace, name = quoted(writer.schema.keyspace), quoted(table.name)
    views = [view for view, base in _VIEW.findall(written) if base == name]
    indexes = [index for index, base in _INDEX.findall(written) if base == name]
    alter = f"ALTER TABLE {writer.qualified(table.name)}"
    # An index without a name has one of the node's own, and is in the way of all but options.
    is_free = f" INDEX ON {writer.qualified(table.name)} " not in written
    if is_free and not writer.sometimes("views and indexes kept", 4):
        for view in views:
            writer.write(f"DROP MATERIALIZED VIEW {keyspace}.{view}")
        for index in indexes:
            writer.write(f"DROP INDEX {keyspace}.{index}")
        views = indexes = []
    for trigger, base in _TRIGGER.findall(written):
        if base == name and writer.sometimes("triggers dropped"):
            writer.write(f"DROP TRIGGER {trigger} ON {keyspace}.{name}")
    if is_free and not views and not indexes:
        if writer.sometimes("tables dropped", 6):
            writer.write(f"DROP TABLE {writer.qualified(table.name)}")
            return
        if not table.counter and not table.compact:
            write_change(
                writer, types, table, {*table.partition, *table.clustering, *table.columns, *table.statics}
            )
            write_indexes(writer, table)
            write_views(writer, table)
    for column, kind in table.columns.items():
        if mask := mask_of(writer, table, kind):
            writer.write(f"{alter} ALTER {quoted(column)}{mask}")
    options = write_options(writer, counter=table.counter)
    if options and not writer.sometimes("options kept", 4):
        writer.write(f"{alter} WITH {' AND '.join(options)}")
    for view in views:
        options = write_options(writer, view=True)
        if options:
            writer.has("options of views altered")
            writer.write(f"ALTER MATERIALIZED VIEW {keyspace}.{view} WITH {' AND '.join(options)}")
    write_triggers(writer, table)
