"""What is asked of system tables, and found there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from .log import normal
from .node import Row, ServerNode
from .nodetables import NODE_TABLES
from .schematables import SCHEMA_TABLES, SystemTable
from .scylla.timeouts import without_timeout
from .scyllatables import SCYLLA_TABLES


class Selection(NamedTuple):
    """A SELECT on a system table: its name, columns (None: all), conditions and their values.

    A value of ``?`` stands for what is bound, and ``in ?`` for a list of that.
    """

    table: str
    columns: list[str] | None
    conditions: dict[str, list[str]]


TABLES: dict[str, SystemTable] = {**NODE_TABLES, **SCHEMA_TABLES}
"""Those of Cassandra."""


# --- What is asked -------------------------------------------------------------------------------------------

_SELECT = re.compile(
    r"select (?P<columns>.+?) from (?P<table>system(?:_\w+)?\.\w+)(?: where (?P<where>.*?))?"
    r"(?: limit \d+)?(?: allow filtering)?$",
    re.IGNORECASE,
)
_LITERAL = r"(?:'(?:[^']|'')*'|[\w.:-]+|\?)"
_LITERALS = re.compile(_LITERAL)
_CONDITION = re.compile(
    rf"(\w+)(?:\s*=\s*({_LITERAL})|\s+in\s*\(\s*({_LITERAL}(?:\s*,\s*{_LITERAL})*)\s*\)|\s+(in\s*\?))",
    re.IGNORECASE,
)


_LIST = "in ?"


def parse_selection(text: str) -> Selection | None:
    """Return what a query asks of a system table, None if it is none of these."""
    match = _SELECT.match(normal(without_timeout(text)))
    if match is None:
        return None
    columns = [each.strip().lower() for each in match["columns"].split(",")]
    conditions = {
        name.lower(): [_LIST] if bound else _LITERALS.findall(one or several)
        for name, one, several, bound in _CONDITION.findall(match["where"] or "")
    }
    return Selection(match["table"].lower(), None if columns == ["*"] else columns, conditions)


def is_system_query(text: str) -> bool:
    """Whether a query reads a system table."""
    return parse_selection(text) is not None


def select(node: ServerNode, selection: Selection, values: list[Any]) -> tuple[dict[str, str], list[Row]]:
    """Return the columns and rows of a selection; `values` stand for its bind markers.

    Raises:
        LookupError: there is no such table or column.
    """
    table = _table(node, selection)
    edit = node.server.edits.get(selection.table, _unchanged)
    if edit is None:
        raise LookupError(f"table {selection.table} does not exist")
    names = list(table.columns) if selection.columns is None else selection.columns
    wanted = {name: set(_contents(literals, values)) for name, literals in selection.conditions.items()}
    rows = [
        {name: row.get(name) for name in names}
        for row in edit(node, table.rows(node))
        if all(str(row.get(name)) in contents for name, contents in wanted.items())
    ]
    return {name: table.columns[name] for name in names}, rows


def _contents(literals: list[str], values: list[Any]) -> Iterator[str]:
    """Yield what a column may have, as text."""
    for each in literals:
        if each == _LIST:
            yield from map(str, values.pop(0))
        else:
            yield str(values.pop(0)) if each == "?" else each.strip("'").replace("''", "'")


def parameter_types(node: ServerNode, selection: Selection) -> dict[str, str]:
    """Return the types of the bind markers of a selection, by the columns that they are for.

    Raises:
        LookupError: there is no such table or column.
    """
    columns = _table(node, selection).columns
    found = {}
    for name, literals in selection.conditions.items():
        if literals == [_LIST]:
            found[f"in({name})"] = f"list<{columns[name]}>"
        elif "?" in literals:
            found[name] = columns[name]
    return found


def _table(node: ServerNode, selection: Selection) -> SystemTable:
    """Return the table of a node that has what is asked for. Raises LookupError."""
    table = (TABLES if node.scylla is None else SCYLLA_TABLES).get(selection.table)
    if table is None:
        raise LookupError(
            f"table {selection.table} does not exist; a rule may have it answered, with the types of what is bound: "
            "server.when(..., parameters={...})"
        )
    for name in (*(selection.columns or ()), *selection.conditions):
        if name not in table.columns:
            raise LookupError(f"Undefined column name {name} in table {selection.table}")
    return table


def _unchanged(node: ServerNode, rows: list[Row]) -> list[Row]:
    return rows
