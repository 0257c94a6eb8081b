"""One connection on the thread's loop: a non-blocking socket on one side, a link on the other."""

from __future__ import annotations

import socket
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE

from triocql.abc import Link

from .base import FLUSH_TIMEOUT, ReactorBase, nothing, send_some
from .threadloop import ThreadLoop


class ThreadTransport:
    """Drives one link. No method that the link calls calls the link: that is left to the loop."""

    def __init__(
        self, reactor: ReactorBase[ThreadTransport], loop: ThreadLoop, sock: socket.socket, link: Link
    ) -> None:
        self.closing = False
        self._reactor = reactor
        self._loop = loop
        self._sock = sock
        self._link = link
        self._closed = False
        self._error: Exception | None = None
        self._dirty = False
        self._paused = False
        self._eof = False
        self._unsent = memoryview(b"")
        self._watched = 0
        self._cancel_flush_timeout: Callable[[], None] = nothing

    def start(self) -> None:
        """Start the link: it is given its transport, and reading begins."""
        self._reactor.opened(self)
        try:
            self._link.connection_made(self)
        except Exception as error:
            self._fail(error)
        self._watch()

    # --- What the link calls -------------------------------------------------------------------------------

    def wake(self) -> None:
        """Pull at the end of this turn, unless the socket is full: then as soon as it is not."""
        if not (self._dirty or self._closed):
            if not self._unsent:
                self._loop.flush_soon(self)
            self._dirty = True  # not before: what has raised has told nobody

    def pause_reading(self) -> None:
        """Receive nothing more for now."""
        self._paused = True
        self._watch()

    def resume_reading(self) -> None:
        """Go on receiving."""
        self._paused = False
        self._watch()

    def close(self) -> None:
        """Send the rest within `FLUSH_TIMEOUT`, then close."""
        if self.closing or self._closed:
            return
        self.closing = True
        self._cancel_flush_timeout = self._reactor.call_at(self._reactor.now() + FLUSH_TIMEOUT, self.abort)
        self._watch()
        self.wake()

    def abort(self) -> None:
        """Close now."""
        self._shut(None)

    # --- What the loop calls -------------------------------------------------------------------------------

    def flush(self) -> None:
        """Pull the link's batch and send it; a closing transport is closed after its last one."""
        if self._closed or self._unsent:
            return
        self._dirty = False
        try:
            data = self._link.data_to_send()
            if data:
                self._send(data)
        except Exception as error:
            self._fail(error)
        if self.closing and not (self._unsent or self._dirty):
            self._shut(None)

    def _ready(self, events: int) -> None:
        try:
            if events & EVENT_WRITE and self._unsent:
                self._send(self._unsent)
                if not self._unsent and (self._dirty or self.closing):
                    self._loop.flush_soon(self)
            if events & EVENT_READ and self._watched & EVENT_READ:
                self._receive()
        except Exception as error:
            self._fail(error)

    def _send(self, data: bytes | memoryview) -> None:
        """Send what the socket takes, and keep the rest until it takes more."""
        former, self._unsent = self._unsent, send_some(self._sock, data)
        if former or self._unsent:
            self._watch()

    def _receive(self) -> None:
        buffer = self._loop.buffer
        try:
            size = self._sock.recv_into(buffer)
        except BlockingIOError:
            return
        if size:
            self._link.data_received(buffer[:size])
        else:
            self._eof = True
            self._watch()
            self._link.eof_received()

    # --- Within --------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Have the loop tell of what is of interest now."""
        if self._closed:
            return
        reading = not (self._paused or self._eof or self.closing)
        events = (EVENT_READ if reading else 0) | (EVENT_WRITE if self._unsent else 0)
        if events != self._watched:
            self._watched = events
            self._loop.watch(self._sock, events, self._ready)

    def _fail(self, error: Exception) -> None:
        """End the connection: by an error of the socket, or a bug of the link."""
        self._shut(error)
        if not isinstance(error, OSError):
            self._reactor.report_bug(error)

    def _shut(self, error: Exception | None) -> None:
        """Close the socket. What happens after our own `close` is no error."""
        if self._closed:
            return
        self._closed = True
        self._error = None if self.closing else error
        self._cancel_flush_timeout()
        if self._watched:
            self._loop.watch(self._sock, 0, self._ready)
        self._watched = 0
        self._sock.close()
        self._loop.soon(self._lose)

    def _lose(self) -> None:
        self._reactor.guard(lambda: self._link.connection_lost(self._error))
        self._reactor.lost(self)
