"""The outermost link of a connection: faults of the transport itself, below TLS."""

from __future__ import annotations

from triocql.abc import Link, Transport


class Tap:
    """A link around a link, through which bytes flow, wait, or are lost (it implements `triocql.abc.Link`)."""

    def __init__(self, inner: Link) -> None:
        self._inner = inner
        self._transport: Transport | None = None
        self._frozen = self._deaf = self._hung_up = False
        self._early = bytearray()
        self._early_eof = False

    # --- As a link -----------------------------------------------------------------------------------------

    def connection_made(self, transport: Transport) -> None:
        """Called with the transport, which is passed on (`Link`)."""
        self._transport = transport
        self._inner.connection_made(transport)
        if self._frozen:
            transport.pause_reading()
        if self._hung_up:
            transport.abort()

    def data_to_send(self) -> bytes:
        """Hand over what the inner link has to send; nothing while it is frozen or deaf."""
        return b"" if self._frozen or self._deaf else self._inner.data_to_send()

    def data_received(self, data: bytes | memoryview) -> None:
        """Pass bytes on; keep them while frozen."""
        if self._frozen:
            self._early += data
        elif not self._deaf:
            self._inner.data_received(data)

    def eof_received(self) -> None:
        """Pass it on; not when deaf, as if it had never come."""
        if self._frozen:
            self._early_eof = True
        elif not self._deaf:
            self._inner.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """Pass it on."""
        self._inner.connection_lost(error)

    # --- Faults --------------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Neither read nor send, until `thaw`."""
        self._frozen = True
        if self._transport is not None:
            self._transport.pause_reading()

    def thaw(self) -> None:
        """Go on after `freeze`, with what has come in meanwhile."""
        self._frozen = False
        if self._transport is None:
            return
        self._transport.resume_reading()
        early, self._early = bytes(self._early), bytearray()
        if early:
            self.data_received(early)
        if self._early_eof:
            self.eof_received()
        self._transport.wake()

    def black_hole(self) -> None:
        """Lose from now on whatever comes in or would go out."""
        self._deaf = True

    def hang_up(self) -> None:
        """Close the socket at once: nothing that waits is sent, no goodbye of TLS either."""
        self._hung_up = True
        if self._transport is not None:
            self._transport.abort()
