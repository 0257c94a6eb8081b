"""One connection on asyncio: the loop's own transport on one side, a link on the other."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from triocql.abc import Link

from .base import FLUSH_TIMEOUT, READ_SIZE, Flushable, ReactorBase, nothing


class Flusher:
    """Flushes all transports that have something to send, in one step of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._dirty: list[Flushable] = []
        self._has_waited = False

    def flush_soon(self, transport: Flushable) -> None:
        """Flush `transport` in the next tick."""
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(transport)  # not before: what has raised has told nobody

    def _flush(self) -> None:
        if len(self._dirty) > 1 and not self._has_waited:
            # What comes from several nodes in this tick goes to them as one batch each.
            self._loop.call_soon(self._flush)
            self._has_waited = True
            return
        self._has_waited = False
        dirty: list[Flushable] = []
        try:
            dirty, self._dirty = self._dirty[::-1], dirty
            while dirty:
                dirty[-1].flush()
                dirty.pop()  # not before: Ctrl-C may come at any place; the loop may be run again
        finally:
            if dirty:
                self._dirty += reversed(dirty)
                self.resume()

    def resume(self) -> None:
        """Make up for a step that was taken from the loop and has not begun, as Ctrl-C may have it."""
        if self._dirty:
            self._loop.call_soon(self._flush)


class AsyncioTransport(asyncio.BufferedProtocol):
    """Drives one link. No method that the link calls calls the link: that is left to the loop.

    `lost` is done once the link knows that the connection is lost.
    """

    def __init__(
        self,
        reactor: ReactorBase[AsyncioTransport],
        loop: asyncio.AbstractEventLoop,
        flusher: Flusher,
        link: Link,
    ) -> None:
        self.closing = False
        self.lost: asyncio.Future[None] = loop.create_future()
        self._reactor = reactor
        self._flusher = flusher
        self._link = link
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._transport: asyncio.Transport | None = None
        self._started = False
        self._abandoned = False
        self._early = b""
        self._eof = False
        self._bug: Exception | None = None
        self._pulling = False
        self._blocked = False
        self._cancel_flush_timeout: Callable[[], None] = nothing

    def start(self) -> None:
        """Start the link: it is given its transport, and what came in since the loop's transport was made."""
        if self.lost.done():
            raise ConnectionResetError("the connection was lost as soon as it was made")
        self._started = True
        self._reactor.opened(self)
        self._call(lambda: self._link.connection_made(self))
        if self._early:
            early, self._early = self._early, b""
            self._call(lambda: self._link.data_received(early))
        if self._eof:
            self._call(self._link.eof_received)

    def abandon(self, sock: socket.socket) -> None:
        """Close without the link ever having known: the caller of `connect` is gone."""
        self._abandoned = True
        if self._transport is None:
            sock.close()
        else:
            self._transport.abort()

    # --- What the link calls -------------------------------------------------------------------------------

    def wake(self) -> None:
        """Pull in the next tick, unless the loop's transport is full: then as soon as it is not."""
        if not (self._pulling or self._blocked):
            self._flusher.flush_soon(self)
            self._pulling = True  # not before: what has raised has told nobody

    def pause_reading(self) -> None:
        """Receive nothing more for now."""
        if (transport := self._open_transport()) is not None:
            transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on receiving."""
        if (transport := self._open_transport()) is not None and not self._eof:
            transport.resume_reading()

    def close(self) -> None:
        """Send the rest within `FLUSH_TIMEOUT`, then close."""
        if self.closing or self._open_transport() is None:
            return
        self.pause_reading()
        self.closing = True
        self._cancel_flush_timeout = self._reactor.call_at(self._reactor.now() + FLUSH_TIMEOUT, self.abort)
        self.wake()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    def _open_transport(self) -> asyncio.Transport | None:
        transport = self._transport
        return None if transport is None or self.closing or transport.is_closing() else transport

    # --- What the loop calls -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the loop's transport; the link is told in `start`."""
        self._transport = cast(asyncio.Transport, transport)
        if self._abandoned:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer to receive into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what was received."""
        data = self._buffer[:nbytes]
        if not self._started:
            self._early += data
        elif not self.closing:
            try:
                self._link.data_received(data)
            except Exception as error:
                self._fail(error)

    def eof_received(self) -> bool:
        """Pass it on, and keep the transport open."""
        self._eof = True
        if self._started and not self.closing:
            self._call(self._link.eof_received)
        return True

    def pause_writing(self) -> None:
        """Pull no more: the socket does not take what it was given."""
        self._blocked = True

    def resume_writing(self) -> None:
        """Pull what has gathered."""
        self._blocked = False
        self.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the link. What happens after our own `close` is no error."""
        self._cancel_flush_timeout()
        self._reactor.lost(self)
        if self._started:
            error = self._bug or (None if self.closing else exc)
            self._reactor.guard(lambda: self._link.connection_lost(error))
        self.lost.set_result(None)

    def flush(self) -> None:
        """Pull the link's batch and send it; a closing transport is closed after its last one."""
        self._pulling = False
        transport = self._transport
        if transport is None or transport.is_closing() or self._blocked:
            return
        try:
            data = self._link.data_to_send()
        except Exception as error:
            self._fail(error)
            return
        if data:
            transport.write(data)
        if self.closing and not (self._pulling or self._blocked):
            transport.close()

    # --- Within --------------------------------------------------------------------------------------------

    def _call(self, method: Callable[[], None]) -> None:
        try:
            method()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Abort the connection, as the link has a bug."""
        self._bug = error
        self.abort()
        self._reactor.report_bug(error)
