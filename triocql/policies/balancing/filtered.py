"""Filters: some nodes are left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from triocql._brief import brief
from triocql._hints import hinted
from triocql.errors import OptionError
from triocql.metadata.node import Distance
from triocql.policies.balancing.default import DefaultBalancing
from triocql.policies.balancing.distances import Distances

if TYPE_CHECKING:
    from triocql.abc import Address
    from triocql.metadata.node import Node
    from triocql.metadata.snapshot import Snapshot
    from triocql.policies.balancing.contract import BalancingPolicy, RoutedRequest


@hinted()
class FilteredBalancing:
    """Another policy, without some of the nodes: these get no connections, and no requests.

    Args:
        policy: what decides about the others; the default with its defaults if None.
        allow: the nodes that are used, by their addresses, with or without a port; all if None.
        deny: nodes that are not used, likewise.
        predicate: called with a node, returns whether it is used; asked when a snapshot follows another.

    Raises OptionError if nothing is filtered, or not in this way.

    >>> import triocql
    >>> balancing = FilteredBalancing(deny=["10.0.0.3"], predicate=lambda node: node.rack != "attic")
    >>> policies = triocql.PolicyOptions(balancing=balancing)    # connect(..., policies=policies)
    """

    def __init__(
        self,
        policy: BalancingPolicy | None = None,
        *,
        allow: Collection[str] | None = None,
        deny: Collection[str] = (),
        predicate: Callable[[Node], bool] | None = None,
    ) -> None:
        if isinstance(allow, str) or isinstance(deny, str):
            raise OptionError("allow and deny take several addresses, in a list")
        if allow is None and not deny and predicate is None:
            raise OptionError("a FilteredBalancing takes allow=, deny= or predicate=")
        if predicate is not None and not callable(predicate):
            raise OptionError(f"predicate is {brief(predicate)}; it has to be a function of a node")
        self.policy = DefaultBalancing() if policy is None else _checked(policy)
        self._allow = allow
        self._deny = deny
        self._predicate = predicate
        self._distances = Distances()

    def in_session(self, contact_points: tuple[Address, ...]) -> FilteredBalancing:
        """Return a policy of a session's own."""
        return FilteredBalancing(
            _in_session(self.policy, contact_points),
            allow=self._allow,
            deny=self._deny,
            predicate=self._predicate,
        )

    def distance(self, node: Node, snapshot: Snapshot) -> Distance:
        """Return IGNORED for what is left out, else what the policy says (`BalancingPolicy`)."""
        if self._uses(node):
            return self._distances.put(node, snapshot, self.policy.distance(node, snapshot))
        if (
            default := default_of(self)
        ) is not None:  # whose ranks requests go by, without the filter being asked
            default.leave_out(node, snapshot)
        return self._distances.put(node, snapshot, Distance.IGNORED)

    def plan(self, request: RoutedRequest, snapshot: Snapshot) -> Iterator[Node]:
        """Give the nodes of the policy that are not left out (`BalancingPolicy`)."""
        of = self._distances.of
        return (node for node in self.policy.plan(request, snapshot) if of(node) is not Distance.IGNORED)

    def explain(self, snapshot: Snapshot) -> str | None:
        """Return why there is no node for anything; None if there are some that might be used."""
        left_out = sum(not self._uses(node) for node in snapshot.nodes)
        explain: Callable[[Snapshot], str | None] | None = getattr(self.policy, "explain", None)
        why = None if explain is None else explain(snapshot)
        return (
            f"the filter leaves out {left_out} of {len(snapshot.nodes)} nodes"
            if why is None and left_out
            else why
        )

    def _uses(self, node: Node) -> bool:
        names = {node.name, node.address.host}
        if node.told is not None:
            names |= {str(node.told), node.told.host}
        if self._allow is not None and names.isdisjoint(self._allow):
            return False
        return names.isdisjoint(self._deny) and (self._predicate is None or self._predicate(node))


def _checked(policy: BalancingPolicy) -> BalancingPolicy:
    has_all = all(callable(getattr(policy, method, None)) for method in ("distance", "plan"))
    if not has_all or isinstance(policy, type):
        raise OptionError(
            f"policy is {brief(policy)}; it has to be a balancing policy: an object, and no class"
        )
    return policy


def _in_session(policy: BalancingPolicy, contact_points: tuple[Address, ...]) -> BalancingPolicy:
    make: Callable[[tuple[Address, ...]], BalancingPolicy] | None = getattr(policy, "in_session", None)
    return policy if make is None else make(contact_points)


def default_of(policy: BalancingPolicy) -> DefaultBalancing | None:
    """Return the default policy that decides about nodes that are used; None if another one does, or a class of the
    user's that is derived from it.
    """
    if type(policy) is FilteredBalancing:
        return default_of(policy.policy)
    return policy if type(policy) is DefaultBalancing else None
