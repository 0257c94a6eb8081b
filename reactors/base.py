"""What all reactors share: where the exceptions of background work go, and the bounds that all of them keep."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from triocql.errors import UsageError

logger = logging.getLogger("triocql.reactors.base")

FLUSH_TIMEOUT = 5.0
"""Seconds that `Transport.close` gives the peer to take what waits to be sent."""

READ_SIZE = 128 * 1024
"""Bytes of a connection's receive buffer, and the most that one read takes."""


def nothing() -> None:
    """Do nothing: what there is to cancel before there is anything."""


def wrong_caller(*, ended: bool, other_thread: bool) -> UsageError:
    """Return the error for a session that is used from outside the event loop that it was made in."""
    if ended:
        return UsageError(
            "the event loop that this session was made in has ended, and its connections with it: close a session in "
            "its own loop, and connect in the loop that runs now"
        )
    if other_thread:
        return UsageError(
            "this session belongs to the event loop of another thread: hand the call over to that loop "
            "(trio.from_thread.run, anyio.from_thread.run, asyncio.run_coroutine_threadsafe), or use triocql.sync, "
            "whose sessions any thread may use"
        )
    return UsageError(
        "this session was made in another event loop than the one that runs here: use it where it was made, and "
        "connect once more for this loop"
    )


class Abortable(Protocol):
    """A transport, as far as its reactor drops it."""

    def abort(self) -> None:
        """Close now."""


class ReactorBase:
    """The transports, the wait that nothing cuts short, and the reporting of bugs.

    Bugs never reach the user's tasks by themselves.
    """

    transports: Collection[Abortable]
    on_bug: Callable[[Exception], None] | None = None

    def drop(self) -> None:
        """Abort every connection."""
        for transport in tuple(self.transports):
            transport.abort()

    def check_caller(self) -> None:
        """Nobody but what runs in the loop has this reactor, unless it says otherwise."""

    def report_bug(self, error: Exception) -> None:
        """Tell `on_bug` about an exception that nobody awaits; without one, log it."""
        if self.on_bug is None:
            logger.error("a background task failed", exc_info=error)
            return
        try:
            self.on_bug(error)
        except Exception:
            logger.exception("on_bug itself failed")

    async def outlast(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Await `wait()` to its end, whatever the caller is told meanwhile, which is raised after that.

        For loops that tell a task once that it is cancelled.
        """
        told: BaseException | None = None
        while True:
            try:
                await wait()
            except (Exception, GeneratorExit):
                raise
            except BaseException as error:
                told = error
            else:
                break
        if told is not None:
            raise told

    def guard(self, fn: Callable[[], None]) -> None:
        """Call `fn`; report what it raises."""
        try:
            fn()
        except Exception as error:
            self.report_bug(error)
