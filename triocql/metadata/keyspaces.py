"""What is known of a keyspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triocql.metadata.replication import ReplicationStrategy


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
