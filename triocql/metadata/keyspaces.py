"""What is known of a keyspace, and how it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from triocql.metadata.replication import ReplicationStrategy, strategy_of


@dataclass(frozen=True, slots=True)
class KeyspaceMetadata:
    """A keyspace, as the cluster has told.

    Attributes:
        name: its name, as it is in system tables: without quotes.
        replication: on how many nodes each partition is, and how these are chosen.
        durable_writes: whether writes go to the commit log, too.
    """

    name: str
    replication: ReplicationStrategy
    durable_writes: bool = True


def read_keyspaces(rows: Iterable[Mapping[str, Any]]) -> dict[str, KeyspaceMetadata]:
    """Read the rows of ``system_schema.keyspaces``. Those without a name are left out."""
    found = {}
    for row in rows:
        name, replication = row.get("keyspace_name"), row.get("replication")
        if isinstance(name, str):
            strategy = strategy_of(_texts(replication) if isinstance(replication, Mapping) else {})
            found[name] = KeyspaceMetadata(name, strategy, row.get("durable_writes") is not False)
    return found


def _texts(column: Mapping[Any, Any]) -> dict[str, str]:
    """Return what is text in a map; of which types a column is, the server says."""
    return {key: value for key, value in column.items() if isinstance(key, str) and isinstance(value, str)}
