"""Sends requests to nodes, or has them held."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from triocql.engine.connections import Target, Turn
from triocql.engine.connections.pool import Pool
from triocql.engine.phase import Phase
from triocql.engine.requests.single import Wait
from triocql.engine.requests.telling import tell
from triocql.engine.routing import Routes
from triocql.engine.routing.absence import Absence
from triocql.engine.routing.backlog import Backlog
from triocql.engine.routing.ending import Ending
from triocql.engine.routing.plan import Plan, nodes_of
from triocql.engine.routing.pools import Pools
from triocql.errors import RequestError
from triocql.metadata.snapshot import Snapshot
from triocql.policies.balancing import default_of
from triocql.policies.balancing.default import SLOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triocql.engine.connections.connection import Connection
    from triocql.engine.requests import Request
    from triocql.engine.requests.queue import RequestQueue
    from triocql.metadata.node import Node
    from triocql.policies.balancing import BalancingPolicy

# Nothing can be sent to it: where requests wait, who comes later waits behind them.
_NOWHERE = Target()


class Dispatcher:
    """Gives requests to the nodes in the order of a policy.

    Attributes:
        turn: where first attempts go without the policy being asked, as far as that is the default one.
        snapshot: what the policy decides by.
    """

    def __init__(self, policy: BalancingPolicy, pools: Pools, backlog: Backlog, ending: Ending) -> None:
        self.turn = Turn(_NOWHERE)
        self.snapshot = Snapshot()
        self._policy = policy
        self._pools = pools
        self._backlog = backlog
        backlog.absence = Absence(policy, pools, lambda: self.snapshot)
        self._ending = ending
        # Whoever chooses another policy wants it to be asked for each request.
        self._default = default_of(policy)
        self._routes: Routes | None = None
        self._position = -1

    def follow(self, snapshot: Snapshot) -> None:
        """Have the policy decide by `snapshot` from now on."""
        self.snapshot = snapshot
        self.rank()
        self.reroute()

    def added(self, pool: Pool) -> None:
        """There is a pool more."""
        if self._default is not None:
            pool.target.rank = self._default.rank(pool.node)
        self.reroute()

    def rank(self) -> None:
        """Have first attempts go by what the policy thinks of the nodes now."""
        if self._default is not None:
            for node, target in self._pools.targets.items():
                target.rank = self._default.rank(node)

    def reroute(self) -> None:
        """Have first attempts go by partitions where there is a choice, and only there. Routes are looked up anew: what
        they have looked up, of pools and tablets, holds no more.
        """
        if self._default is None or not self._has_choice:
            self._routes = None
        else:
            self._routes = Routes(self.snapshot, self._pools.targets)
        if not self._backlog.queue.held:
            self.turn.routes = self._routes

    @property
    def _has_choice(self) -> bool:
        """Whether partitions say anything about where requests go: there are several nodes, or one has shards."""
        if self.snapshot.tablets.is_active:
            return True
        several = len(self._pools) > 1 or any(pool.sharder is not None for pool in self._pools)
        return several and self.snapshot.ring is not None

    def plan(self, request: Request) -> Plan:
        """Return a plan for a request that has more than one attempt. The policy is asked when it is gone through."""
        return Plan(self._nodes(request))

    def submit(self, request: Request) -> None:
        """Send `request`, or have it held, or fail it. Never raises."""
        if (
            request.plan is None
            and request.node is None
            and request.balancing is None
            and self._serve(request)
        ):
            return
        if self._backlog.has_before(request):
            self._hold(request, None)
            return
        named: list[Pool] = []
        try:
            sent = self._send(request, named)
        except BaseException as error:  # of the policy: it is nothing to whoever submits, who may be a reader
            request.fail(_of_policy(error))
            return
        if not sent:
            self._hold(request, named)

    def _serve(self, request: Request) -> bool:
        """Send a first attempt to where the default policy would, without asking it; return whether it was sent.

        What is different from its first choice, as where a node has no room, is the policy's to decide.
        """
        if self._default is None or self._backlog.queue.held:
            return False
        self.turn.routes = routes = self._routes  # while requests waited there were none
        if routes is not None and request.has_key:
            routed = request.routed()
            keyspace, key = routed.keyspace, routed.routing_key
            if keyspace is not None and key is not None:
                route = routes.keyed(keyspace, routed.table, routed.is_lwt, routed.consistency)
                if route is not None:
                    return route.serve(key, request)
        return self.turn.target.send(request) or self._begin_turn(request)

    def _begin_turn(self, request: Request) -> bool:
        """Send `request` to the local node after the last one, whose turn it is then; whether any has room."""
        nodes, targets = self._pools.nodes, self._pools.targets
        for _ in nodes:
            self._position = (self._position + 1) % len(nodes)
            target = targets[nodes[self._position]]
            if target.rank < SLOW and target.serve(request):
                self.turn.target = target
                return True
        return False

    def delay(self, request: Request, when: float, node: Node | None) -> None:
        """Send `request` at `when`, by the loop's clock: to `node`, if there is one and it has room."""
        self._backlog.delays.hold(request, when, partial(self._submit_to, node))

    def next_connection(self, request: Request, plan: Plan) -> Connection | None:
        """Return a connection with room to the next node of `plan`, for a copy of `request`; None if there is none, or
        others wait for room there."""
        if self._backlog.has_before(request) or self._ending.reason is not None:
            return None
        for node in plan:
            pool = self._pools.get(node)
            connection = None if pool is None else pool.pick(self._shard(request, pool))
            if connection is not None:
                return connection
        return None

    def _submit_to(self, node: Node | None, request: Request) -> None:
        pool = None if node is None else self._pools.get(node)
        if (
            pool is None
            or self._backlog.has_before(request)
            or not pool.send(request, self._shard(request, pool))
        ):
            self.submit(request)

    def send_queued(self) -> None:
        """Send what waits for room, as far as there is room."""
        for queue in self._backlog.queues:
            self._send_queued(queue)

    def _send_queued(self, queue: RequestQueue[Request]) -> None:
        while len(queue):
            request, named = queue.first(), list[Pool]()
            try:
                sent = self._send(request, named)
            except BaseException as error:
                request.fail(_of_policy(error))
                continue
            if not sent and any(pool.has_open() for pool in named):
                return
            queue.release(request, Phase.QUEUED)
            if not sent:
                self._hold(request, named)

    def send_waiting(self) -> None:
        """Send what waits for a connection, now that there is one."""
        tell(self._backlog.waiting.requests(), self._resubmit)
        self.send_queued()

    def _resubmit(self, request: Request | Wait) -> None:
        if not isinstance(request, Wait) and request.phase is Phase.CONNECTING:
            request.leave()
            self.submit(request)

    def _send(self, request: Request, named: list[Pool]) -> bool:
        """Send `request` to the first node that has room, and add the pools of all that come up to `named`.

        Where all that is left of a plan has no room, a node may get the request once more. Return False if no node has
        room. Raises what the policy raises, which may also have sent or ended the request meanwhile.
        """
        get, plan, holder = self._pools.get, request.plan, request.holder
        for node in self._nodes(request) if plan is None else chain(plan, plan.given):
            if request.holder is not holder or request.phase is Phase.DONE:
                return True
            pool = get(node)
            if pool is not None:
                named.append(pool)
                if pool.send(request, self._shard(request, pool)):
                    return True
        return request.holder is not holder or request.phase is Phase.DONE

    def _shard(self, request: Request, pool: Pool) -> int:
        """Return the shard that the partition of `request` has on the node of `pool`; -1 where nothing is known of it,
        or the node has none."""
        if pool.sharder is None or not request.has_key:
            return -1
        routed = request.routed()
        routed.snapshot = self.snapshot
        tablet = routed.tablet
        if tablet is not None and (shard := tablet.shard_of(pool.node)) >= 0:
            return shard
        token = routed.token
        return pool.sharder.shard_of(token) if isinstance(token, int) else -1

    def _nodes(self, request: Request) -> Iterator[Node]:
        policy = request.balancing
        return nodes_of(self._policy if policy is None else policy, request.routed, self.snapshot)

    def _hold(self, request: Request, named: Sequence[Pool] | None) -> None:
        if self._ending.reason is not None:
            request.fail(self._ending.error())
            return
        self._backlog.hold(request, named)
        if len(self._backlog.queue):
            self.turn.target, self.turn.routes = _NOWHERE, None


def _of_policy(error: BaseException) -> BaseException:
    """Return what a request fails with, about which the balancing policy has raised `error`."""
    if not isinstance(error, Exception):
        return error
    failed = RequestError(f"the balancing policy raised {type(error).__name__}: {error}")
    failed.__cause__ = error
    return failed
