"""The system tables that tell of the schema, and their rows by keyspace and table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from triocql.metadata.schema.cells import shown

if TYPE_CHECKING:
    from triocql.metadata.building import Steps

Row: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = Mapping[str, Sequence[Row]]
"""Rows by the full name of their system table, such as ``system_schema.tables``."""

SCHEMA: Final = "system_schema"
VIRTUAL: Final = "system_virtual_schema"
_ROWS_A_STEP: Final = 1024


class SystemTable(NamedTuple):
    """A table that tells of the schema.

    Attributes:
        keyspace: the keyspace that it is in.
        name: its name.
        of: its column with the name of a table or view; None where its rows belong to no table.
        is_optional: whether there are servers without it.
    """

    keyspace: str
    name: str
    of: str | None = None
    is_optional: bool = False

    @property
    def full_name(self) -> str:
        """What it is called in `Rows`."""
        return f"{self.keyspace}.{self.name}"


SYSTEM_TABLES: Final = (
    SystemTable(SCHEMA, "keyspaces"),
    SystemTable(SCHEMA, "tables", "table_name"),
    SystemTable(SCHEMA, "columns", "table_name"),
    SystemTable(SCHEMA, "column_masks", "table_name", is_optional=True),
    SystemTable(SCHEMA, "dropped_columns", "table_name"),
    SystemTable(SCHEMA, "indexes", "table_name"),
    SystemTable(SCHEMA, "triggers", "table_name"),
    SystemTable(SCHEMA, "views", "view_name"),
    SystemTable(SCHEMA, "types"),
    SystemTable(SCHEMA, "functions"),
    SystemTable(SCHEMA, "aggregates"),
    SystemTable(SCHEMA, "scylla_keyspaces", is_optional=True),
    SystemTable(SCHEMA, "scylla_tables", "table_name", is_optional=True),
    SystemTable(SCHEMA, "scylla_aggregates", is_optional=True),
    SystemTable(SCHEMA, "view_virtual_columns", "view_name", is_optional=True),
    SystemTable(SCHEMA, "computed_columns", "table_name", is_optional=True),
    SystemTable(VIRTUAL, "keyspaces", is_optional=True),
    SystemTable(VIRTUAL, "tables", "table_name", is_optional=True),
    SystemTable(VIRTUAL, "columns", "table_name", is_optional=True),
)
"""The tables to read: of Cassandra, and of Scylla."""

OF_ALL: Final = f"{SCHEMA}.keyspaces"
OF_SCYLLA: Final = f"{SCHEMA}.scylla_keyspaces"
"""The tables that tell what keyspaces are by themselves: of all nodes, and what those of ScyllaDB have in another."""

BY_NAME: Final = {table.full_name: table for table in SYSTEM_TABLES}


class Fault(NamedTuple):
    """Rows that could not be used.

    Attributes:
        keyspace: whose they are.
        name: the table, view, type or function that they belong to; "" for the keyspace itself.
        what: what was wrong.
        is_kept: whether the object that was known before has stayed.
    """

    keyspace: str
    name: str
    what: str
    is_kept: bool


# --- By keyspace and table ---------------------------------------------------------------------------------

_OfKeyspace: TypeAlias = "dict[str, dict[str, list[Row]]]"


class Grouped(NamedTuple):
    """Rows by their keyspace, system table, and the name of the table or view that they belong to."""

    rows: dict[str, _OfKeyspace]
    read: frozenset[str]

    @property
    def keyspaces(self) -> set[str]:
        """The keyspaces that have rows."""
        return set(self.rows)

    def of(self, keyspace: str) -> Contents:
        """Return what a keyspace has."""
        return Contents(self.rows.pop(keyspace, {}), self.read)


class Contents(NamedTuple):
    """The rows of a keyspace, and the system tables that were read."""

    rows: _OfKeyspace
    read: frozenset[str]

    def of(self, table: str) -> dict[str, list[Row]]:
        """Return the rows of a system table, by the names of the tables and views that they belong to."""
        return self.rows.get(f"{SCHEMA}.{table}") or self.rows.get(f"{VIRTUAL}.{table}", {})

    def of_none(self, table: str) -> list[Row]:
        """Return the rows of a system table that belong to no table or view."""
        return self.of(table).get("", [])

    def has(self, table: str) -> bool:
        """Whether a system table was read."""
        return f"{SCHEMA}.{table}" in self.read or f"{VIRTUAL}.{table}" in self.read


def grouped(rows: Rows, faults: list[Fault]) -> Steps[Grouped]:
    """Group rows."""
    found: dict[str, _OfKeyspace] = {}
    worked = 0
    for full_name, table in BY_NAME.items():
        if table.name in ("keyspaces", "scylla_keyspaces"):
            continue
        for row in rows.get(full_name, ()):
            keyspace, name = row.get("keyspace_name"), row.get(table.of) if table.of else ""
            if type(keyspace) is str and type(name) is str:
                of = found.setdefault(keyspace, {}).setdefault(full_name, {})
                of.setdefault(name, []).append(row)
            else:
                what = f"a row of {full_name} belongs to {shown(name)}"
                faults.append(Fault(shown(keyspace), "", what, is_kept=False))
            worked += 1
            if worked % _ROWS_A_STEP == 0:
                yield
    return Grouped(found, frozenset(rows))
