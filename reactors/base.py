"""The base of all reactors: their connections, where the exceptions of background work go, and common bounds."""

from __future__ import annotations

import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

from triocql.abc import Address
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


class Flushable(Protocol):
    """Gathers data, and sends it at the end of a turn of the loop."""

    def flush(self) -> None:
        """Send what has gathered."""


class Abortable(Protocol):
    """A transport, as far as its reactor drops it."""

    def abort(self) -> None:
        """Close now."""


TransportT = TypeVar("TransportT", bound=Abortable)


_NOTHING = memoryview(b"")


def send_some(sock: socket.socket, data: bytes | memoryview) -> memoryview:
    """Send what a non-blocking socket takes at once; return the rest."""
    try:
        sent = sock.send(data)
    except BlockingIOError:
        sent = 0
    return _NOTHING if sent == len(data) else memoryview(data)[sent:]


class ReactorBase(ABC, Generic[TransportT]):
    """A reactor as its transports see it: the clock, the connections that are open, and the reporting of bugs.

    Bugs never reach the user's tasks by themselves.

    Attributes:
        transports: those of the connections that are open.
        reached: where names led to last (`dial`).
    """

    on_bug: Callable[[BaseException], None] | None = None
    cancellation: type[BaseException]
    """What the loop raises in a task that it cancels."""

    def __init__(self) -> None:
        self.transports: set[TransportT] = set()
        self.reached: dict[Address, Any] = {}

    @abstractmethod
    def now(self) -> float:
        """Return the loop's clock in seconds."""

    @abstractmethod
    def call_at(self, when: float, fn: Callable[[], None]) -> Callable[[], None]:
        """Call `fn` once at `when`; returns its cancel."""

    def opened(self, transport: TransportT) -> None:
        """Called by a transport that begins to drive its link."""
        self.transports.add(transport)

    def lost(self, transport: TransportT) -> None:
        """Called by a transport that has ended."""
        self.transports.discard(transport)

    def drop(self) -> None:
        """Abort every connection."""
        for transport in tuple(self.transports):
            transport.abort()

    def check_caller(self) -> None:
        """Nobody but what runs in the loop has this reactor, unless it says otherwise."""

    def report_bug(self, error: BaseException) -> None:
        """Report an exception that nobody awaits to `on_bug`; without one, log it."""
        if self.on_bug is None:
            logger.error("a background task failed", exc_info=error)
            return
        try:
            self.on_bug(error)
        except Exception:
            logger.exception("on_bug itself failed")

    async def run_background(self, fn: Callable[..., Awaitable[None]], args: tuple[Any, ...]) -> None:
        """Await `fn(*args)`; report what it raises, unless it is ended from outside."""
        try:
            await fn(*args)
        except (self.cancellation, GeneratorExit):
            raise
        except BaseException as error:
            self.report_bug(error)

    async def outlast(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Await `wait()` to its end, whatever the caller is told meanwhile, which is raised after that.

        For loops that tell a task once that it is cancelled.
        """
        interruption: BaseException | None = None
        while True:
            try:
                await wait()
            except (Exception, GeneratorExit):
                raise
            except BaseException as error:
                interruption = error
            else:
                break
        if interruption is not None:
            raise interruption

    def guard(self, fn: Callable[[], None]) -> None:
        """Call `fn`; report what it raises."""
        try:
            fn()
        except Exception as error:
            self.report_bug(error)
