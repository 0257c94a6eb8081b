"""Requests that no connection can take now: for want of room, or of a connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from triocql.config.groups import PoolOptions
from triocql.engine.connections.pool import Pool
from triocql.engine.phase import Phase
from triocql.engine.requests.clock import Clock
from triocql.engine.requests.queue import RequestQueue
from triocql.engine.requests.single import Wait
from triocql.engine.requests.telling import tell
from triocql.engine.routing.absence import Absence
from triocql.engine.routing.delays import Delays
from triocql.engine.routing.pools import Pools
from triocql.errors import QueueFull

if TYPE_CHECKING:
    from triocql.engine.requests import Request
    from triocql.metadata.node import Node


class Backlog:
    """Holds requests until they can be sent, or fails them where that is not to be expected.

    Attributes:
        queue: what waits while every connection is full, the first to be sent first.
        apart: the same of each profile with a balancing policy of its own, by the identity of that: it may have other
            nodes, and keeps nobody else waiting; and of what is for one node only, by the node, once something was.
        waiting: what waits for something else: a connection, or a statement to be prepared.
        delays: what waits for the time at which it is tried again.
        others: what holds requests for other reasons.
        absence: knows why there is no node; set by whoever knows the policy.
    """

    absence: Absence

    def __init__(self, clock: Clock, options: PoolOptions, pools: Pools) -> None:
        self.queue: RequestQueue[Request] = RequestQueue(clock)
        self.apart: dict[int | Node, RequestQueue[Request]] = {}
        self.waiting: RequestQueue[Request | Wait] = RequestQueue(clock)
        self.delays = Delays(clock)
        self.others: list[RequestQueue[Any]] = []
        self._clock = clock
        self._options = options
        self._pools = pools

    @property
    def queues(self) -> Iterable[RequestQueue[Request]]:
        """All queues of what waits for room."""
        return self.queue, *self.apart.values()

    def has_before(self, request: Request) -> bool:
        """Whether others wait for room that came before `request`."""
        queue = self._queue_of(request)
        return queue is not None and bool(queue.held)

    def _queue_of(self, request: Request) -> RequestQueue[Request] | None:
        """Return the queue that `request` would wait in for room; None for a node that nothing has waited for yet."""
        node, policy = request.node, request.balancing
        if node is not None:
            return self.apart.get(node)
        return self.queue if policy is None else self.apart[id(policy)]

    def forget(self, node: Node) -> None:
        """Have no queue for a node that has left, unless something waits in it."""
        if node in self.apart and not self.apart[node].held:
            self._clock.discard(self.apart.pop(node))

    def hold(self, request: Request, named: Sequence[Pool] | None) -> None:
        """Hold `request`, or fail it with QueueFull or NoNodeAvailable.

        Args:
            request: what could not be sent.
            named: the pools of the nodes that it may go to; None for any. If there are none while other nodes can be
                had, it is not to go to those.
        """
        pools = self._pools if named is None else named
        if any(pool.has_open() for pool in pools):
            self._queue(request)
        elif self._can_be_had(pools):
            self.waiting.enter(request, Phase.CONNECTING, named)
        else:
            request.fail(self.absence.error(request, named))

    def _queue(self, request: Request) -> None:
        """Have `request` wait for room, or fail it with QueueFull."""
        node, queue = request.node, self._queue_of(request)
        if node is not None and not request.bounded:
            request.fail(QueueFull(f"every connection to {node.name}, the one node for it, is full"))
            return
        if node is not None and queue is None:
            queue = self.apart[node] = RequestQueue(self._clock)
        assert queue is not None, "all others have one from the beginning"
        if self._is_full(queue) and not request.bounded:
            request.fail(_queue_full(queue))
        else:
            queue.enter(request, Phase.QUEUED)

    def _can_be_had(self, pools: Iterable[Pool]) -> bool:
        """Have connections dialled, and return whether one is to one of these pools, or to any if none can be had."""
        if not self._pools.call_for_connections():
            return False
        return any(pool.dialing for pool in pools) or not self._pools.has_open()

    def _is_full(self, queue: RequestQueue[Request]) -> bool:
        return queue.is_full(self._options.max_queue, self._options.max_queue_bytes)

    def find_others(self) -> None:
        """If no connection is left, have what waits wait for the next dial, as what comes now does, or fail."""
        if not self._pools.has_open() and not self._pools.call_for_connections():
            self.give_up()

    def give_up(self) -> None:
        """Fail what waits for a connection that there is not and that is not being made."""
        tell(self.requests(), self._give_up)

    def requests(self) -> tuple[Request | Wait, ...]:
        """Return everything that is held."""
        held = (self.waiting, *self.queues, self.delays, *self.others)
        return tuple(request for queue in held for request in queue.requests())

    def _give_up(self, request: Request | Wait) -> None:
        if isinstance(request, Wait) or request.phase not in (Phase.CONNECTING, Phase.QUEUED):
            return
        # What is queued finds out about its own nodes when it is its turn.
        pools = self.waiting.wanted(request) if request.phase is Phase.CONNECTING else None
        if not any(pool.dialing or pool.has_open() for pool in pools or self._pools):
            request.fail(self.absence.error(request, pools))


def _queue_full(queue: RequestQueue[Request]) -> QueueFull:
    return QueueFull(
        "use execute_concurrent, stream_concurrent or a request nursery, which keep a number of requests under "
        f"way, instead of starting all at once (or raise max_queue, max_queue_bytes): {len(queue):,} requests "
        f"({queue.size:,} bytes) wait already, and every connection is full"
    )
