"""The events of a session: what happens to the cluster and to the connections, for who wants to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.errors import SessionClosed, UsageError
from triocql.session.blocks import AsyncBlock, Block

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from triocql.cluster.hub import Listener
    from triocql.metadata.events import Event
    from triocql.session.context import SessionContext


class EventReader:
    """Takes the events of one listener: what the iterators of both kinds of sessions stand on."""

    def __init__(self, context: SessionContext, block: Block) -> None:
        self._context = context
        self._block = block
        self._listener: Listener | None = None

    def open(self) -> None:
        """Listen from now on. Raises UsageError outside the session's loop, and in the child of a fork."""
        self._context.check_caller()
        self._listener = self._context.cluster.listen()

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.close()

    async def next(self) -> Event | None:
        """Return the next event, None after the last one of a session that was closed.

        Raises UsageError outside the block, and InternalError if the session has ended by a bug.
        """
        self._block.check_open()
        listener = self._listener
        assert listener is not None, "the block is entered after it was opened"
        if listener.is_waiting:
            raise UsageError("two tasks iterate over the same events; give each its own `session.events()`")
        event = await listener.next()
        self._block.check_open()
        router = self._context.executor.router
        if event is None and not isinstance(router.ending, SessionClosed):
            raise router.ended_error()
        return event


class Events(AsyncBlock):
    """Made by `Session.events`: an async context manager, and the async iterator over the events in it.

    A loop that was left goes on where it was. It ends with the session.
    """

    __slots__ = ("_block", "_reader")

    def __init__(self, context: SessionContext) -> None:
        self._block = Block("async with session.events() as events")
        self._reader = EventReader(context, self._block)

    async def __aenter__(self) -> Self:
        self._block.enter()
        self._reader.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._block.leave()
        self._reader.close()

    def __aiter__(self) -> Self:
        self._block.check_open()
        return self

    async def __anext__(self) -> Event:
        event = await self._reader.next()
        if event is None:
            raise StopAsyncIteration
        return event
