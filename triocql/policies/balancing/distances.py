"""How far nodes are, as one policy sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triocql.metadata.node import Distance, Node
    from triocql.metadata.snapshot import Snapshot


class Distances:
    """Remembers what one policy has said of the nodes of the newest snapshot: where profiles have policies of their
    own, `Node.distance` is the nearest of all.
    """

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._known: dict[Node, Distance] = {}

    def of(self, node: Node) -> Distance:
        """Return what was said of `node`; its own distance if nothing was."""
        return self._known.get(node, node.distance)

    def put(self, node: Node, snapshot: Snapshot, distance: Distance) -> Distance:
        """Remember, and return, how far `node` is in `snapshot`."""
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._known = {each: self._known[each] for each in snapshot.nodes if each in self._known}
        self._known[node] = distance
        return distance
