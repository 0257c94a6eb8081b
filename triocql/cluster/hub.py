"""Events on their way to those who listen: published on the loop, by whoever learns of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from triocql.cluster.waiting import nothing
from triocql.metadata.events import Missed, NodeDown, NodeUp
from triocql.metadata.node import NodeState
from triocql.metadata.states import show

if TYPE_CHECKING:
    from triocql.abc import Reactor, Waiter
    from triocql.metadata.events import Event
    from triocql.metadata.node import Node
    from triocql.metadata.states import Sign

_DOWN = (NodeState.DOWN, NodeState.FORCED_DOWN)

CAPACITY = 1000
"""How many events are kept for a listener that does not take them."""


class EventHub:
    """Gives events to any number of listeners; there is one a session, `Cluster.hub`.

    To publish, for those who learn of something first hand, and after the change has been made::

        if hub.listeners:
            hub.publish(NodeUp(node))

    The test is all that an event costs while nobody listens: the event itself need not be made. Publishing is
    synchronous, runs no code of users, and never raises.

    Attributes:
        listeners: those who listen now.
        is_over: whether nothing will follow: the session has ended.
    """

    def __init__(self) -> None:
        self.listeners: tuple[Listener, ...] = ()
        self.is_over = False

    def publish(self, event: Event) -> None:
        """Give an event to all who listen."""
        for listener in self.listeners:
            listener.put(event)

    def show(self, node: Node, sign: Sign) -> None:
        """Have the state of a node follow a sign, and tell whether it is up or down now if it was not before."""
        was_down = node.state in _DOWN
        if not (show(node, sign) and self.listeners):
            return
        if node.state is NodeState.UP:
            self.publish(NodeUp(node))
        elif node.state in _DOWN and not was_down:
            self.publish(NodeDown(node))

    def listen(self, reactor: Reactor) -> Listener:
        """Return a new listener, which gets what is published from now on until it is closed."""
        listener = Listener(self, reactor)
        self.listeners = (*self.listeners, listener)
        return listener

    def forget(self, listener: Listener) -> None:
        """Give nothing more to a listener."""
        self.listeners = tuple(each for each in self.listeners if each is not listener)

    def end(self) -> None:
        """Let everybody who waits for the next event know that none will come. Idempotent."""
        self.is_over = True
        for listener in self.listeners:
            listener.wake()


class Listener:
    """Keeps events until they are taken, `CAPACITY` of them: then the oldest make room, and are counted."""

    def __init__(self, hub: EventHub, reactor: Reactor) -> None:
        self._hub = hub
        self._reactor = reactor
        self._events: deque[Event] = deque()
        self._missed = 0
        self._waiter: Waiter[None] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether somebody waits in `next`."""
        return self._waiter is not None

    def put(self, event: Event) -> None:
        """Keep an event, and wake who waits for it."""
        if len(self._events) == CAPACITY:
            self._events.popleft()
            self._missed += 1
        self._events.append(event)
        self.wake()

    def wake(self) -> None:
        """Have `next` look again."""
        if self._waiter is not None:
            self._waiter.resolve(None)

    async def next(self) -> Event | None:
        """Return the next event, waiting for it; None once the session has ended and all were taken.

        A checkpoint, always; a cancellation loses no event. One task at a time.
        """
        self._waiter = self._reactor.waiter(nothing)
        if self._events or self._hub.is_over:
            self.wake()
        try:
            await self._waiter.wait()
        finally:
            self._waiter = None
        return self._take()

    def close(self) -> None:
        """Get nothing more. Idempotent."""
        self._hub.forget(self)

    def _take(self) -> Event | None:
        if self._missed:
            missed, self._missed = self._missed, 0
            return Missed(missed)
        return self._events.popleft() if self._events else None
