"""The system tables: what each node says of itself, of its peers, and of the schema."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from .log import normal
from .node import Row, ServerNode
from .schematables import SCHEMA_TABLES, SystemTable, texts


class Selection(NamedTuple):
    """A SELECT on a system table: its name, columns (None: all), conditions and their values."""

    table: str
    columns: list[str] | None
    conditions: dict[str, list[str]]


# --- What is asked -------------------------------------------------------------------------------------------

_SELECT = re.compile(
    r"select (?P<columns>.+?) from (?P<table>system(?:_\w+)?\.\w+)(?: where (?P<where>.*?))?"
    r"(?: limit \d+)?(?: allow filtering)?$",
    re.IGNORECASE,
)
_LITERAL = r"(?:'(?:[^']|'')*'|[\w.:-]+|\?)"
_LITERALS = re.compile(_LITERAL)
_CONDITION = re.compile(
    rf"(\w+)(?:\s*=\s*({_LITERAL})|\s+in\s*\(\s*({_LITERAL}(?:\s*,\s*{_LITERAL})*)\s*\))", re.IGNORECASE
)


def parse_selection(text: str) -> Selection | None:
    """Return what a query asks of a system table, None if it is none of these."""
    match = _SELECT.match(normal(text))
    if match is None:
        return None
    columns = [each.strip().lower() for each in match["columns"].split(",")]
    conditions = {
        name.lower(): _LITERALS.findall(one or several)
        for name, one, several in _CONDITION.findall(match["where"] or "")
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
    table = _table(selection)
    edit = node.server.edits.get(selection.table, _unchanged)
    if edit is None:
        raise LookupError(f"table {selection.table} does not exist")
    names = list(table.columns) if selection.columns is None else selection.columns
    wanted = {
        name: {str(values.pop(0)) if each == "?" else each.strip("'").replace("''", "'") for each in literals}
        for name, literals in selection.conditions.items()
    }
    rows = [
        {name: row.get(name) for name in names}
        for row in edit(node, table.rows(node))
        if all(str(row.get(name)) in contents for name, contents in wanted.items())
    ]
    return {name: table.columns[name] for name in names}, rows


def parameter_types(selection: Selection) -> dict[str, str]:
    """Return the types of the bind markers of a selection, by the columns that they are for.

    Raises:
        LookupError: there is no such table or column.
    """
    columns = _table(selection).columns
    return {name: columns[name] for name, literals in selection.conditions.items() if "?" in literals}


def _table(selection: Selection) -> SystemTable:
    """Return the table that has what is asked for. Raises LookupError."""
    table = TABLES.get(selection.table)
    if table is None:
        raise LookupError(f"table {selection.table} does not exist")
    for name in (*(selection.columns or ()), *selection.conditions):
        if name not in table.columns:
            raise LookupError(f"Undefined column name {name} in table {selection.table}")
    return table


def _unchanged(node: ServerNode, rows: list[Row]) -> list[Row]:
    return rows


# --- The nodes -----------------------------------------------------------------------------------------------


def _shared(node: ServerNode, told_to: ServerNode) -> Row:
    return {
        "data_center": node.data_center,
        "rack": node.rack,
        "host_id": node.host_id,
        "release_version": node.release_version,
        "schema_version": node.schema_version or told_to.server.schema.version,
        "tokens": [str(token) for token in node.tokens],
    }


def _local(node: ServerNode) -> list[Row]:
    address, port = node.address.host, node.address.port
    return [
        {
            **_shared(node, node),
            "key": "local",
            "bootstrapped": "COMPLETED",
            "broadcast_address": address,
            "broadcast_port": 7000,
            "cluster_name": node.server.name,
            "cql_version": "3.4.7",
            "gossip_generation": 1,
            "listen_address": address,
            "listen_port": 7000,
            "native_protocol_version": str(max(node.versions)),
            "partitioner": node.server.partitioner,
            "rpc_address": address,
            "rpc_port": port,
            "truncated_at": {},
        }
    ]


def _peers(node: ServerNode) -> list[Row]:
    return [
        {**_shared(peer, node), "peer": peer.address.host, "rpc_address": peer.address.host}
        for peer in node.server.members
        if peer is not node
    ]


def _peers_v2(node: ServerNode) -> list[Row]:
    return [
        {
            **_shared(peer, node),
            "peer": peer.address.host,
            "peer_port": 7000,
            "native_address": peer.address.host,
            "native_port": peer.address.port,
        }
        for peer in node.server.members
        if peer is not node
    ]


# --- All of them ---------------------------------------------------------------------------------------------

_NODE = {
    "data_center": "text",
    "host_id": "uuid",
    "rack": "text",
    "release_version": "text",
    "schema_version": "uuid",
    "tokens": "set<text>",
}
TABLES: dict[str, SystemTable] = {
    "system.local": SystemTable(
        {
            **texts("key", "bootstrapped"),
            "broadcast_address": "inet",
            "broadcast_port": "int",
            **texts("cluster_name", "cql_version"),
            **_NODE,
            "gossip_generation": "int",
            "listen_address": "inet",
            "listen_port": "int",
            **texts("native_protocol_version", "partitioner"),
            "rpc_address": "inet",
            "rpc_port": "int",
            "truncated_at": "map<uuid, blob>",
        },
        _local,
    ),
    "system.peers": SystemTable(
        {"peer": "inet", **_NODE, "preferred_ip": "inet", "rpc_address": "inet"}, _peers
    ),
    "system.peers_v2": SystemTable(
        {
            "peer": "inet",
            "peer_port": "int",
            **_NODE,
            "native_address": "inet",
            "native_port": "int",
            "preferred_ip": "inet",
            "preferred_port": "int",
        },
        _peers_v2,
    ),
    **SCHEMA_TABLES,
}
