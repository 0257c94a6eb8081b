"""Builds what is in one keyspace out of its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from triocql.codecs.values import FrozenMap
from triocql.metadata.building import finish
from triocql.metadata.schema.callables import Aggregate, Function
from triocql.metadata.schema.cells import Unreadable, alike, put, shown
from triocql.metadata.schema.keyspace import Keyspace
from triocql.metadata.schema.reading import (
    Parts,
    read_aggregate,
    read_function,
    read_table,
    read_view,
    read_virtual_table,
)
from triocql.metadata.schema.relations import Relation, Table, View
from triocql.metadata.schema.systemtables import Fault
from triocql.metadata.schema.types import Types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from triocql.metadata.building import Steps
    from triocql.metadata.schema.shared import Shared
    from triocql.metadata.schema.systemtables import Contents, Row

T = TypeVar("T")
R = TypeVar("R", bound=Relation)
F = TypeVar("F", Function, Aggregate)

_COLUMNS_A_STEP: Final = 64
_NAMES_A_STEP: Final = 1024
_EXTRA: Final = ("view_virtual_columns", "computed_columns")
_PARTS: Final = ("columns", "column_masks", "dropped_columns", "indexes", "triggers", "scylla_tables")
# Nodes leave rows in the other tables when a table, a view or a column is dropped.
_HALVES: Final = ("columns", "indexes", "triggers")


class Builder:
    """Builds the contents of a keyspace.

    Args:
        head: what the keyspace is by itself.
        earlier: what was known of it.
        shared: what the tables of this reading have in common.
        faults: filled with what could not be used.
    """

    def __init__(self, head: Keyspace, earlier: Keyspace | None, shared: Shared, faults: list[Fault]) -> None:
        self.faults = faults
        self._head = head
        self._earlier = earlier or Keyspace(head.name, head.replication)
        self._shared = shared
        self._worked = 0
        self._reading = ""

    def build(self, contents: Contents) -> Steps[Keyspace]:
        """Build all of which rows were read; the rest stays."""
        earlier = self._earlier
        types = self._types(contents.of_none("types") if contents.has("types") else None)
        yield from types.build()
        if contents.has("tables") or contents.has("views"):
            tables, views = yield from self._relations(contents, types)
        else:
            tables = yield from self._typed_again(earlier.tables, types)
            views = yield from self._typed_again(earlier.views, types)
        functions, aggregates = earlier.functions, earlier.aggregates
        if contents.has("functions"):
            functions = self._callables(
                contents.of_none("functions"), "function_name", read_function, functions
            )
        if contents.has("aggregates"):
            rows = _with_scylla(contents.of_none("aggregates"), contents.of_none("scylla_aggregates"))
            aggregates = self._callables(rows, "aggregate_name", read_aggregate, aggregates)
        built = replace(
            self._head,
            is_loaded=earlier.is_loaded or contents.has("tables"),
            tables=tables,
            views=views,
            types=(yield from _settled(types.found, earlier.types)),
            functions=functions,
            aggregates=aggregates,
        )
        return earlier if built == earlier else built

    def rebuild(self, contents: Contents, name: str) -> Keyspace:
        """Build one table or view again."""
        earlier = self._earlier
        types = self._types(None)
        tables = self._one("tables", name, contents, types, earlier.tables)
        views = self._one("views", name, contents, types, earlier.views)
        if tables is None and views is None:
            kept_tables: dict[str, Table] = {}
            kept_views: dict[str, View] = {}
            self._halves(contents, {name}, kept_tables, kept_views)
            tables, views = kept_tables.get(name), kept_views.get(name)
        built = replace(
            earlier,
            tables=_put(earlier.tables, name, tables),
            views=_put(earlier.views, name, views),
        )
        return earlier if built == earlier else built

    def _types(self, rows: Sequence[Row] | None) -> Types:
        return Types(self._head.name, rows, self._earlier.types, self._shared.plain, self._complain)

    def _complain(self, name: str, what: str, is_kept: bool) -> None:
        self.faults.append(Fault(self._head.name, name or self._reading, what, is_kept))

    # --- Tables and views ----------------------------------------------------------------------------------

    def _relations(
        self, contents: Contents, types: Types
    ) -> Steps[tuple[FrozenMap[str, Table], FrozenMap[str, View]]]:
        earlier = self._earlier
        tables: dict[str, Table] = {}
        views: dict[str, View] = {}
        yield from self._each("tables", contents, types, earlier.tables, tables)
        yield from self._each("views", contents, types, earlier.views, views)
        named = contents.of("tables").keys() | contents.of("views").keys()
        self._halves(
            contents, {name for part in _HALVES for name in contents.of(part)} - named, tables, views
        )
        return (yield from _settled(tables, earlier.tables)), (yield from _settled(views, earlier.views))

    def _each(
        self,
        system_table: str,
        contents: Contents,
        types: Types,
        before: Mapping[str, R],
        found: dict[str, R],
    ) -> Steps[None]:
        """Build all tables, or all views."""
        for name in contents.of(system_table):
            built = self._one(system_table, name, contents, types, before)
            if built is not None:
                found[name] = built
            if self._worked >= _COLUMNS_A_STEP:
                self._worked = 0
                yield

    def _one(
        self, system_table: str, name: str, contents: Contents, types: Types, before: Mapping[str, R]
    ) -> R | None:
        """Build a table or a view; None if there is none, or none that could be used."""
        rows = contents.of(system_table).get(name)
        if not rows:
            return None
        parts, self._reading = _parts(contents, name), name
        self._worked += len(parts.columns) + 1
        earlier = before.get(name)
        try:
            built: R = self._reader(system_table)(alike(rows), parts, types.read, self._shared)
            _check_keys(built, earlier)
        except Unreadable as error:
            self._complain(name, str(error), earlier is not None)
            return earlier
        return earlier if earlier == built else built

    def _reader(self, system_table: str) -> Callable[..., Any]:
        if system_table == "views":
            return read_view
        return read_virtual_table if self._head.is_virtual else read_table

    def _halves(
        self, contents: Contents, names: Iterable[str], tables: dict[str, Table], views: dict[str, View]
    ) -> None:
        """Keep what has rows, and none among the tables or views: it was read while it came or went."""
        for name in sorted(names):
            if not any(contents.of(part).get(name) for part in _HALVES):
                continue
            if name in self._earlier.tables:
                tables[name] = self._earlier.tables[name]
            elif name in self._earlier.views:
                views[name] = self._earlier.views[name]
            self._complain(
                name, "it has rows, and none among the tables or views", name in tables or name in views
            )

    def _typed_again(self, relations: FrozenMap[str, R], types: Types) -> Steps[FrozenMap[str, R]]:
        """Return tables or views with the types that their columns have now."""
        found: dict[str, R] = {}
        for name, relation in relations.items():
            self._reading = name
            changed = {
                column.name: replace(column, type=now)
                for column in relation.columns.values()
                if (now := types.read(column.cql_type)) != column.type
            }
            found[name] = (
                replace(relation, columns=FrozenMap({**relation.columns, **changed})) if changed else relation
            )
            self._worked += len(relation.columns)
            if self._worked >= _COLUMNS_A_STEP:
                self._worked = 0
                yield
        return (yield from _settled(found, relations))

    # --- Functions and aggregates --------------------------------------------------------------------------

    def _callables(
        self, rows: Iterable[Row], column: str, read: Callable[[Row], F], before: FrozenMap[str, F]
    ) -> FrozenMap[str, F]:
        found: dict[str, F] = {}
        for row in rows:
            try:
                built = read(row)
                earlier = before.get(built.signature)
                put(found, built.signature, earlier if earlier is not None and earlier == built else built)
            except Unreadable as error:
                kept = {key: each for key, each in before.items() if each.name == row.get(column)}
                found = {**kept, **found}
                self._complain(shown(row.get(column)), str(error), bool(kept))
        return finish(_settled(found, before))


def _parts(contents: Contents, name: str) -> Parts:
    columns, masks, dropped, indexes, triggers, options = (contents.of(part).get(name, ()) for part in _PARTS)
    extra = {part: rows for part in _EXTRA if (rows := contents.of(part).get(name))}
    return Parts(columns, masks, dropped, indexes, triggers, options, extra)


def _check_keys(built: Relation, earlier: Relation | None) -> None:
    """Refuse a table whose key has lost columns, or won some: that never happens to one and the same."""
    if earlier is not None and built.id is not None and built.id == earlier.id:
        for now, before in (
            (built.partition_key, earlier.partition_key),
            (built.clustering_key, earlier.clustering_key),
        ):
            if len(now) != len(before):
                raise Unreadable(f"its key has {shown(now.names)} instead of {shown(before.names)}")


def _settled(found: Mapping[str, T], before: FrozenMap[str, T]) -> Steps[FrozenMap[str, T]]:
    """Return what was found by name; the same mapping as before if it has the same objects."""
    is_same = len(found) == len(before)
    kept = {}
    for number, name in enumerate(sorted(found)):
        kept[name] = found[name]
        is_same = is_same and before.get(name) is found[name]
        if number % _NAMES_A_STEP == _NAMES_A_STEP - 1:
            yield
    return before if is_same else FrozenMap(kept)


def _put(before: FrozenMap[str, R], name: str, built: R | None) -> FrozenMap[str, R]:
    """Return what there was with one in place of the other, or of none."""
    if before.get(name) is built:
        return before
    found = dict(before.items())
    if built is None:
        del found[name]
    else:
        found[name] = built
    return FrozenMap(found if name in before else dict(sorted(found.items())))


def _with_scylla(rows: Iterable[Row], scylla: Iterable[Row]) -> list[Row]:
    """Return the rows of aggregates with what Scylla has of them in another table."""
    more = {_aggregate(row): row for row in scylla}
    return [{**more.get(_aggregate(row), {}), **row} for row in rows]


def _aggregate(row: Row) -> str:
    return f"{shown(row.get('aggregate_name'))} {row.get('argument_types')}"
