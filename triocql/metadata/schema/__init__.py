"""The schema of a cluster: what is in its keyspaces, as values, out of the rows of system tables, and as CQL."""

from __future__ import annotations

from triocql.metadata.schema.objects import (
    Aggregate,
    Argument,
    Column,
    ColumnKind,
    DroppedColumn,
    Function,
    Index,
    Key,
    Keyspace,
    Mask,
    Relation,
    Table,
    Trigger,
    UserType,
    View,
    VirtualTable,
)
from triocql.metadata.schema.rows import build_keyspaces, read_heads, rebuild_keyspace, rebuild_table
from triocql.metadata.schema.tables import SYSTEM_TABLES, Fault, Row, Rows, SystemTable

__all__ = [
    "SYSTEM_TABLES",
    "Aggregate",
    "Argument",
    "Column",
    "ColumnKind",
    "DroppedColumn",
    "Fault",
    "Function",
    "Index",
    "Key",
    "Keyspace",
    "Mask",
    "Relation",
    "Row",
    "Rows",
    "SystemTable",
    "Table",
    "Trigger",
    "UserType",
    "View",
    "VirtualTable",
    "build_keyspaces",
    "read_heads",
    "rebuild_keyspace",
    "rebuild_table",
]
