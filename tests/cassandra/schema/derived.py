"""The grammar of indexes and views."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from .options import write_options
from .writer import option_map, quoted

if TYPE_CHECKING:
    from .columntypes import Type
    from .tables import Table
    from .writer import Writer

_SASI = "org.apache.cassandra.index.sasi."
_SASI_OPTIONS: list[dict[str, str]] = [
    {},
    {
        "mode": "CONTAINS",
        "analyzer_class": f"{_SASI}analyzer.NonTokenizingAnalyzer",
        "case_sensitive": "false",
    },
    {"mode": "PREFIX"},
    {"mode": "CONTAINS", "analyzer_class": f"{_SASI}analyzer.StandardAnalyzer", "tokenization_locale": "en"},
]
_SAI_TEXT: list[dict[str, str]] = [{}, {"case_sensitive": "false", "normalize": "true"}, {"ascii": "true"}]
_SAI_VECTOR: list[dict[str, str]] = [
    {},
    {"similarity_function": "DOT_PRODUCT"},
    {"similarity_function": "euclidean"},
]
_LITERALS = {
    "int": "3",
    "bigint": "-7",
    "text": "'it''s'",
    "boolean": "true",
    "double": "0.5",
    "varint": "12",
}


def write_indexes(writer: Writer, table: Table) -> None:
    """Write indexes on the columns of a table, at most one on each."""
    if table.counter or (table.compact and table.clustering):
        return
    columns = dict(table.columns)
    if not table.compact:
        columns.update(table.statics)
        columns.update(table.clustering)
        if len(table.partition) > 1:
            columns.update(table.partition)
    for column, kind in columns.items():
        if kind.cql == "vector<float, 4>" or writer.sometimes("indexes", 3):
            _index(writer, table, column, kind)


def _index(writer: Writer, table: Table, column: str, kind: Type) -> None:
    written = _target(writer, column, kind)
    if written is None:
        return
    name, on = writer.word(), f"ON {writer.qualified(table.name)} ({written})"
    plain = not table.compact and re.fullmatch(r"\w+", column, re.ASCII) is not None
    if plain and column in table.columns and kind.cql in ("text", "ascii") and writer.sometimes("SASI"):
        options = writer.pick(_SASI_OPTIONS)
        end = f" WITH OPTIONS = {option_map(options)}" if options else ""
        writer.write(f"CREATE CUSTOM INDEX {quoted(name)} {on} USING '{_SASI}SASIIndex'{end}")
    elif plain and writer.server.vectors and kind.kind != "vector" and writer.sometimes("SAI"):
        using = writer.pick(["'sai'", "'StorageAttachedIndex'", "'SAI'"])
        options = writer.pick(_SAI_TEXT if kind.cql in ("text", "ascii") else [{}])
        end = f" WITH OPTIONS = {option_map(options)}" if options else ""
        writer.write(f"CREATE CUSTOM INDEX {quoted(name)} {on} USING {using}{end}")
    elif kind.kind == "vector":
        writer.has("vector indexes")
        options = writer.pick(_SAI_VECTOR)
        end = f" WITH OPTIONS = {option_map(options)}" if options else ""
        writer.write(f"CREATE INDEX {quoted(name)} {on} USING 'sai'{end}")
    elif writer.sometimes("indexes without a name", 4) and kind.is_native:
        writer.write(f"CREATE INDEX {on}")
    else:
        writer.write(f"CREATE INDEX {quoted(name)} {on}")


def _target(writer: Writer, column: str, kind: Type) -> str | None:
    """Return what is indexed of a column, or None if it cannot be."""
    name = quoted(column)
    if kind.kind == "vector":
        return name if kind.cql == "vector<float, 4>" else None
    if kind.durations or kind.kind in ("udt", "tuple", "custom"):
        return None
    if kind.is_native:
        return name
    if not kind.multicell:
        writer.has("indexes of whole collections")
        return f"full({name})"
    writer.has("indexes of collections")
    if kind.kind == "map":
        return f"{writer.pick(['keys', 'values', 'entries'])}({name})"
    return writer.pick([name, f"values({name})"])


def write_views(writer: Writer, table: Table) -> None:
    """Write a view of a table or two."""
    if table.counter or table.compact or table.statics:
        return
    for _ in range(writer.sometimes("views", 3) * writer.count(1, 2)):
        _view(writer, table)


def _view(writer: Writer, table: Table) -> None:
    key = {**table.partition, **table.clustering}
    partition, *clustering = writer.draw(st.permutations(list(key)))
    regular = [name for name, kind in table.columns.items() if kind.is_native]
    if regular and writer.sometimes("views by another column"):
        clustering.append(writer.pick(regular))
    keys = [partition, *clustering]
    if writer.sometimes("views of all columns"):
        selected = "*"
    else:
        rest = [name for name in table.columns if name not in keys]
        taken = [name for name in rest if writer.sometimes("views of some columns")]
        selected = ", ".join(map(quoted, writer.draw(st.permutations([*keys, *taken]))))
    kinds = {**table.columns, **key}
    where = " AND ".join(
        _restriction(writer, name, kinds[name]) if name in key else f"{quoted(name)} IS NOT NULL"
        for name in keys
    )
    options = write_options(writer, view=True)
    if clustering and writer.sometimes("orders of views"):
        orders = (f"{quoted(name)} {writer.pick(['ASC', 'DESC'])}" for name in clustering)
        options.insert(0, f"CLUSTERING ORDER BY ({', '.join(orders)})")
    end = f" WITH {' AND '.join(options)}" if options else ""
    name = writer.qualified(writer.word())
    primary = ", ".join([f"({quoted(partition)})", *map(quoted, clustering)])
    source = f"SELECT {selected} FROM {writer.qualified(table.name)} WHERE {where}"
    writer.write(f"CREATE MATERIALIZED VIEW {name} AS {source} PRIMARY KEY ({primary}){end}")


def _restriction(writer: Writer, name: str, kind: Type) -> str:
    literal = _LITERALS.get(kind.cql)
    if literal is not None and writer.sometimes("views with conditions", 4):
        return f"{quoted(name)} = {literal}"
    return f"{quoted(name)} IS NOT NULL"
