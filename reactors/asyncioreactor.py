"""The reactor for asyncio, uvloop included.

A connection is one `asyncio.BufferedProtocol`: it receives into a buffer of its own. What the links have to send is
pulled in one step for all of them, once a tick of the loop, as long as the loop's transports take it.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import socket
import sys
import threading
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from functools import partial
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from triocql._impl import compiled
from triocql.abc import Address, Link, SocketOption
from triocql.errors import UsageError

from .asynciotransport import AsyncioTransport, Flusher
from .base import ReactorBase, nothing, wrong_caller
from .dial import Dialling, dial
from .timers import Timers

if TYPE_CHECKING or not compiled:
    from .asynciowaiter import AsyncioWaiter, Waker
else:
    from ._asynciowaiter import AsyncioWaiter, Waker

logger = logging.getLogger("triocql.reactors.asyncioreactor")

RING_EVERY = 1.0
"""Seconds after which the loop rings at the latest, to make up for what it was to do and has not begun.

asyncio takes a step off its queue before it begins. What is raised in between, as by a second Ctrl-C, leaves a program
that runs the loop on with a step that counts as scheduled, and never comes.
"""

RESTART_DELAY = 1.0
"""Seconds after which a background task starts again that the program has cancelled."""

T = TypeVar("T")
P = ParamSpec("P")


def _not_running(*_: object) -> NoReturn:
    raise RuntimeError("the reactor is not running: use it inside `async with`")


def _clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return the clock of a loop: of asyncio's own one, without the steps that lead to it and cost each request."""
    own = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time
    return time.monotonic if own else loop.time


def _check_uvloop(loop: asyncio.AbstractEventLoop) -> None:
    """Raise UsageError for a uvloop that closes other people's descriptors: see its issue 738."""
    if type(loop).__module__.partition(".")[0] == "uvloop":
        version: str = sys.modules["uvloop"].__version__
        if tuple(map(int, version.split(".")[:2])) < (0, 23):
            raise UsageError(
                f"uvloop {version} may close a descriptor of somebody else when a connect is cancelled: "
                "install uvloop>=0.23"
            )


@types.coroutine
def _waiting(waiter: AsyncioWaiter) -> Generator[Any, None, Any]:
    """Wait until `waiter` has an outcome, and return that, or raise it."""
    try:
        yield waiter.begin()
    except BaseException:
        waiter.give_up()
        raise
    return waiter.outcome()


class _Background:
    """A task of a reactor's own, until it ends or is cancelled by whoever has spawned it.

    A program that cancels `asyncio.all_tasks()` hits this one, too. It is not what keeps a session alive that such a
    program means to end: the task starts again, later, so that a loop that ends meanwhile never sees it.
    """

    __slots__ = ("_cancel_restart", "_cancelled", "_reactor", "_run", "_task")

    def __init__(self, reactor: AsyncioReactor, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._reactor = reactor
        self._run = run
        self._cancelled = False
        self._cancel_restart: Callable[[], None] = nothing
        self._start()

    def cancel(self) -> None:
        """Cancel it for good."""
        self._cancelled = True
        self._cancel_restart()
        self._task.cancel()

    def _start(self) -> None:
        self._task = self._reactor.loop.create_task(self._run())
        self._reactor.tasks.add(self._task)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        reactor = self._reactor
        reactor.tasks.discard(task)
        if task.cancelled() and not (self._cancelled or reactor.leaving):
            self._cancel_restart = reactor.call_at(reactor.now() + RESTART_DELAY, self._restart)

    def _restart(self) -> None:
        if not (self._cancelled or self._reactor.leaving):
            self._start()
            logger.warning(
                "the program cancelled a task of the session's own (asyncio.all_tasks?): it starts again"
            )


class AsyncioReactor(ReactorBase[AsyncioTransport]):
    """Drives connections in the running asyncio loop.

    Entering and leaving may happen in different tasks of the loop. Leaving waits for the connections that are being
    closed, drops the others, ends the background tasks, and raises nothing but a cancellation of its own wait. That one
    is raised whatever the block is left by: asyncio tells a task of a cancellation once.

    >>> async def main():
    ...     async with AsyncioReactor() as reactor:
    ...         await reactor.sleep(0)
    >>> asyncio.run(main())
    """

    name = "asyncio"
    cancellation = asyncio.CancelledError
    now: Callable[[], float] = staticmethod(_not_running)
    waiter: Callable[[Callable[[], None]], AsyncioWaiter] = staticmethod(_not_running)

    def __init__(self) -> None:
        super().__init__()
        self._thread = 0
        self.ended = False
        self._timers = Timers()
        self._alarms: tuple[asyncio.TimerHandle, ...] = ()
        self._alarm_at = math.inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flusher: Flusher  # both are of the loop
        self._waker: Waker
        self.tasks: set[asyncio.Task[None]] = set()
        self.leaving = False

    # --- Life ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> AsyncioReactor:
        if self._loop is not None:
            raise RuntimeError("a reactor is entered once; make a new one")
        loop = asyncio.get_running_loop()
        _check_uvloop(loop)
        self._loop = loop
        self._flusher = Flusher(loop)
        self._waker = Waker(loop, self.check_caller, _waiting)
        self.now = _clock_of(loop)
        self.waiter = partial(AsyncioWaiter, self._waker)
        self._thread = get_ident()
        self._set_alarm(self.now() + RING_EVERY)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if exc is None and (closing := [t.lost for t in self.transports if t.closing]):
                await asyncio.wait(closing)
        finally:
            cancelled = await self._end_all()
        if cancelled is not None:  # even if an exception is on its way: it is in the context of this one
            raise asyncio.CancelledError(*cancelled)

    async def _end_all(self) -> tuple[Any, ...] | None:
        """End all that runs, whatever the caller's task is told meanwhile; returns what its cancellation said.

        That is all that tells the cancellations of a task apart; the object would be led to by its own traceback.
        """
        self.leaving = True
        cancelled = None
        while ending := [
            *(
                task for task in self.tasks if not task.done()
            ),  # who would discard it may have been interrupted
            *(transport.lost for transport in self.transports),
        ]:
            self.drop()
            for task in self.tasks:
                task.cancel()
            try:
                await asyncio.wait(ending)
            except asyncio.CancelledError as error:
                cancelled = error.args
        self.ended = True
        self._set_alarm(math.inf)
        return cancelled

    def check_caller(self) -> None:
        """Raise UsageError outside the loop (`Reactor`). What was left is left everywhere."""
        other_thread = get_ident() != self._thread
        if self._loop is not None and not self.ended and (other_thread or not self._loop.is_running()):
            raise wrong_caller(ended=self._loop.is_closed(), other_thread=other_thread)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the reactor was entered in."""
        if self._loop is None or self.ended:
            _not_running()
        return self._loop

    # --- Time and tasks ------------------------------------------------------------------------------------

    def call_at(self, when: float, fn: Callable[[], None]) -> Callable[[], None]:
        """Call `fn` once at `when`; returns its cancel."""
        if when < self._alarm_at and not self.ended:
            self._set_alarm(when)
        return self._timers.add(when, fn)

    def _set_alarm(self, when: float) -> None:
        """Have the loop ring at `when`; only once that has not raised does it count, and the alarm before no more.

        Should that ring be lost, there is a second one.
        """
        rings = (when, when + RING_EVERY) if when < math.inf else ()
        alarms = tuple(self.loop.call_at(ring, self._ring) for ring in rings)
        former, self._alarms = self._alarms, alarms
        self._alarm_at = when
        for alarm in former:
            alarm.cancel()

    def _ring(self) -> None:
        """Call what is due. uvloop, whose clock goes by milliseconds, may ring up to half of one early."""
        now = self.now()
        early = now < self._alarm_at
        try:
            self._waker.resume()
            self._flusher.resume()
            for fn in self._timers.pop_due(now):
                self.guard(fn)
        finally:
            due = min(self._timers.next_due(), now + RING_EVERY)
            self._set_alarm(max(due, now + 0.001) if early else due)

    def spawn(self, fn: Callable[..., Awaitable[None]], *args: Any) -> Callable[[], None]:
        """Run `await fn(*args)` in the background; returns its cancel."""
        return _Background(self, partial(self.run_background, fn, args)).cancel

    def protect(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Return `fn` as it is: `asyncio.run` makes the first Ctrl-C a cancellation, which tears nothing."""
        return fn

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        await asyncio.sleep(seconds)

    async def run_blocking(self, fn: Callable[..., T], *args: Any) -> T:
        """Run a function that blocks in a thread.

        The thread is a daemon of its own: an executor's would hold up the end of the loop when abandoned.
        """
        loop = self.loop
        future: asyncio.Future[T] = loop.create_future()
        context = contextvars.copy_context()

        def deliver(value: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(value)  # type: ignore[arg-type]
            else:
                future.set_exception(error)

        def work() -> None:
            try:
                outcome = (context.run(fn, *args), None)
            except BaseException as error:
                outcome = (None, error)  # type: ignore[assignment]
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(deliver, *outcome)

        threading.Thread(target=work, name="triocql blocking", daemon=True).start()
        return await future

    # --- Connections ---------------------------------------------------------------------------------------

    async def connect(
        self,
        address: Address,
        link: Link,
        *,
        timeout: float,
        local_port: int | None = None,
        socket_options: Sequence[SocketOption] = (),
        at_random: bool = False,
    ) -> AsyncioTransport:
        """Open a connection and start to drive `link` by it."""
        how = Dialling(timeout, self.reached, local_port, socket_options, at_random)
        sock = await dial(self, self.loop.sock_connect, address, how)
        return await self.adopt(sock, link)

    async def adopt(self, sock: socket.socket, link: Link) -> AsyncioTransport:
        """Drive `link` by a non-blocking socket that is connected."""
        loop = self._loop or self.loop
        transport = AsyncioTransport(self, loop, self._flusher, link)
        opening = loop.create_unix_connection if sock.family == socket.AF_UNIX else loop.create_connection
        try:
            await opening(lambda: transport, sock=sock)
        except BaseException:
            transport.abandon(sock)
            raise
        if self.ended:
            transport.abandon(sock)
            _not_running()
        transport.start()
        return transport
