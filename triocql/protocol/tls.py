"""TLS as a filter between a link and its transport, the same for every reactor.

`ssl.SSLObject` over two memory buffers (the "memory BIO" of the `ssl` module's documentation): whole batches are
encrypted when the transport pulls, and decrypted when it delivers. The user's `ssl.SSLContext` decides on
certificates, host names, versions and ciphers; it is never changed.

Sessions are not resumed: a resumed one would pass over the certificates of both sides, so that one that has expired,
or was replaced meanwhile, would go on being used. Tickets are read, and not kept.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from triocql.abc import Link, Transport
from triocql.errors import OptionError, TlsError

PLAIN_SIZE = 128 * 1024
"""Bytes of plaintext handed to the inner link at once, at most."""

_RECORD_TYPES = (0x15, 0x16)
"""The first bytes that a TLS peer can send: of an alert or of a handshake record (RFC 8446, section 5.1)."""

_CERTIFICATE_ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "INTERNAL_ERROR")
"""Parts of the names of the alerts by which OpenSSL, the JDK and Netty turn down a client's certificate, or none."""

_HINT = "; it may want a certificate of this side, or another one: see ssl.SSLContext.load_cert_chain"


class TlsLink:
    """A link around a link; towards the inner one it is the transport.

    The inner link's `connection_made` is called once the handshake is done. If that fails, `on_failed` is called in
    its place, once, and the inner link never hears of the connection.

    Args:
        inner: what speaks through TLS.
        context: the user's context.
        server_hostname: the name to ask for and, if the context says so, to check the certificate against.
        on_failed: takes the TlsError of a handshake that failed; its message gives the reason.
        server_side: whether this is the server's end.

    Raises:
        OptionError: the name is not valid, or the context checks host names and there is none.
    """

    def __init__(
        self,
        inner: Link,
        context: ssl.SSLContext,
        server_hostname: str | None,
        *,
        on_failed: Callable[[TlsError], None],
        server_side: bool = False,
    ) -> None:
        self._inner = inner
        self._on_failed = on_failed
        self._peer = server_hostname or "the peer"
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        if context.check_hostname and not (server_hostname or server_side):
            raise OptionError(
                "this ssl.SSLContext checks host names (check_hostname), but there is no name to check"
            )
        try:
            self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname)
        except ValueError as error:
            raise OptionError(
                f"{str(server_hostname)[:100]!r} cannot be used as the server's name: {error}"
            ) from error
        self._transport: Transport
        self._plain: Any = memoryview(bytearray(PLAIN_SIZE))
        self._unsent = memoryview(b"")
        self._seen_anything = False
        self._established = False
        self._answers_itself = False
        self._failed = False
        self._paused = False
        self._closing = False
        self._said_goodbye = False
        self._peer_ended = False
        self._told_eof = False
        self._read_error: Exception | None = None
        self._error: Exception | None = None

    # --- As a link -----------------------------------------------------------------------------------------

    def connection_made(self, transport: Transport) -> None:
        """Begin the handshake."""
        self._transport = transport
        self._shake_hands()

    def data_received(self, data: bytes | memoryview) -> None:
        """Decrypt, and pass it on."""
        try:
            if not self._seen_anything:
                self._seen_anything = True
                if (error := self._no_tls(bytes(data[:8]))) is not None:
                    self._fail(error)
            self._incoming.write(data)
            self._advance()
        except Exception as bug:
            self._give_up(bug)

    def eof_received(self) -> None:
        """Find out whether the peer said so itself, or somebody cut the connection."""
        try:
            self._incoming.write_eof()
            self._advance()
        except Exception as bug:
            self._give_up(bug)

    def data_to_send(self) -> bytes:
        """Encrypt the inner link's batch. What was held back by `pause_reading` is delivered here, too."""
        try:
            self._deliver()
            if self._established and not (self._said_goodbye or self._failed):
                self._encrypt()
            return self._outgoing.read()
        except Exception as bug:
            self._give_up(bug)
            return b""

    def connection_lost(self, error: Exception | None) -> None:
        """Pass it on, or report that the handshake did not come to its end."""
        if self._established:
            self._inner.connection_lost(self._error or error)
        elif not self._failed:
            self._failed = True
            self._on_failed(_caused(f"{self._peer} closed the connection during the TLS handshake", error))

    # --- As a transport ------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have the batch pulled."""
        self._transport.wake()

    def pause_reading(self) -> None:
        """Deliver nothing more for now, not even what is here already."""
        self._paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on; what is here already is delivered in the next tick."""
        self._paused = False
        self._transport.resume_reading()
        self._transport.wake()

    def close(self) -> None:
        """Send what waits, then say so (close_notify), then close."""
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    # --- The handshake -------------------------------------------------------------------------------------

    def _advance(self) -> None:
        if self._failed:
            return
        if not self._established:
            self._shake_hands()
        self._deliver()
        if self._outgoing.pending or self._unsent:
            self._transport.wake()

    def _shake_hands(self) -> None:
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._transport.wake()
        except ssl.SSLError as error:
            self._fail(self._explained(error))
        else:
            self._established = True
            self._answers_itself = self._ssl.version() == "TLSv1.3"  # there is no renegotiation then
            self._transport.wake()
            self._inner.connection_made(self)

    def _fail(self, error: TlsError) -> None:
        """Report a handshake that failed; closing sends the alert that tells the peer why."""
        if not self._failed:
            self._failed = True
            self._transport.close()
            self._on_failed(error)

    def _explained(self, error: ssl.SSLError) -> TlsError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return _caused(f"the certificate of {self._peer} was refused: {error.verify_message}", error)
        if isinstance(error, ssl.SSLEOFError):
            return _caused(f"{self._peer} closed the connection during the TLS handshake", error)
        reason = error.reason or str(error)
        is_alert = "_ALERT_" in reason
        hint = _HINT if is_alert and any(name in reason for name in _CERTIFICATE_ALERTS) else ""
        return _caused(f"TLS with {self._peer} failed: {reason}{hint}", error)

    def _no_tls(self, start: bytes) -> TlsError | None:
        """Recognize a peer that does not speak TLS by its first bytes."""
        if start[0] in _RECORD_TYPES:
            return None
        if start[0] & 0x80:
            found = "plain CQL: TLS is not enabled on this port"
        elif start.startswith(b"HTTP"):
            found = "HTTP: this is not the port of a node"
        else:
            found = f"no TLS (its first bytes are {start!r})"
        return TlsError(f"{self._peer} speaks {found}")

    # --- Plaintext -----------------------------------------------------------------------------------------

    def _encrypt(self) -> None:
        if not self._unsent:
            self._unsent = memoryview(self._inner.data_to_send())
        try:
            while self._unsent:
                self._unsent = self._unsent[self._ssl.write(self._unsent) :]
            if self._closing:
                self._said_goodbye = True
                self._ssl.unwrap()
        except ssl.SSLWantReadError:
            pass  # the peer has to say something first: about new keys, or good-bye
        except ssl.SSLError as error:
            self._break(self._explained(error))

    def _deliver(self) -> None:
        while self._established and not (self._paused or self._closing or self._error):
            size = self._decrypt()
            if not size:
                self._end_of_plaintext()
                break
            self._inner.data_received(self._plain[:size])

    def _end_of_plaintext(self) -> None:
        if self._read_error is not None:
            self._break(self._read_error)
        elif self._peer_ended and not self._told_eof:
            self._told_eof = True
            self._inner.eof_received()

    def _decrypt(self) -> int:
        """Fill the buffer with plaintext; returns how many bytes there are."""
        size = 0
        unsent = self._outgoing.pending
        try:
            while size < PLAIN_SIZE and not (self._peer_ended or self._read_error):
                count: Any = self._ssl.read(PLAIN_SIZE - size, self._plain[size:])
                if not count:
                    self._peer_ended = True
                size += count
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._read_error = self._explained_break(error)
        if self._read_error is None and self._outgoing.pending > unsent and not self._answers_itself:
            self._read_error = TlsError(f"{self._peer} asked to renegotiate TLS, which is refused")
        return size

    def _explained_break(self, error: ssl.SSLError) -> Exception:
        if isinstance(error, ssl.SSLEOFError):
            cut = ConnectionAbortedError(
                f"the connection to {self._peer} was cut: it ended without TLS close_notify"
            )
            cut.__cause__ = error
            return cut
        return self._explained(error)

    def _break(self, error: Exception) -> None:
        """Give up an established connection."""
        self._error = error
        self._transport.abort()

    def _give_up(self, bug: Exception) -> None:
        """End this connection, and nothing else, by a bug or for want of memory."""
        if self._established:
            self._break(bug)
        else:
            self._fail(_caused(f"TLS with {self._peer} failed: {type(bug).__name__}", bug))


def _caused(message: str, cause: Exception | None) -> TlsError:
    error = TlsError(message)
    error.__cause__ = cause
    return error
