"""Sends requests to nodes, or has them held."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from triocql.engine.connections import Target, Turn
from triocql.engine.connections.pool import Pool
from triocql.engine.phase import Phase
from triocql.engine.requests.single import Wait
from triocql.engine.requests.telling import tell
from triocql.engine.routing.backlog import Backlog
from triocql.engine.routing.ending import Ending
from triocql.engine.routing.plan import Plan
from triocql.engine.routing.pools import Pools
from triocql.policies.balancing import BalancingPolicy

if TYPE_CHECKING:
    from triocql.engine.requests import Request

# Nothing can be sent to it: where requests wait, who comes later waits behind them.
_NOWHERE = Target()


class Dispatcher:
    """Gives requests to the nodes in the order of a policy.

    Attributes:
        turn: the node that first attempts go to until its run is over, without the policy being asked.
    """

    def __init__(self, policy: BalancingPolicy, pools: Pools, backlog: Backlog, ending: Ending) -> None:
        self.turn = Turn(_NOWHERE)
        self._policy = policy
        self._pools = pools
        self._backlog = backlog
        self._ending = ending

    def plan(self) -> Plan:
        """Return a plan for a request that has more than one attempt."""
        return Plan(self._policy.plan(self._pools.nodes))

    def submit(self, request: Request) -> None:
        """Send `request`, or have it held, or fail it. Never raises."""
        plan = request.plan
        if plan is None and self.turn.target.send(request):
            return
        pool = None if self._backlog.queue.held else self._send(request, plan)
        if pool is not None:
            self.turn.target = pool.target
        elif self._ending.reason is not None:
            request.fail(self._ending.error())
        else:
            self._backlog.hold(request)
            if len(self._backlog.queue):
                self.turn.target = _NOWHERE

    def send_queued(self) -> None:
        """Send what waits for room, as far as there is room."""
        queue = self._backlog.queue
        while len(queue):
            request = queue.first()
            if self._send(request, None) is None:
                return
            queue.release(request, Phase.QUEUED)

    def send_waiting(self) -> None:
        """Send what waits for a connection, now that there is one."""
        tell(self._backlog.waiting.requests(), self._resubmit)
        self.send_queued()

    def _resubmit(self, request: Request | Wait) -> None:
        if not isinstance(request, Wait) and request.phase is Phase.CONNECTING:
            request.leave()
            self.submit(request)

    def _send(self, request: Request, plan: Plan | None) -> Pool | None:
        """Send `request` to the first node that has room; return its pool, None if there is none.

        Where all that is left of a plan has no room, a node may get the request once more.
        """
        get = self._pools.get
        for node in self._policy.plan(self._pools.nodes) if plan is None else chain(plan, plan.given):
            pool = get(node)
            if pool is not None and pool.send(request):
                return pool
        return None
