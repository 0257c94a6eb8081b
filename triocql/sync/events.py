"""The events of a session, for programs that block."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from triocql.errors import SessionClosed, UsageError
from triocql.session.blocks import Block, BlockingBlock
from triocql.session.events import EventReader

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from triocql.metadata.events import Event
    from triocql.sync.portal import Portal


class Events(BlockingBlock):
    """Made by `Session.events`: a context manager, and the iterator over the events in it.

    It waits for the next event: in a thread of its own, where other things are to be done meanwhile. A loop that was
    left goes on where it was. It ends with the session.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._block = Block("with session.events() as events")
        self._reader = EventReader(portal.context, self._block)

    def __enter__(self) -> Self:
        self._block.enter()
        try:
            self._portal.call(self._reader.open)
        except BaseException as error:  # Ctrl-C may come when it listens already
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._block.leave()
        with suppress(UsageError):  # the session is closed already
            self._portal.call(self._reader.close)

    def __iter__(self) -> Self:
        self._block.check_open()
        return self

    def __next__(self) -> Event:
        try:
            event = self._portal.run(self._reader.next)
        except SessionClosed:  # between two events
            event = None
        if event is None:
            raise StopIteration
        return event
