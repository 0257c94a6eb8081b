"""The metadata of a cluster: its nodes, ring and keyspaces, in snapshots that never change."""

from __future__ import annotations

from triocql.metadata.placement import Placement
from triocql.metadata.ring import ReplicaMap, Ring

__all__ = ["Placement", "ReplicaMap", "Ring"]
