"""The TLS filter: both ends in memory, on the simulated reactor."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from triocql.abc import Address, Transport
from triocql.errors import OptionError, TlsError
from triocql.protocol.tls import TlsLink
from triocql.testing.simulated import SimulatedReactor

from .certificates import EXPIRED, NAME, NOT_VALID_YET, client_context, self_signed_context, server_context
from .peers import RecordingLink

NODE = Address("10.0.0.1", 9042)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


class Server(RecordingLink):
    """Sends back what it gets."""

    def data_received(self, data: bytes | memoryview) -> None:
        super().data_received(data)
        self.send(bytes(data))


class TlsPair:
    """A client with TLS connected to a server with TLS, in memory."""

    def __init__(
        self, client: ssl.SSLContext, server: ssl.SSLContext | None, name: str | None = NAME, seed: int = 0
    ) -> None:
        self.reactor = SimulatedReactor(seed)
        self.server = Server(self.reactor)
        self.server_failures: list[TlsError] = []
        self.failures: list[TlsError] = []
        self.link = RecordingLink(self.reactor)
        self.listener = self.reactor.listen(NODE, lambda: self._server_side(server))
        self.tls = TlsLink(self.link, client, name, on_failed=self.failures.append)
        self.transport: Transport = self.reactor.run(self._connect)
        self.reactor.settle()

    def _server_side(self, context: ssl.SSLContext | None) -> Any:
        if context is None:
            return self.server
        return TlsLink(self.server, context, None, on_failed=self.server_failures.append, server_side=True)

    async def _connect(self) -> Transport:
        return await self.reactor.connect(NODE, self.tls, timeout=60)

    def refused(self) -> str:
        """Assert that the handshake failed, and return why."""
        self.reactor.settle()
        assert self.link.events == []
        assert len(self.failures) == 1
        assert self.reactor.network.clients == set()
        return str(self.failures[0])


@pytest.mark.parametrize("seed", range(10))
def test_echo(ca: trustme.CA, seed: int) -> None:
    pair = TlsPair(client_context(ca), server_context(ca), seed=seed)
    assert pair.link.events == ["made", "pulled"]
    data = bytes(range(256)) * 4000
    pair.link.send(data[:5])
    pair.reactor.settle()
    assert pair.link.received == data[:5]
    pair.link.send(data)
    pair.reactor.settle()
    assert pair.link.received[5:] == data
    assert max(pair.link.chunks) <= 128 * 1024
    assert pair.failures == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_close_says_good_bye(ca: trustme.CA, version: ssl.TLSVersion) -> None:
    server = server_context(ca)
    server.maximum_version = version
    pair = TlsPair(client_context(ca), server)
    pair.link.send(b"the last words")
    assert pair.link.transport is not None
    pair.link.transport.close()
    pair.reactor.settle()
    assert pair.link.losses == [None]
    assert pair.server.received == b"the last words"
    assert "eof" in pair.server.events


def test_good_bye_of_the_peer(ca: trustme.CA) -> None:
    pair = TlsPair(client_context(ca), server_context(ca))
    pair.server.send(b"bye")
    assert pair.server.transport is not None
    pair.server.transport.close()
    pair.reactor.settle()
    assert pair.link.received == b"bye"
    assert pair.link.events[-1] == "eof"
    assert pair.link.losses == []


def test_cut_connection_is_no_end(ca: trustme.CA) -> None:
    pair = TlsPair(client_context(ca), server_context(ca))
    pair.server.send(b"a part")
    pair.reactor.settle()
    pair.listener.accepted[0].abort()
    pair.reactor.settle()
    assert pair.link.received == b"a part"
    assert "eof" not in pair.link.events
    [error] = pair.link.losses
    assert isinstance(error, ConnectionAbortedError)
    assert "without TLS close_notify" in str(error)
    assert isinstance(error.__cause__, ssl.SSLEOFError)


def test_reset(ca: trustme.CA) -> None:
    pair = TlsPair(client_context(ca), server_context(ca))
    pair.listener.accepted[0].reset()
    pair.reactor.settle()
    assert isinstance(pair.link.losses[0], ConnectionResetError)
    assert len(pair.link.losses) == 1


def test_corrupt_record(ca: trustme.CA) -> None:
    pair = TlsPair(client_context(ca), server_context(ca))
    pair.tls.data_received(b"\x17\x03\x03\x00\x20" + bytes(32))
    pair.reactor.settle()
    assert isinstance(pair.link.losses[0], TlsError)
    assert len(pair.link.losses) == 1


def test_abort(ca: trustme.CA) -> None:
    pair = TlsPair(client_context(ca), server_context(ca))
    assert pair.link.transport is not None
    pair.link.transport.abort()
    pair.reactor.settle()
    assert pair.link.losses == [None]


def test_paused(ca: trustme.CA) -> None:
    """Nothing is delivered while paused, not even what was received before; then all of it."""
    pair = TlsPair(client_context(ca), server_context(ca))
    transport = pair.link.transport
    assert transport is not None
    received = pair.link.data_received

    def pausing(data: bytes | memoryview) -> None:
        received(data)
        assert transport is not None
        transport.pause_reading()

    pair.link.data_received = pausing  # type: ignore[method-assign]
    pair.server.send(bytes(400_000))
    for _ in range(50):
        pair.reactor.settle()
        before = len(pair.link.chunks)
        pair.reactor.settle()
        assert len(pair.link.chunks) == before
        transport.resume_reading()
        assert len(pair.link.chunks) == before
    assert len(pair.link.received) == 400_000


# --- Handshakes that fail -----------------------------------------------------------------------------------------


def test_other_host_name(ca: trustme.CA) -> None:
    """Valid, trusted, and of another host."""
    pair = TlsPair(client_context(ca), server_context(ca, "other.example"))
    assert "certificate of node.example was refused: Hostname mismatch" in pair.refused()
    assert isinstance(pair.failures[0].__cause__, ssl.SSLCertVerificationError)
    assert len(pair.server_failures) == 1


def test_other_address(ca: trustme.CA) -> None:
    pair = TlsPair(client_context(ca), server_context(ca, "10.0.0.2"), "10.0.0.1")
    assert "certificate of 10.0.0.1 was refused: IP address mismatch" in pair.refused()


def test_address_that_matches(ca: trustme.CA) -> None:
    assert TlsPair(client_context(ca), server_context(ca, "10.0.0.1"), "10.0.0.1").link.events[0] == "made"


def test_expired(ca: trustme.CA) -> None:
    pair = TlsPair(client_context(ca), server_context(ca, **EXPIRED))
    assert "refused: certificate has expired" in pair.refused()


def test_not_valid_yet(ca: trustme.CA) -> None:
    pair = TlsPair(client_context(ca), server_context(ca, **NOT_VALID_YET))
    assert "refused: certificate is not yet valid" in pair.refused()


def test_unknown_authority(ca: trustme.CA) -> None:
    pair = TlsPair(client_context(ca), server_context(trustme.CA()))
    assert "refused: unable to get local issuer certificate" in pair.refused()


def test_self_signed(ca: trustme.CA) -> None:
    assert "refused: self-signed certificate" in TlsPair(client_context(ca), self_signed_context()).refused()


def test_no_version_in_common(ca: trustme.CA) -> None:
    client, server = client_context(ca), server_context(ca)
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    assert "TLS with node.example failed: TLSV1_ALERT_PROTOCOL_VERSION" in TlsPair(client, server).refused()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificate_wanted(ca: trustme.CA, version: ssl.TLSVersion) -> None:
    """In TLS 1.3 the client learns of it only after its own handshake is done."""
    server = server_context(ca)
    server.verify_mode = ssl.CERT_REQUIRED
    server.maximum_version = version
    ca.configure_trust(server)
    pair = TlsPair(client_context(ca), server)
    if version is ssl.TLSVersion.TLSv1_2:
        assert "HANDSHAKE_FAILURE" in pair.refused()
    else:
        assert isinstance(pair.link.losses[0], TlsError)
        assert "CERTIFICATE_REQUIRED; it may want a certificate of this side" in str(pair.link.losses[0])
    client = client_context(ca)
    ca.issue_cert("client@example.org").configure_cert(client)
    assert TlsPair(client, server).link.losses == []


class Says(RecordingLink):
    """A server without TLS that answers whatever it gets."""

    def __init__(self, reactor: Any, answer: bytes) -> None:
        super().__init__(reactor)
        self.answer = answer

    def data_received(self, data: bytes | memoryview) -> None:
        if not self.received:
            self.send(self.answer)
        super().data_received(data)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x85\x00\x00\x00\x00\x00\x00\x00\x10", "speaks plain CQL: TLS is not enabled on this port"),
        (b"HTTP/1.1 400 Bad Request\r\n", "speaks HTTP: this is not the port of a node"),
        (b"220 mail.example ESMTP", "speaks no TLS"),
        (b"\x16\x03\x03\x00\x05hello", "TLS with node.example failed"),
    ],
)
def test_peer_without_tls(
    ca: trustme.CA, monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str
) -> None:
    monkeypatch.setattr(TlsPair, "_server_side", lambda self, context: Says(self.reactor, answer))
    assert reason in TlsPair(client_context(ca), None).refused()


@pytest.mark.parametrize("how", ["abort", "reset"])
def test_closed_in_the_handshake(ca: trustme.CA, how: str) -> None:
    pair = TlsPair(client_context(ca), None)
    getattr(pair.listener.accepted[0], how)()
    assert pair.refused()


def test_stalled_handshake(ca: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TlsPair, "_server_side", lambda self, context: RecordingLink(self.reactor))
    pair = TlsPair(client_context(ca), None)
    pair.reactor.advance(3600)
    assert pair.failures == []
    pair.transport.abort()
    assert "closed the connection during the TLS handshake" in pair.refused()


def test_host_name_is_needed(ca: trustme.CA) -> None:
    reactor = SimulatedReactor()
    with pytest.raises(OptionError, match="there is no name to check"):
        TlsLink(RecordingLink(reactor), client_context(ca), None, on_failed=print)
    with pytest.raises(OptionError, match=r"'\.x' cannot be used as the server's name"):
        TlsLink(RecordingLink(reactor), client_context(ca), ".x", on_failed=print)


def test_context_is_left_as_it_is(ca: trustme.CA) -> None:
    context = client_context(ca)
    context.check_hostname = False
    names: list[str] = [
        name for name in dir(context) if not name.startswith("_") and name != "keylog_filename"
    ]

    def settings() -> dict[str, Any]:
        return {name: value for name in names if not isinstance(value := getattr(context, name), Callable)}  # type: ignore[arg-type]

    before = settings()
    assert TlsPair(context, server_context(ca, "other.example")).link.events[0] == "made"
    assert settings() == before
