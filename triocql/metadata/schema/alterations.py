"""What has to be altered to make one table of another one, or one type, and whether any ALTER can do it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from triocql.codecs.typeparser import parse_type
from triocql.errors import OptionError
from triocql.metadata.schema import ddl
from triocql.metadata.schema.columns import ColumnKind
from triocql.metadata.schema.wording import MEANT
from triocql.protocol import types

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from triocql.metadata.schema.callables import UserType
    from triocql.metadata.schema.columns import Column
    from triocql.metadata.schema.relations import Relation, Table

_IN_KEY: Final = (ColumnKind.PARTITION_KEY, ColumnKind.CLUSTERING)
_REWRITTEN: Final = ("compaction", "compression")


def mentions(cql_type: str, names: Collection[str]) -> bool:
    """Whether a type is made of one of these user-defined types.

    >>> mentions('map<text, frozen<"My type">>', {"My type"}), mentions("set<int>", {"int"})
    (True, False)
    """
    return bool(names) and not _mentioned(cql_type).isdisjoint(names)


@lru_cache(1024)
def _mentioned(cql_type: str) -> frozenset[str]:
    """Return the names of the user-defined types that a type is made of; none if its text cannot be read."""
    found: set[str] = set()

    def find(keyspace: str, name: str) -> types.UserType:
        found.add(name)
        return types.UserType(keyspace, name, ())

    try:
        parse_type(cql_type, find)
    except (OptionError, RecursionError):
        return frozenset()
    return frozenset(found)


@dataclass(slots=True)
class TableAlterations:
    """What is to be done to a table.

    Attributes:
        obstacle: why no ALTER can do it; "" if it can.
        dropped: columns to drop.
        renamed: columns of the key that have other names, from old to new ones.
        added: columns to add.
        masked: columns with another mask, or none, than before.
        options: options with other values, as CQL.
    """

    obstacle: str
    dropped: list[Column]
    renamed: dict[str, str]
    added: list[Column]
    masked: list[Column]
    options: dict[str, str]

    @property
    def moves_columns(self) -> bool:
        """Whether it is something that a server does not do while there are views of the table."""
        return bool(self.dropped or self.renamed)


def alterations(old: Table, new: Table, recreated_types: Collection[str]) -> TableAlterations:
    """Return what makes `new` of `old`, where some types are dropped and made anew."""
    renamed = _renamed(old, new)
    before = {renamed.get(name, name): column for name, column in old.columns.items()}
    kept = [(before[name], column) for name, column in new.columns.items() if name in before]
    dropped = [column for name, column in before.items() if name not in new.columns]
    added = [column for name, column in new.columns.items() if name not in before]
    return TableAlterations(
        _obstacle(old, new, kept, dropped, added, recreated_types),
        dropped,
        renamed,
        added,
        [now for was, now in kept if was.mask != now.mask],
        changed_options(old, new),
    )


def changed_options(old: Relation, new: Relation) -> dict[str, str]:
    """Return the options that have other values. What one of the servers does not have, is no difference."""
    before = old.cql_options
    return {
        option: value
        for option, value in new.cql_options.items()
        if before.get(option, value) != value
        or (option not in before and new.options.get(option) is not None)
    }


def rewrites(options: Mapping[str, str]) -> bool:
    """Whether nodes write data anew for these options."""
    return any(option in options for option in _REWRITTEN)


def _renamed(old: Table, new: Table) -> dict[str, str]:
    """Return the columns of the key that differ in nothing but their names."""
    if len(old.primary_key) != len(new.primary_key):
        return {}
    return {
        was.name: now.name
        for was, now in zip(old.primary_key, new.primary_key, strict=True)
        if was.name != now.name and now.name not in old.columns and was.name not in new.columns
    }


def _obstacle(
    old: Table,
    new: Table,
    kept: list[tuple[Column, Column]],
    dropped: list[Column],
    added: list[Column],
    recreated_types: Collection[str],
) -> str:
    """Return what no ALTER can do."""
    if old.is_compact or new.is_compact:
        return (
            "its storage is compact" if old.columns != new.columns or old.is_compact != new.is_compact else ""
        )
    for was, now in kept:
        if (was.kind, was.position, was.descending) != (now.kind, now.position, now.descending):
            return f"the column {ddl.name(now.name)} is another part of the table"
        if was.cql_type != now.cql_type:
            return f"the column {ddl.name(now.name)} is {now.cql_type} instead of {was.cql_type}"
        if mentions(now.cql_type, recreated_types):
            return f"the type of the column {ddl.name(now.name)} is made anew"
    for column in dropped:
        if column.kind in _IN_KEY:
            return f"the column {ddl.name(column.name)} is not in its key any more"
        if column.is_multi_cell and isinstance(column.type, types.UserType):
            return f"the column {ddl.name(column.name)} is of a user-defined type that is not frozen"
    return next((why for column in added if (why := _not_added(column, old))), "")


def _not_added(column: Column, old: Table) -> str:
    """Return why a column cannot be added; "" if it can."""
    name = ddl.name(column.name)
    if column.kind in _IN_KEY:
        return f"the column {name} is new in its key"
    is_counter = any(each.cql_type == "counter" for each in old.columns.values())
    if is_counter != (column.cql_type == "counter"):
        return f"the column {name} is {column.cql_type}: counters are alone in their tables"
    before = old.dropped_columns.get(column.name)
    if before is None:
        return ""
    if is_counter:
        return f"the counter {name} was dropped once"
    if before.kind is not column.kind or before.cql_type != column.cql_type:
        return f"the column {name} was dropped once, as {before.as_cql()}"
    return ""


# --- Types -------------------------------------------------------------------------------------------------


def type_alterations(old: UserType, new: UserType) -> list[str] | None:
    """Return what is to be said after ``ALTER TYPE …``; None if no ALTER can make `new` of `old`."""
    before, after = [name for name, _ in old.type.fields], [name for name, _ in new.type.fields]
    if new.cql_types[: len(before)] != old.cql_types:
        return None
    renamed = [(was, now) for was, now in zip(before, after, strict=False) if was != now]
    if any(now in before or was in after for was, now in renamed):
        return None
    said = [f"RENAME {MEANT.name(was)} TO {MEANT.name(now)}" for was, now in renamed]
    added = zip(after[len(before) :], new.cql_types[len(before) :], strict=True)
    return said + [f"ADD {MEANT.name(name)} {MEANT.type(cql_type)}" for name, cql_type in added]
