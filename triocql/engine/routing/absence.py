"""Why no node can be had for a request: what `NoNodeAvailable` says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from triocql.engine.connections.pool import Pool
from triocql.engine.routing.pools import Pools
from triocql.errors import NoNodeAvailable, OptionError
from triocql.metadata.node import Distance, Node
from triocql.metadata.snapshot import Snapshot
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from triocql.engine.requests import Request
    from triocql.policies.balancing import BalancingPolicy

logger = get_logger(__name__)

_MOST = 8
"""How many nodes are named."""


class Absence:
    """Makes the errors of requests that no node is there for.

    A policy may have a method ``explain(snapshot)``, which returns why it has no node for anything, None if it does not
    know: "no node of the local data centre 'x' (known are 'y', 'z')".
    """

    def __init__(self, policy: BalancingPolicy, pools: Pools, snapshot: Callable[[], Snapshot]) -> None:
        self._policy = policy
        self._pools = pools
        self._snapshot = snapshot

    def error(self, request: Request, named: Sequence[Pool] | None) -> BaseException:
        """Return the error of `request`, which may go to the nodes of these pools; to any if they are None."""
        pools = tuple(self._pools) if named is None else named
        policy = self._policy if request.balancing is None else request.balancing
        try:
            error = NoNodeAvailable(self._left_out(request.node) or self._reason(pools, policy))
        except BaseException as raised:  # of the policy: it is nothing to whoever asks, who may be a reader
            return raised
        error.attempts = tuple(pool.last_failure for pool in pools if pool.last_failure is not None)
        if (past := request.past()) is not None:
            error.attempts = past.attempts + error.attempts
            error.attempts_left_out = past.attempts_left_out
            error.maybe_executed = past.maybe_executed
        return error

    def unused(self, policy: BalancingPolicy) -> OptionError:
        """Return the error for a policy that has no use for any node that there is: nothing could ever be asked."""
        nodes = self._snapshot().nodes
        which = "the session" if policy is self._policy else "a profile"
        reason = self._explained(policy) or f"the balancing policy ignores every node: {_listed(nodes)}"
        return OptionError(f"{which} would have no node: {reason}")

    def _left_out(self, node: Node | None) -> str | None:
        """Return why a node that a request is for gets none; None if it does, or if any node would do."""
        if node is None or any(pool.node is node for pool in self._pools):
            return None
        nodes = self._snapshot().nodes
        if any(each is node for each in nodes):
            return f"node {node} was asked for, which gets no connections: the balancing policy leaves it out"
        return f"node {node} was asked for, which is none of this session's, or no longer; known are {_listed(nodes)}"

    def _reason(self, pools: Sequence[Pool], policy: BalancingPolicy) -> str:
        if pools:
            which = "any node" if len(pools) == len(self._pools) else "a node for this request"
            return f"no connection to {which}: {_listed(pool.node for pool in pools)}"
        nodes = self._snapshot().nodes
        if not nodes:
            return "no node of the cluster is known"
        explained = self._explained(policy)
        if explained is not None:
            return f"no node for this request: {explained}"
        return f"the balancing policy has no node for this request; known are {_listed(nodes)}"

    def _explained(self, policy: BalancingPolicy) -> str | None:
        try:
            explain: Callable[[Snapshot], object] | None = getattr(policy, "explain", None)
            explained = None if explain is None else explain(self._snapshot())
        except Exception:
            logger.exception("the balancing policy raised in explain()")
            return None
        if explained is None or isinstance(explained, str):
            return explained
        logger.error("explain() of the balancing policy returned %s, not a str", type(explained).__name__)
        return None


def _listed(nodes: Iterable[Node]) -> str:
    """Return the names of the nodes and what stands in their way; of very many, the first ones."""
    texts = [f"{node.name} ({_standing(node)})" for node in nodes]
    more = f" and {len(texts) - _MOST:,} more" if len(texts) > _MOST else ""
    return ", ".join(texts[:_MOST]) + more


def _standing(node: Node) -> str:
    ignored = f", {node.distance.value}" if node.distance is Distance.IGNORED else ""
    where = "" if node.data_centre is None else f" in {node.data_centre}"
    return f"{node.state.value}{where}{ignored}"
