"""Keeps what follows from the nodes and the schema of a cluster: keyspaces, the ring, and where the replicas are."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from triocql.cluster.doubt import Doubt
from triocql.cluster.faults import Faults
from triocql.cluster.waiting import Due, nothing, sliced, until
from triocql.errors import Error
from triocql.metadata.placer import Placer
from triocql.metadata.schema import read_heads
from triocql.metadata.schema.following import with_heads
from triocql.metadata.schema.scope import Scope
from triocql.metadata.schema.systemtables import OF_SCYLLA
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from triocql.abc import Reactor, Waiter
    from triocql.cluster.nodes import Nodes
    from triocql.metadata.schema import Fault, Keyspace, Rows

    Keyspaces = Mapping[str, Keyspace]
    Read = Callable[[], Awaitable[Rows]]

logger = get_logger(__name__)

# Seconds after which a reading that has failed is tried again, unless the control connection moves before.
_AGAIN = 1.0


class Refresh:
    """One task, which reads and builds whenever something has changed. What is known stays until there is something
    newer; each change of it is one new snapshot.

    What is in the keyspaces is read by another one: see `triocql.cluster.loading`.

    Args:
        nodes: whose snapshot is kept.
        read: reads the tables of keyspaces on the control connection. Raises errors of the driver.
        on_built: called with the keyspaces before and after, when there is a new snapshot.

    Attributes:
        read_at: when the reading began by which keyspaces are known, by the reactor's clock; -inf before there was one.
    """

    def __init__(
        self, reactor: Reactor, nodes: Nodes, read: Read, on_built: Callable[[Keyspaces, Keyspaces], None]
    ) -> None:
        self._reactor = reactor
        self._nodes = nodes
        self._read = read
        self._on_built = on_built
        self._placer = Placer()
        self._stale = True
        self._doubt = Doubt("keyspace")
        self._faults = Faults(grace=1)
        self._tells_options = False
        self.read_at = -inf
        self._due = Due(reactor)
        self._first: Waiter[None] | None = None
        self._served: list[Waiter[bool]] = []
        self._closed = False
        self._cancel: Callable[[], None] | None = None

    async def load(self, deadline: float) -> None:
        """Start the task, and wait until it has read and built for the first time, or failed to, or `deadline` is
        there, as `Reactor.now` counts."""
        self._first = waiter = self._reactor.waiter(nothing)
        try:
            self._due.by(self._reactor.now())
            self._cancel = self._reactor.spawn(self.run)
            await until(self._reactor, waiter, deadline, None)
        finally:
            self._first = None

    def close(self) -> None:
        """End the task; whoever waits need not. Synchronous and idempotent."""
        self._closed = True
        if self._cancel is not None:
            self._cancel()
        for waiter in self._served:
            waiter.resolve(False)

    # --- What has changed ----------------------------------------------------------------------------------

    def nodes_changed(self) -> None:
        """There are other nodes, or other tokens: build."""
        self._due.by(self._reactor.now())

    def moved(self) -> None:
        """The control connection is another one: events may have been lost, so read."""
        self._stale = True
        self._due.by(self._reactor.now())

    async def refreshed(self, seconds: float) -> bool:
        """Wait for a reading that begins from now on, so long at most; return whether there was one."""
        waiter: Waiter[bool] = self._reactor.waiter(nothing)
        self._served.append(waiter)
        try:
            if self._closed:
                waiter.resolve(False)
            self.moved()
            return await until(self._reactor, waiter, self._reactor.now() + seconds, False)
        finally:
            self._served = [each for each in self._served if each is not waiter]

    # --- The task ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read and build what is due, until the session ends."""
        while not self._closed:
            if not self._due.has_come:
                await self._due.pause()
            else:
                await self._refresh()

    async def _refresh(self) -> None:
        self._due.when = inf
        served = tuple(self._served)
        keyspaces = await self._read_keyspaces() if self._stale else None
        await self._build(keyspaces)
        if keyspaces is not None:
            for waiter in served:
                waiter.resolve(True)
        if self._first is not None:
            self._first.resolve(None)

    async def _read_keyspaces(self) -> Keyspaces | None:
        """Return the keyspaces; None if they cannot be read, which is tried again."""
        self._stale = False
        began = self._reactor.now()
        try:
            faults: list[Fault] = []
            rows = await self._read()
            keyspaces = read_heads(rows, faults)
            self._tells_options = OF_SCYLLA in rows
            self._faults.take(faults, Scope(everything=True))
            self._doubt.check(tells=bool(keyspaces), had=bool(self._nodes.snapshot.keyspaces))
        except Error as error:
            if not self._closed:
                logger.warning("the keyspaces cannot be read, trying again in %.1f s: %s", _AGAIN, error)
            self._stale = True
            self._due.by(self._reactor.now() + _AGAIN)
            return None
        self.read_at = began
        return keyspaces

    async def _build(self, heads: Keyspaces | None) -> None:
        """Build for the keyspaces that were read, or for those that are known."""
        known = self._nodes.snapshot.keyspaces if heads is None else heads
        placed = await sliced(self._reactor, self._placer.place(self._nodes.snapshot, known))
        if self._closed:
            return
        # What is in keyspaces may have been read meanwhile.
        before = self._nodes.snapshot.keyspaces
        after = before
        if heads is not None:
            after = with_heads(before, heads, tells_options=self._tells_options)
        self._nodes.apply(
            replace(self._nodes.snapshot, ring=placed.ring, keyspaces=after, replica_maps=placed.replica_maps)
        )
        self._on_built(before, after)
