"""The cluster at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from triocql.metadata.node import Node


class Difference(NamedTuple):
    """The nodes that one snapshot has and another one has not, in the order of their snapshots."""

    added: tuple[Node, ...]
    removed: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A cluster at one moment. A change makes another snapshot, which is put in its place at once:
    whoever holds one sees a whole.

    Attributes:
        nodes: each one once.
        cluster_name: the name of the cluster; "" until it has told.
    """

    nodes: tuple[Node, ...] = ()
    cluster_name: str = ""

    def since(self, earlier: Snapshot) -> Difference:
        """Return what has changed since `earlier`."""
        before, after = set(earlier.nodes), set(self.nodes)
        return Difference(
            tuple(node for node in self.nodes if node not in before),
            tuple(node for node in earlier.nodes if node not in after),
        )
