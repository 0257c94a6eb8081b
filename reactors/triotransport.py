"""One connection on Trio: a socket, a link, and the tasks between them."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import trio
from trio.lowlevel import (
    Abort,
    Task,
    cancel_shielded_checkpoint,
    checkpoint,
    current_task,
    enable_ki_protection,
    notify_closing,
    reschedule,
    wait_readable,
    wait_task_rescheduled,
    wait_writable,
)

from triocql.abc import Link

from .base import FLUSH_TIMEOUT, READ_SIZE, Flushable, ReactorBase, nothing, send_some

FAIR_SHARE = 256 * 1024
"""Bytes that a reader takes from a peer that never stops sending before it lets other tasks run."""


class RequestQueue:
    """Lets one task wait to be woken by synchronous code; waking it early or twice is harmless."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: Task | None = None

    async def park(self) -> None:
        """Wait to be woken."""
        self._task = current_task()
        await wait_task_rescheduled(self._abort)

    def unpark(self) -> None:
        """Wake the task, if it waits."""
        task = self._task
        if task is not None:
            reschedule(task)
            self._task = None  # not before: what has raised has told nobody

    def _abort(self, _raise_cancel: object) -> Abort:
        self._task = None
        return Abort.SUCCEEDED


class Flusher:
    """Flushes all transports that have something to send, in one step of one task: a step costs more than a batch."""

    def __init__(self) -> None:
        self._dirty: list[Flushable] = []
        self._waiting = RequestQueue()

    def flush_soon(self, transport: Flushable) -> None:
        """Flush `transport` in the next tick."""
        if not self._dirty:
            self._waiting.unpark()
        self._dirty.append(transport)

    @enable_ki_protection
    async def run(self) -> None:
        """Flush, whenever there is something."""
        while True:
            if not self._dirty:
                await self._waiting.park()
            if len(self._dirty) > 1:
                # What comes from several nodes in this tick goes to them as one batch each.
                await cancel_shielded_checkpoint()
            dirty, self._dirty = self._dirty, []
            for transport in dirty:
                transport.flush()


class TrioTransport:
    """Drives one link. No method that the link calls calls the link: that is left to the reader, and to the flusher of
    the reactor, which gives the writer what the socket does not take at once.

    The last of reader and writer to end tells the link that the connection is lost; `lost` is set after that.
    """

    def __init__(
        self, reactor: ReactorBase[TrioTransport], flusher: Flusher, sock: socket.socket, link: Link
    ) -> None:
        self.closing = False
        self.lost = trio.Event()
        self._reactor = reactor
        self._flusher = flusher
        self._sock = sock
        self._link = link
        self._fd = sock.fileno()
        self._closed = False
        self._error: Exception | None = None
        self._dirty = False
        self._paused = False
        self._unsent = memoryview(b"")
        self._tasks = 2
        self._cancel_flush_timeout: Callable[[], None] = nothing
        self._reading = RequestQueue()
        self._writing = RequestQueue()

    def start(self, nursery: trio.Nursery) -> None:
        """Start the link: it is given its transport, and the tasks begin."""
        nursery.start_soon(self._run, self._read, name="triocql reader")
        nursery.start_soon(self._run, self._write, name="triocql writer")
        self._reactor.opened(self)
        try:
            self._link.connection_made(self)
        except Exception as error:
            self._bug(error)

    # --- What the link calls -------------------------------------------------------------------------------

    def wake(self) -> None:
        """Pull in the next tick, unless the socket is full: then as soon as it is not."""
        if not (self._dirty or self._closed):
            if not self._unsent:
                self._flusher.flush_soon(self)
            self._dirty = True  # not before: what has raised has told nobody

    def pause_reading(self) -> None:
        """Receive nothing more for now."""
        self._paused = True

    def resume_reading(self) -> None:
        """Go on receiving."""
        self._paused = False
        self._reading.unpark()

    def close(self) -> None:
        """Send the rest within `FLUSH_TIMEOUT`, then close."""
        if self.closing or self._closed:
            return
        self.closing = True
        self._cancel_flush_timeout = self._reactor.call_at(self._reactor.now() + FLUSH_TIMEOUT, self.abort)
        self._reading.unpark()
        self.wake()

    def abort(self) -> None:
        """Close now."""
        self._shut(None)

    # --- The two tasks -------------------------------------------------------------------------------------

    @enable_ki_protection
    async def _run(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Run one of the loops, and see to the end of both."""
        try:
            await loop()
        except trio.ClosedResourceError:
            pass
        except OSError as error:
            self._shut(error)
        except Exception as error:
            self._bug(error)
        finally:
            self._tasks -= 1
            if not self._tasks:
                self._lose()

    async def _read(self) -> None:
        sock, link = self._sock, self._link
        buffer = memoryview(bytearray(READ_SIZE))
        taken, is_drained = 0, False
        while not (self._closed or self.closing):
            if self._paused:
                await self._reading.park()
                continue
            if is_drained:
                await wait_readable(self._fd)
                taken, is_drained = 0, False
                continue
            try:
                size = sock.recv_into(buffer)
            except BlockingIOError:
                is_drained = True
                continue
            if not size:
                link.eof_received()
                return
            link.data_received(buffer[:size])
            is_drained = size < READ_SIZE
            taken += size
            if taken >= FAIR_SHARE:
                await checkpoint()
                taken = 0

    async def _write(self) -> None:
        """Send what the socket has not taken at once."""
        while not self._closed:
            if not self._unsent:
                await self._writing.park()
                continue
            await wait_writable(self._fd)
            self._unsent = send_some(self._sock, self._unsent)
            if not self._unsent and (self._dirty or self.closing):
                self._flusher.flush_soon(self)

    def flush(self) -> None:
        """Pull the link's batch and send it; a closing transport is closed after its last one."""
        if self._closed or self._unsent:
            return
        self._dirty = False
        try:
            data = self._link.data_to_send()
            if data:
                self._unsent = send_some(self._sock, data)
                if self._unsent:
                    self._writing.unpark()
        except OSError as error:
            self._shut(error)
        except Exception as error:
            self._bug(error)
        if self.closing and not (self._unsent or self._dirty):
            self._shut(None)

    # --- The end -------------------------------------------------------------------------------------------

    def _bug(self, error: Exception) -> None:
        self._shut(error)
        self._reactor.report_bug(error)

    def _shut(self, error: Exception | None) -> None:
        """Close the socket and have both tasks end. What happens after our own `close` is no error."""
        if self._closed:
            return
        self._closed = True
        self._error = None if self.closing else error
        self._cancel_flush_timeout()
        notify_closing(self._fd)
        self._sock.close()
        self._reading.unpark()
        self._writing.unpark()

    def _lose(self) -> None:
        self._shut(None)
        self._reactor.lost(self)
        try:
            self._link.connection_lost(self._error)
        except Exception as error:
            self._reactor.report_bug(error)
        self.lost.set()
