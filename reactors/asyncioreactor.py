"""The reactor for asyncio, uvloop included.

A connection is one `asyncio.BufferedProtocol`: it receives into a buffer of its own, and pulls the link's batch once
a tick of the loop, as long as the loop's transport takes it.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import get_ident
from types import TracebackType
from typing import Any, NoReturn, ParamSpec, TypeVar

from triocql.abc import Address, Link

from .asynciotransport import AsyncioTransport
from .base import ReactorBase, wrong_caller
from .dial import dial
from .timers import Timers

T = TypeVar("T")
P = ParamSpec("P")


def _not_running() -> NoReturn:
    raise RuntimeError("the reactor is not running: use it inside `async with`")


class AsyncioWaiter:
    """A waiter on a bare future."""

    __slots__ = ("_error", "_future", "_on_cancel", "is_gone")

    def __init__(self, future: asyncio.Future[Any], on_cancel: Callable[[], None]) -> None:
        self._error: BaseException | None = None  # not in the future: it would hold on to what it has raised
        self._future = future
        self.is_gone = future.cancelled
        self._on_cancel = on_cancel

    def resolve(self, value: Any) -> None:
        """Give the value."""
        if not self._future.done():
            self._future.set_result(value)

    def reject(self, error: BaseException) -> None:
        """Give the error."""
        if not self._future.done():
            self._error = error
            self._future.set_result(None)

    async def wait(self) -> Any:
        """Wait for the outcome: always a checkpoint."""
        try:
            if self._future.done():
                await asyncio.sleep(0)
            value = await self._future
        except BaseException:
            self._future.cancel()
            self._on_cancel()
            raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # else the error's traceback would lead to the error
        return value


class AsyncioReactor(ReactorBase):
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
    now: Callable[[], float]

    def __init__(self) -> None:
        self.now = _not_running
        self._create_future: Callable[[], asyncio.Future[Any]] = _not_running
        self._loop_runs: Callable[[], bool] = _not_running
        self._thread = 0
        self.ended = False
        self._timers = Timers()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self.transports: set[AsyncioTransport] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # --- Life ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> AsyncioReactor:
        if self._loop is not None:
            raise RuntimeError("a reactor is entered once; make a new one")
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._create_future = self._loop.create_future
        self._loop_runs = self._loop.is_running
        self._thread = get_ident()
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
        cancelled = None
        while ending := [*self._tasks, *(transport.lost for transport in self.transports)]:
            self.drop()
            for task in self._tasks:
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
        if self._loop is not None and not self.ended and (other_thread or not self._loop_runs()):
            raise wrong_caller(ended=self._loop.is_closed(), other_thread=other_thread)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the reactor was entered in."""
        if self._loop is None or self.ended:
            _not_running()
        return self._loop

    # --- Time and tasks ------------------------------------------------------------------------------------

    def waiter(self, on_cancel: Callable[[], None]) -> AsyncioWaiter:
        """Make a waiter."""
        if get_ident() != self._thread or not self._loop_runs():
            self.check_caller()
        return AsyncioWaiter(self._create_future(), on_cancel)

    def call_at(self, when: float, fn: Callable[[], None]) -> Callable[[], None]:
        """Call `fn` once at `when`; returns its cancel."""
        if when < self._alarm_at and not self.ended:
            self._set_alarm(when)
        return self._timers.add(when, fn)

    def _set_alarm(self, when: float) -> None:
        """Have the loop ring at `when`; only once that has not raised does it count, and the alarm before no more."""
        alarm = self.loop.call_at(when, self._ring) if when < math.inf else None
        former, self._alarm = self._alarm, alarm
        self._alarm_at = when
        if former is not None:
            former.cancel()

    def _ring(self) -> None:
        """Call what is due. uvloop, whose clock goes by milliseconds, may ring up to half of one early."""
        now = self.now()
        early = now < self._alarm_at
        try:
            for fn in self._timers.pop_due(now):
                self.guard(fn)
        finally:
            due = self._timers.next_due()
            self._set_alarm(max(due, now + 0.001) if early else due)

    def spawn(self, fn: Callable[..., Awaitable[None]], *args: Any) -> Callable[[], None]:
        """Run `await fn(*args)` in the background; returns its cancel."""
        task = self.loop.create_task(self._run_background(fn, args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        def cancel() -> None:
            task.cancel()

        return cancel

    async def _run_background(self, fn: Callable[..., Awaitable[None]], args: tuple[Any, ...]) -> None:
        try:
            await fn(*args)
        except Exception as error:
            self.report_bug(error)

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
        self, address: Address, link: Link, *, timeout: float, local_port: int | None = None
    ) -> AsyncioTransport:
        """Open a connection and start to drive `link` by it."""
        sock = await dial(self, self.loop.sock_connect, address, timeout=timeout, local_port=local_port)
        return await self.adopt(sock, link)

    async def adopt(self, sock: socket.socket, link: Link) -> AsyncioTransport:
        """Drive `link` by a non-blocking socket that is connected."""
        loop = self._loop or self.loop
        transport = AsyncioTransport(self, link)
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
