"""Plans: the nodes that come next for one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from triocql.metadata.node import Node


class Plan:
    """The nodes for one request, in the order of a policy, and which of them it has been given.

    A request has one from its second attempt on: most have only one attempt. Nodes are taken from the policy as they
    are needed. Those that could not be given, for want of room, come again.

    Attributes:
        given: the nodes that the request was sent to, the first one first.
    """

    __slots__ = ("_known", "_source", "given")

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.given: list[Node] = []
        self._known: list[Node] = []
        self._source = iter(nodes)

    def __iter__(self) -> Iterator[Node]:
        """Go through the nodes that were not given, from the first one on."""
        yield from (node for node in tuple(self._known) if node not in self.given)
        for node in self._source:
            self._known.append(node)
            if node not in self.given:
                yield node

    def give(self, node: Node) -> None:
        """Record that the request was sent to `node`, whether or not the plan has named it."""
        if node not in self.given:
            self.given.append(node)
