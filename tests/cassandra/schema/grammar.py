"""Schemas of all features, as the statements that make them on a node of some version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .columntypes import write_types
from .derived import write_indexes, write_views
from .functions import write_functions
from .tables import write_table
from .triggers import write_triggers
from .writer import Schema, Server, Writer, option_map, quoted

T = TypeVar("T")


@st.composite
def schemas(draw: Callable[[st.SearchStrategy[Any]], Any], server: Server) -> Schema:
    """Draw a schema for a node: a keyspace with all that is in it."""
    keyspace = draw(st.sampled_from(["described", "Described", "order", "table_2"]))
    writer = Writer(draw, server, keyspace)
    transient = server.transient and writer.sometimes("transient replication", 4)
    write_keyspace(writer, transient=transient)
    types = write_types(writer)
    write_functions(writer, types)
    for _ in range(writer.count(1, 3)):
        table = write_table(writer, types, transient=transient)
        if not transient:
            write_indexes(writer, table)
            write_views(writer, table)
        write_triggers(writer, table)
    return writer.schema


def write_keyspace(writer: Writer, *, transient: bool) -> None:
    """Write the keyspace itself."""
    factor = "3/1" if transient else "1"
    simple = {"class": "SimpleStrategy", "replication_factor": factor}
    options = [simple, {"class": "NetworkTopologyStrategy", "dc1": factor}]
    if not transient:
        options.append({"class": "NetworkTopologyStrategy", "replication_factor": "2"})
    replication = writer.pick(options)
    if replication is not simple:
        writer.has("replication by data centres")
    durable = " AND durable_writes = false" if writer.sometimes("durable_writes", 3) else ""
    name = quoted(writer.schema.keyspace)
    writer.write(f"CREATE KEYSPACE {name} WITH replication = {option_map(replication)}{durable}")


def generate(server: Server, count: int) -> list[Schema]:
    """Return so many different schemas, the same ones each time."""
    return generated(schemas(server), count)


def generated(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """Return so many different ones of what is drawn, the same ones each time.

    They are made beforehand: on a slow node nothing is to be tried twice, or shrunk. What is found is shown by objects.
    """
    found: dict[str, T] = {}

    @settings(
        max_examples=2 * count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def keep(each: T) -> None:
        found.setdefault(repr(each), each)

    keep()
    return list(found.values())[:count]
