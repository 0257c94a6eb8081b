"""The schema of a cluster: what is in its keyspaces, as values, out of the rows of system tables, and as CQL."""

from __future__ import annotations

from triocql.metadata.schema.callables import Aggregate, Function, UserType
from triocql.metadata.schema.columns import Argument, Column, ColumnKind, DroppedColumn, Key, Mask
from triocql.metadata.schema.difference import difference
from triocql.metadata.schema.keyspace import Keyspace, describe
from triocql.metadata.schema.relations import Index, Relation, Table, Trigger, View, VirtualTable
from triocql.metadata.schema.rows import build_keyspaces, read_heads, rebuild_keyspace, rebuild_table
from triocql.metadata.schema.steps import Risk, Step
from triocql.metadata.schema.systemtables import SYSTEM_TABLES, Fault, Row, Rows, SystemTable

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
    "Risk",
    "Row",
    "Rows",
    "Step",
    "SystemTable",
    "Table",
    "Trigger",
    "UserType",
    "View",
    "VirtualTable",
    "build_keyspaces",
    "describe",
    "difference",
    "read_heads",
    "rebuild_keyspace",
    "rebuild_table",
]
