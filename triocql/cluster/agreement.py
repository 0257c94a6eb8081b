"""Schema agreement: whether all nodes have the same schema, and waiting until they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.cluster.waiting import Due, nothing, until
from triocql.errors import Error
from triocql.metadata.node import NodeState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from uuid import UUID

    from triocql.abc import Reactor, Waiter
    from triocql.metadata.node import Node

_DOWN = (NodeState.DOWN, NodeState.FORCED_DOWN)
# Seconds between two looks at the versions: at first, and at last, as each pause is twice the one before.
_SHORTEST = 0.05
_LONGEST = 0.5


def versions_agree(
    local: UUID | None, peers: Iterable[tuple[UUID | None, UUID | None]], nodes: Iterable[Node]
) -> bool:
    """Return whether all nodes that count have the same version of the schema.

    What tells no version does not count, nor a peer that is down or no node of the cluster: it may have been removed
    long ago.

    Args:
        local: the version of the node that tells.
        peers: the host_id and the version of each of its peers.
        nodes: those of the cluster.
    """
    counts = {node.host_id for node in nodes if node.state not in _DOWN}
    versions = {version for host_id, version in peers if host_id is not None and host_id in counts}
    return len((versions | {local}) - {None}) <= 1


class Agreement:
    """Tells any number of callers when all nodes have the same schema. One task looks for all who wait, as long as
    somebody does.

    Whoever comes while it looks waits for its next look: what was seen may be older than the change that they have
    made.

    Args:
        look: returns whether all nodes agree now. Raises errors of the driver if it cannot be found out; then it is
            called again later.

    Attributes:
        latest: whether they did when it was found out last; None before that.
    """

    def __init__(self, reactor: Reactor, look: Callable[[], Awaitable[bool]]) -> None:
        self._reactor = reactor
        self._look = look
        self.latest: bool | None = None
        self._waiting: list[Waiter[bool]] = []
        self._running = False
        self._closed = False
        self._due = Due(reactor)
        self._cancel: Callable[[], None] | None = None

    async def wait(self, seconds: float) -> bool:
        """Wait until all nodes agree, so long at most; return whether they do. False at the end of the session."""
        waiter: Waiter[bool] = self._reactor.waiter(nothing)
        self._waiting.append(waiter)
        try:
            self._begin()
            return await until(self._reactor, waiter, self._reactor.now() + seconds, False)
        finally:
            self._forget(waiter)

    def wake(self) -> None:
        """Look soon: something has happened that may have changed things."""
        self._due.by(self._reactor.now() + _SHORTEST)

    def close(self) -> None:
        """Look no more; whoever waits need not. Synchronous and idempotent."""
        self._closed = True
        if self._cancel is not None:
            self._cancel()
        for waiter in self._waiting:
            waiter.resolve(False)

    def _begin(self) -> None:
        """Have somebody look: at once, unless it was just seen that they do not agree."""
        if self._closed:
            self.close()
        elif self._running:
            self.wake()
        else:
            self._running = True
            self._cancel = self._reactor.spawn(self._run)

    async def _run(self) -> None:
        self._running = True  # again, where the program has cancelled it
        pause = _SHORTEST
        try:
            while self._waiting and not self._closed:
                served = tuple(self._waiting)
                if await self._agree():
                    pause = _SHORTEST
                    for waiter in served:
                        waiter.resolve(True)
                        self._forget(waiter)
                else:
                    await self._pause(pause)
                    pause = min(2 * pause, _LONGEST)
        finally:
            self._running = False

    async def _agree(self) -> bool:
        try:
            self.latest = agree = await self._look()
        except Error:  # of a connection, or a node; the next look may be at another one
            return False
        return agree

    async def _pause(self, seconds: float) -> None:
        self._due.when = self._reactor.now() + seconds
        while not self._due.has_come and self._waiting and not self._closed:
            await self._due.pause()

    def _forget(self, waiter: Waiter[bool]) -> None:
        self._waiting = [each for each in self._waiting if each is not waiter]
        if not self._waiting:
            self._due.wake()
