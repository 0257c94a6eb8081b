"""The reactor for programs that block: it works in the thread of a `ThreadLoop`."""

from __future__ import annotations

import contextvars
import errno
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from selectors import EVENT_WRITE
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from triocql.abc import Address, Link, SocketOption

from .base import ReactorBase, nothing
from .dial import Dialling, dial
from .stepping import Cancelled, StepWaiter, Task
from .threadloop import ThreadLoop, running_thread_loop
from .threadtransport import ThreadTransport

T = TypeVar("T")
P = ParamSpec("P")


class ThreadReactor(ReactorBase[ThreadTransport]):
    """Drives connections in the thread of the `ThreadLoop` that it is entered in.

    Leaving waits for the connections that are being closed, drops the others, ends the background tasks, and raises
    nothing but a cancellation of its own wait.

    >>> async def main() -> None:
    ...     async with ThreadReactor() as reactor:
    ...         await reactor.sleep(0)
    >>> loop = ThreadLoop()
    >>> loop.start()
    >>> loop.run(main)
    >>> loop.stop()
    >>> loop.join()
    """

    name = "thread"
    cancellation = Cancelled
    now = staticmethod(ThreadLoop.now)

    def __init__(self) -> None:
        super().__init__()
        self._tasks: set[Task[None]] = set()
        self._loop: ThreadLoop | None = None
        self._left = False
        self._leaving: list[StepWaiter] = []  # several tasks may leave at once

    # --- Life ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> ThreadReactor:
        if self._loop is not None:
            raise RuntimeError("a reactor is entered once; make a new one")
        self._loop = running_thread_loop()
        if self._loop is None:
            raise RuntimeError("the thread reactor works in the thread of a ThreadLoop: see triocql.sync")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if exc is None:
                while any(transport.closing for transport in self.transports):
                    await self._next_end()
        finally:
            cancelled = await self._end_all()
        if cancelled:  # even if an exception is on its way: it is in the context of this one
            raise Cancelled

    async def _end_all(self) -> bool:
        """End all that runs, whatever the caller's task is told meanwhile; returns whether it was cancelled."""
        cancelled = False
        while ending := self._tasks | self.transports:
            self.drop()
            for task in list(self._tasks):
                task.cancel()
            while ending & (self._tasks | self.transports):
                try:
                    await self._next_end()
                except Cancelled:
                    cancelled = True
        self._left = True
        return cancelled

    async def _next_end(self) -> None:
        """Wait until a task or a transport ends."""
        waiter = self.waiter(nothing)
        self._leaving.append(waiter)
        await waiter.wait()

    def _ended_one(self) -> None:
        leaving, self._leaving = self._leaving, []
        for waiter in leaving:
            waiter.resolve(None)

    def lost(self, transport: ThreadTransport) -> None:
        """Called by a transport that has ended."""
        super().lost(transport)
        self._ended_one()

    @property
    def loop(self) -> ThreadLoop:
        """The loop that the reactor was entered in."""
        if self._loop is None:
            raise RuntimeError("the reactor is not running: use it inside `async with`")
        return self._loop

    # --- Time and tasks ------------------------------------------------------------------------------------

    def waiter(self, on_cancel: Callable[[], None]) -> StepWaiter:
        """Make a waiter."""
        return StepWaiter(self.loop, on_cancel)

    def call_at(self, when: float, fn: Callable[[], None]) -> Callable[[], None]:
        """Call `fn` once at `when`; returns its cancel."""
        return self.loop.call_at(when, partial(self.guard, fn))

    def spawn(self, fn: Callable[..., Awaitable[None]], *args: Any) -> Callable[[], None]:
        """Run `await fn(*args)` in the background; returns its cancel."""
        loop = self.loop
        if self._left:
            raise RuntimeError("the reactor is not running any more")

        def ended(_value: None, _error: BaseException | None) -> None:
            self._tasks.discard(task)
            self._ended_one()

        task = Task(loop, partial(self.run_background, fn, args), ended)
        self._tasks.add(task)
        loop.soon(task.step)
        return task.cancel

    def protect(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Return `fn` as it is: KeyboardInterrupt is raised in the main thread, not in the loop's."""
        return fn

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        waiter = self.waiter(nothing)
        cancel = nothing
        if seconds > 0:
            cancel = self.call_at(self.now() + seconds, lambda: waiter.resolve(None))
        else:
            waiter.resolve(None)
        try:
            await waiter.wait()
        finally:
            cancel()

    async def run_blocking(self, fn: Callable[..., T], *args: Any) -> T:
        """Run a function that blocks in a thread of its own."""
        loop, waiter = self.loop, self.waiter(nothing)
        context = contextvars.copy_context()

        def work() -> None:
            try:
                value = context.run(fn, *args)
            except BaseException as error:  # whoever waits has to learn of it
                loop.post(partial(waiter.reject, error))
            else:
                loop.post(partial(waiter.resolve, value))

        threading.Thread(target=work, name="triocql blocking", daemon=True).start()
        result: T = await waiter.wait()
        return result

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
    ) -> ThreadTransport:
        """Open a connection and start to drive `link` by it."""
        how = Dialling(timeout, self.reached, local_port, socket_options, at_random)
        sock = await dial(self, self._connect_socket, address, how)
        return await self.adopt(sock, link)

    async def adopt(self, sock: socket.socket, link: Link) -> ThreadTransport:
        """Drive `link` by a non-blocking socket that is connected."""
        if self._left:
            sock.close()
            raise RuntimeError("the reactor was left while it was connecting")
        transport = ThreadTransport(self, self.loop, sock, link)
        transport.start()
        return transport

    async def _connect_socket(self, sock: socket.socket, sockaddr: Any) -> None:
        code = sock.connect_ex(sockaddr)
        if code == errno.EINPROGRESS:
            waiter = self.waiter(nothing)
            self.loop.watch(sock, EVENT_WRITE, waiter.resolve)
            try:
                await waiter.wait()
            finally:
                self.loop.watch(sock, 0, waiter.resolve)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
