"""The nodes that a request goes to, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.metadata.node import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from triocql.metadata.snapshot import Snapshot
    from triocql.policies.balancing import BalancingPolicy, RoutedRequest

# A policy that goes on for ever is asked for no more nodes than twice as many as there are, and these.
_SPARE = 16


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
        """Go through the nodes that were not given, from the first one on. Raises what the policy raises."""
        yield from (node for node in tuple(self._known) if node not in self.given)
        for node in self._source:
            self._known.append(node)
            if node not in self.given:
                yield node

    def give(self, node: Node) -> None:
        """Record that the request was sent to `node`, whether or not the plan has named it."""
        if node not in self.given:
            self.given.append(node)


def nodes_of(
    policy: BalancingPolicy, describe: Callable[[], RoutedRequest], snapshot: Snapshot
) -> Iterator[Node]:
    """Go through the nodes that `policy` names for a request, each once; it is asked when the first one is. A request
    that is for one node goes there.

    Raises what the policy raises, and TypeError for what is no node.
    """
    request = describe()
    request.snapshot = snapshot
    if request.node is not None:
        yield request.node
        return
    left = 2 * len(snapshot.nodes) + _SPARE
    named: set[Node] = set()
    for node in policy.plan(request, snapshot):
        if not isinstance(node, Node):
            raise TypeError(f"plan() named a {type(node).__name__}, not a Node of the snapshot")
        if left == 0:
            return
        left -= 1
        if node not in named:
            named.add(node)
            yield node
