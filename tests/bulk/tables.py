"""Tables for the tests of what is read of them."""

from __future__ import annotations

from uuid import UUID

from triocql.codecs.typeparser import parse_type
from triocql.codecs.values import FrozenMap
from triocql.metadata.replication import ReplicationFactor, SimpleStrategy
from triocql.metadata.schema import Column, ColumnKind, Keyspace, Table

ID = UUID("5a1c395e-b41f-11e5-9f22-ba0be0483c18")


def table(name: str = "shop.events", **columns: str) -> Table:
    """Return a table of columns given as ``"int"``, ``"partition int"``, ``"clustering int"`` or ``"static int"``."""
    keyspace, _, short = name.partition(".")
    made = {}
    kinds = {
        "partition": ColumnKind.PARTITION_KEY,
        "clustering": ColumnKind.CLUSTERING,
        "static": ColumnKind.STATIC,
    }
    for each, told in columns.items():
        word, _, rest = told.partition(" ")
        kind, cql_type = (kinds[word], rest) if word in kinds else (ColumnKind.REGULAR, told)
        made[each] = Column(each, parse_type(cql_type), cql_type, kind)
    return Table(keyspace, short, FrozenMap(made), ID)


EVENTS = table(
    day="partition int",
    hour="clustering int",
    owner="static text",
    amount="int",
    tags="set<text>",
    frozen_tags="frozen<set<text>>",
    Note="text",
    visits="counter",
)


def keyspaces(*tables: Table) -> dict[str, Keyspace]:
    once = SimpleStrategy(ReplicationFactor(1))
    found: dict[str, Keyspace] = {}
    for name in {each.keyspace for each in tables}:
        own = {each.name: each for each in tables if each.keyspace == name}
        found[name] = Keyspace(name, once, is_loaded=True, tables=FrozenMap(own))
    return found
