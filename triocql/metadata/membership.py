"""Which nodes belong to a cluster, as one reading of its tables follows another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from triocql.metadata.node import Node
from triocql.metadata.snapshot import Snapshot

if TYPE_CHECKING:
    from uuid import UUID

    from triocql.abc import Address
    from triocql.metadata.peers import ClusterFacts, NodeFacts


class Change(NamedTuple):
    """What a reading has led to.

    Attributes:
        snapshot: the one that follows.
        moved: the nodes that have another address than before, and the one that each was dialled at.
        upgraded: those that run another release than before.
        doubted: those that the reading lacks, and that are kept all the same: another one has to confirm it.
    """

    snapshot: Snapshot
    moved: tuple[tuple[Node, Address], ...]
    upgraded: tuple[Node, ...]
    doubted: tuple[Node, ...]


class Membership:
    """Has each node be the same object for as long as its host_id is told, wherever it goes.

    A reading in which most nodes are missing may be that of a node that has only just started, or is cut off: it
    takes nobody away, unless it comes twice in a row or an event has said so.

    Args:
        translate: returns the address to dial for one that the cluster tells.
    """

    def __init__(self, translate: Callable[[Address], Address]) -> None:
        self._translate = translate
        self._doubted: frozenset[Node] = frozenset()

    def follow(
        self, known: Snapshot, facts: ClusterFacts, teller: Node, removed: frozenset[Address] = frozenset()
    ) -> Change:
        """Return what follows `known` when `teller` has told `facts`.

        `teller` is a node of `known`, or one of which only the address is known yet, by which it was reached: it keeps
        that one, whatever is told. `removed` are the addresses of nodes that events say were removed.
        """
        by_id: dict[UUID | None, Node] = {node.host_id: node for node in known.nodes}
        if facts.local.host_id not in by_id and teller.host_id is None:
            by_id[facts.local.host_id] = teller
        moved, upgraded, nodes = [], [], []
        for each in (facts.local, *facts.peers):
            node = by_id.pop(each.host_id, None) or Node(self._translate(each.told))
            if node.host_id is not None and node.release != each.release:
                upgraded.append(node)
            former = node.address
            if self._learn(node, each):
                moved.append((node, former))
            nodes.append(node)
        missing = [node for node in known.nodes if by_id.get(node.host_id) is node]
        doubted = self._doubt(missing, nodes, removed)
        snapshot = replace(
            known, nodes=(*nodes, *doubted), cluster_name=facts.name, partitioner=facts.partitioner
        )
        return Change(snapshot, tuple(moved), tuple(upgraded), doubted)

    def _learn(self, node: Node, facts: NodeFacts) -> bool:
        """Keep what is told of a node; return whether it has another address than before."""
        moved = node.told not in (None, facts.told)
        if moved:
            node.move(self._translate(facts.told))
        node.told, node.host_id = facts.told, facts.host_id
        node.data_centre, node.rack, node.release = facts.data_centre, facts.rack, facts.release
        node.tokens = facts.tokens
        return moved

    def _doubt(
        self, missing: list[Node], present: list[Node], removed: frozenset[Address]
    ) -> tuple[Node, ...]:
        """Return those of the `missing` nodes that are kept."""
        taken = {node.told for node in present}
        gone = [node for node in missing if node.told in removed or node.told in taken]
        doubted = [node for node in missing if node not in gone and node not in self._doubted]
        if 2 * len(doubted) < len(present) + len(missing) - len(gone):
            doubted = []
        self._doubted = frozenset(doubted)
        return tuple(doubted)
