"""The reactor for Trio.

A connection has two tasks: a reader that receives into a buffer of its own, and a writer for what the socket does not
take at once. What the links have to send is pulled by one task for all of them, once a tick. They and all background
work live in a nursery under a system task, so that no cancel scope of the caller reaches them: a query in a shielded
clean-up still gets its answer.
"""

from __future__ import annotations

import errno
import math
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from inspect import isfunction
from threading import get_ident
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import trio
from trio.lowlevel import (
    Abort,
    Task,
    checkpoint,
    current_task,
    enable_ki_protection,
    reschedule,
    wait_task_rescheduled,
)

from triocql.abc import Address, Link, SocketOption

from .base import ReactorBase, wrong_caller
from .dial import Dialling, dial
from .timers import Timers
from .triotransport import Flusher, RequestQueue, TrioTransport

T = TypeVar("T")
P = ParamSpec("P")


class TrioWaiter:
    """A waiter on `trio.lowlevel.wait_task_rescheduled`: no Event, no cancel scope, one wake-up at most."""

    __slots__ = ("_done", "_error", "_on_cancel", "_task", "_value")

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        self._on_cancel = on_cancel
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._task: Task | None = None

    def resolve(self, value: Any) -> None:
        """End the wait with a value (`Waiter`)."""
        if not self._done:
            self._value = value
            self._wake()
            self._done = True

    def reject(self, error: BaseException) -> None:
        """End the wait with an error (`Waiter`)."""
        if not self._done:
            self._error = error
            self._wake()
            self._done = True

    @enable_ki_protection
    async def wait(self) -> Any:
        """Wait for the outcome: always a checkpoint."""
        if self._done:
            try:
                await checkpoint()
            except BaseException:
                self._on_cancel()
                raise
        else:
            self._task = current_task()
            try:
                await wait_task_rescheduled(self._abort)
            except BaseException:
                if self._task is not None:  # it did not get so far as to wait
                    self._abort(None)
                raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # else the error's traceback would lead to the error
        return self._value

    def _wake(self) -> None:
        task = self._task
        if task is not None:
            reschedule(task)
            self._task = None

    def _abort(self, _raise_cancel: object) -> Abort:
        self._done = True
        try:
            self._on_cancel()
        except BaseException:
            self._done = False  # the task waits on, and has to be told of what comes
            raise
        self._task = None
        return Abort.SUCCEEDED


class TrioReactor(ReactorBase[TrioTransport]):
    """Drives connections in the running Trio loop.

    Entering and leaving may happen in different tasks. Leaving waits for the connections that are being closed,
    drops the others, ends the background tasks, and raises nothing but a cancellation of its own wait.

    >>> async def main():
    ...     async with TrioReactor() as reactor:
    ...         await reactor.sleep(0)
    >>> trio.run(main)
    """

    name = "trio"
    cancellation = trio.Cancelled
    now: Callable[[], float] = staticmethod(trio.current_time)

    def __init__(self) -> None:
        super().__init__()
        self._timers = Timers()
        self._sleeping = RequestQueue()
        self._flusher = Flusher()
        self._due = math.inf
        self._nursery: trio.Nursery | None = None
        self._ended = trio.Event()
        self._left = False
        self._thread = 0
        self._threads = trio.CapacityLimiter(math.inf)

    # --- Life ----------------------------------------------------------------------------------------------

    @enable_ki_protection
    async def __aenter__(self) -> TrioReactor:
        if self._nursery is not None or self._ended.is_set():
            raise RuntimeError("a reactor is entered once; make a new one")
        ready = trio.Event()
        trio.lowlevel.spawn_system_task(self._host, ready, name="triocql")
        with trio.CancelScope(shield=True):
            await ready.wait()
        self._thread = get_ident()
        self.now = trio.lowlevel.current_clock().current_time  # in few steps, and for other threads, too
        return self

    @enable_ki_protection
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._left = True
        try:
            if exc is None:
                for transport in [t for t in self.transports if t.closing]:
                    await transport.lost.wait()
        finally:
            self.drop()
            if self._nursery is not None:
                self._nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await self._ended.wait()

    async def _host(self, ready: trio.Event) -> None:
        """Keep the nursery of all background tasks, and run the timers."""
        try:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._flusher.run)
                ready.set()
                await self._run_timers()
        finally:
            if not self._left:
                self._thread = 0  # the whole run has ended
            self._ended.set()

    def check_caller(self) -> None:
        """Raise UsageError outside the run (`Reactor`). What was left is left everywhere."""
        if get_ident() != self._thread and not (self._left and self._ended.is_set()):
            raise wrong_caller(ended=self._thread == 0, other_thread=True)

    def _running_nursery(self) -> trio.Nursery:
        if self._nursery is None or self._ended.is_set():
            raise RuntimeError("the reactor is not running: use it inside `async with`")
        return self._nursery

    # --- Time and tasks ------------------------------------------------------------------------------------

    def waiter(self, on_cancel: Callable[[], None]) -> TrioWaiter:
        """Make a waiter."""
        if get_ident() != self._thread:
            self.check_caller()
        return TrioWaiter(on_cancel)

    def call_at(self, when: float, fn: Callable[[], None]) -> Callable[[], None]:
        """Call `fn` once at `when`; returns its cancel."""
        if when < self._due:
            self._sleeping.unpark()
        return self._timers.add(when, fn)

    async def _run_timers(self) -> None:
        """Sleep until the first timer, again and again; woken by an earlier one that comes."""
        while True:
            self._due = self._timers.next_due()
            with trio.CancelScope(deadline=self._due):
                await self._sleeping.park()
            for fn in self._timers.pop_due(trio.current_time()):
                self.guard(fn)

    def spawn(self, fn: Callable[..., Awaitable[None]], *args: Any) -> Callable[[], None]:
        """Run `await fn(*args)` in the background; returns its cancel."""
        scope = trio.CancelScope()
        self._running_nursery().start_soon(self._run_background, scope, fn, args)
        return scope.cancel

    @enable_ki_protection
    async def _run_background(
        self, scope: trio.CancelScope, fn: Callable[..., Awaitable[None]], args: tuple[Any, ...]
    ) -> None:
        with scope:
            await self.run_background(fn, args)

    def protect(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Hold KeyboardInterrupt back while `fn` runs. What is compiled has no frame to be found by."""
        if isfunction(getattr(fn, "__func__", fn)):
            return enable_ki_protection(fn)

        def protected(*args: P.args, **kwargs: P.kwargs) -> T:
            return fn(*args, **kwargs)

        return enable_ki_protection(protected)

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        await trio.sleep(max(seconds, 0))

    async def outlast(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Await `wait()` to its end; a cancellation of the caller comes at its next checkpoint."""
        with trio.CancelScope(shield=True):
            await wait()

    async def run_blocking(self, fn: Callable[..., T], *args: Any) -> T:
        """Run a function that blocks in a thread."""
        return await trio.to_thread.run_sync(fn, *args, abandon_on_cancel=True, limiter=self._threads)

    # --- Connections ---------------------------------------------------------------------------------------

    @enable_ki_protection
    async def connect(
        self,
        address: Address,
        link: Link,
        *,
        timeout: float,
        local_port: int | None = None,
        socket_options: Sequence[SocketOption] = (),
        at_random: bool = False,
    ) -> TrioTransport:
        """Open a connection and start to drive `link` by it."""
        self._running_nursery()
        how = Dialling(timeout, self.reached, local_port, socket_options, at_random)
        sock = await dial(self, connect_socket, address, how)
        return await self.adopt(sock, link)

    async def adopt(self, sock: socket.socket, link: Link) -> TrioTransport:
        """Drive `link` by a non-blocking socket that is connected."""
        if self._ended.is_set():
            sock.close()
            raise RuntimeError("the reactor was left while it was connecting")
        transport = TrioTransport(self, self._flusher, sock, link)
        transport.start(self._running_nursery())
        return transport


async def connect_socket(sock: socket.socket, sockaddr: Any) -> None:
    """Connect a non-blocking socket."""
    code = sock.connect_ex(sockaddr)
    if code == errno.EINPROGRESS:
        await trio.lowlevel.wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
