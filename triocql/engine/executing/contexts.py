"""The contexts of executions, one for each set of policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from triocql.config.policies import of_session
from triocql.engine.executing.context import ExecutionContext
from triocql.engine.executing.racing import Speculation
from triocql.engine.executing.recovery import Doubt, Recovery
from triocql.engine.executing.repreparing import Repreparing
from triocql.engine.executing.retrying import Retrying
from triocql.engine.executing.stamping import timestamps_of
from triocql.engine.executing.throttling import Throttling
from triocql.observability.tracker import GuardedTracker, default
from triocql.policies.speculation import NeverSpeculate
from triocql.policies.throttling import NeverThrottle
from triocql.protocol.constants import V4

if TYPE_CHECKING:
    from triocql.config.options import Options
    from triocql.config.policies import PolicyOptions
    from triocql.engine.messages.descriptions import Descriptions
    from triocql.engine.messages.reading import ResultReader
    from triocql.engine.routing.router import Router
    from triocql.observability.meters import Meters
    from triocql.policies.balancing import BalancingPolicy
    from triocql.policies.retry import RetryPolicy
    from triocql.policies.speculation import SpeculationPolicy
    from triocql.policies.throttling import ThrottlingPolicy


class Contexts:
    """Makes contexts. What stands for one policy is one object, in however many contexts it is: it counts, or learns,
    for all of them.

    Args:
        router: sends requests.
        reader: reads results.
        descriptions: what nodes have told of statements.
        meters: count requests.
        doubt: called with statements whose types may have changed.
        options: of the session.
    """

    def __init__(
        self,
        router: Router,
        reader: ResultReader,
        descriptions: Descriptions,
        meters: Meters,
        doubt: Doubt,
        options: Options,
    ) -> None:
        self._router = router
        self._reader = reader
        self._meters = meters
        self._doubt = doubt
        self._options = options
        tracker = default() if options.tracker is None else options.tracker
        self._tracker = None if tracker is None else GuardedTracker(tracker, payloads=reader.version >= V4)
        self._repreparing = Repreparing(router, reader.version, descriptions)
        # By the function and the identity of the policy, which is kept, too: so that it stays its own.
        self._made: dict[tuple[Callable[[Any], Any], int], tuple[Any, Any]] = {}

    def of(self, policies: PolicyOptions) -> ExecutionContext:
        """Return the context of requests that these policies decide about."""
        throttling: Throttling | None = self._once(self._throttling, policies.throttling)
        return ExecutionContext(
            self._router,
            Recovery(
                self._router,
                self._once(self._retrying, policies.retry),
                self._repreparing,
                self._doubt,
                self._reader.version,
                self._router.submit if throttling is None else throttling.submit,
                self._own_balancing(policies.balancing),
            ),
            self._reader,
            self._once(timestamps_of, policies.timestamps),
            self._router.clock.now,
            self._meters,
            self._tracker,
            self._once(self._speculation, policies.speculation),
            throttling,
            self._options.contact_points[0],
        )

    def _once(self, make: Callable[[Any], Any], policy: Any) -> Any:
        key = make, id(policy)
        if key not in self._made:
            self._made[key] = policy, make(policy)
        return self._made[key][1]

    def _retrying(self, policy: RetryPolicy) -> Retrying:
        return Retrying(self._router, policy)

    def _speculation(self, policy: SpeculationPolicy | None) -> Speculation | None:
        if policy is None or isinstance(policy, NeverSpeculate):
            return None
        return Speculation(self._router, policy)

    def _own_balancing(self, policy: BalancingPolicy | None) -> BalancingPolicy | None:
        """Return the policy in this session; None for the session's, which the router asks by itself."""
        if policy is self._options.policies.balancing:
            return None
        own: BalancingPolicy = self._once(self._balancing, policy)
        return own

    def _balancing(self, policy: BalancingPolicy) -> BalancingPolicy:
        own: BalancingPolicy = of_session(policy, "balancing", self._options.contact_points)
        self._router.add_policy(own)
        return own

    def _throttling(self, policy: ThrottlingPolicy | None) -> Throttling | None:
        if policy is None or isinstance(policy, NeverThrottle):
            return None
        own: ThrottlingPolicy = of_session(policy, "throttling")
        return Throttling(self._router, own, self._options.pool.max_queue_bytes)
