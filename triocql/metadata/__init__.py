"""The metadata of a cluster: its nodes, ring and keyspaces, in snapshots that never change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._impl import compiled

if TYPE_CHECKING or not compiled:
    from triocql.metadata.placement import Placement
    from triocql.metadata.ring import ReplicaMap, Ring
    from triocql.metadata.tablets import Tablet, TableTablets
else:
    from triocql.metadata._placement import Placement
    from triocql.metadata._ring import ReplicaMap, Ring
    from triocql.metadata._tablets import Tablet, TableTablets

__all__ = ["Placement", "ReplicaMap", "Ring", "TableTablets", "Tablet"]
