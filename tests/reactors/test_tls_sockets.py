"""TLS over real sockets, on every reactor, in versions 1.2 and 1.3; the node's end is the `ssl` module's own."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from triocql.abc import Address, Reactor
from triocql.cluster.connector import Connector
from triocql.config.options import Options
from triocql.engine.requests.clock import Clock
from triocql.engine.routing.router import Router
from triocql.errors import ConnectError, ConnectTimeout, TlsError
from triocql.metadata.node import Node
from triocql.observability.meters import Meters
from triocql.reactors.base import nothing

from .certificates import EXPIRED, NAME, NOT_VALID_YET, client_context, self_signed_context, server_context
from .conftest import Run
from .peers import Peer
from .tlspeers import (
    OpensslServer,
    check_echo,
    connect,
    demanding,
    dial,
    of_version,
    openssl_server,
    shake_hands,
    shown,
    with_client_certificate,
)

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
DATA = bytes(range(256)) * 8000


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    return VERSIONS[request.param]


@pytest.fixture
def server(ca: trustme.CA, version: ssl.TLSVersion) -> ssl.SSLContext:
    return of_version(server_context(ca), version)


async def open_connection(reactor: Reactor, address: Address, **options: Any) -> None:
    """Open a connection as a session does, TLS and all."""
    chosen = Options.from_arguments(address, **options)
    clock = Clock(reactor)
    router = Router(clock, chosen.pool)
    try:
        await Connector(reactor, clock, chosen, router, Meters(clock.moment), router.tablets).open(
            Node(address), None
        )
    finally:
        clock.close()


# --- What works -------------------------------------------------------------------------------------------------------


def test_there_and_back(
    run: Run[None], ca: trustme.CA, server: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, sock = await connect(peer, client_context(ca), server)
            assert sock.version() == version.name.replace("_", ".")
            await check_echo(peer, link, sock, DATA)
            assert link.losses == []

    run(scenario)


def test_both_sides_show_a_certificate(run: Run[None], ca: trustme.CA, server: ssl.SSLContext) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, sock = await connect(peer, with_client_certificate(ca), demanding(server, ca))
            await check_echo(peer, link, sock)
            assert shown(sock) == "client@example.org"

    run(scenario)


def test_tickets_are_not_redeemed(run: Run[None], ca: trustme.CA, server: ssl.SSLContext) -> None:
    """A resumed session would pass over the certificates: each connection does its own handshake."""

    async def scenario(reactor: Any) -> None:
        client = client_context(ca)
        with Peer(reactor) as peer:
            for _ in range(2):
                link, sock = await connect(peer, client, server)
                await check_echo(peer, link, sock)
                assert not sock.session_reused
            assert server.session_stats()["hits"] == 0

    run(scenario)


def test_certificate_that_is_replaced(run: Run[None], ca: trustme.CA, server: ssl.SSLContext) -> None:
    """The user's context is loaded anew: new connections show the new certificate, old ones go on."""

    async def scenario(reactor: Any) -> None:
        client = with_client_certificate(ca, "old@example.org")
        with Peer(reactor) as peer:
            link, sock = await connect(peer, client, demanding(server, ca))
            await check_echo(peer, link, sock)
            ca.issue_cert("new@example.org").configure_cert(client)
            new_link, new_sock = await connect(peer, client, server)
            await check_echo(peer, new_link, new_sock)
            await check_echo(peer, link, sock)
            assert [shown(sock), shown(new_sock)] == ["old@example.org", "new@example.org"]

    run(scenario)


def test_authority_that_is_added(run: Run[None], ca: trustme.CA, server: ssl.SSLContext) -> None:
    async def scenario(reactor: Any) -> None:
        client = client_context(trustme.CA())
        with Peer(reactor) as peer:
            link = await dial(peer.reactor, peer.address, client)
            with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
                await shake_hands(peer, server)
            assert "unable to get local issuer certificate" in str(await link.until_lost())
            ca.configure_trust(client)
            await check_echo(peer, *await connect(peer, client, server))

    run(scenario)


def test_checks_that_are_turned_off(run: Run[None], ca: trustme.CA, version: ssl.TLSVersion) -> None:
    """The user's context is the one that counts, and stays as it is."""

    async def scenario(reactor: Any) -> None:
        client = ssl.create_default_context()
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        options, ciphers = client.options, client.get_ciphers()
        with Peer(reactor) as peer:
            server = of_version(server_context(ca, "other.example", **EXPIRED), version)
            await check_echo(peer, *await connect(peer, client, server))
        assert (client.check_hostname, client.verify_mode) == (False, ssl.CERT_NONE)
        assert (client.options, client.get_ciphers()) == (options, ciphers)

    run(scenario)


def test_certificate_that_is_asked_for_later(run: Run[None], ca: trustme.CA) -> None:
    """TLS 1.3 allows for it where the user's context does: an answer from within, and no renegotiation."""

    async def scenario(reactor: Any) -> None:
        client = with_client_certificate(ca)
        server = demanding(of_version(server_context(ca), ssl.TLSVersion.TLSv1_3), ca)
        client.post_handshake_auth = server.post_handshake_auth = True
        with Peer(reactor) as peer:
            link, sock = await connect(peer, client, server)
            await check_echo(peer, link, sock)
            assert sock.getpeercert() is None
            sock.verify_client_post_handshake()
            await check_echo(peer, link, sock)
            await check_echo(peer, link, sock)
            assert shown(sock) == "client@example.org"

    run(scenario)


# --- How it ends ------------------------------------------------------------------------------------------------------


def test_we_say_good_bye(run: Run[None], ca: trustme.CA, server: ssl.SSLContext) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, sock = await connect(peer, client_context(ca), server)
            link.send(b"the last words")
            assert link.transport is not None
            link.transport.close()
            assert await link.until_lost() is None
            assert (
                await peer.read(sock, 99) == b"the last words"
            )  # without close_notify this raises SSLEOFError

    run(scenario)


def test_the_peer_says_good_bye(run: Run[None], ca: trustme.CA, server: ssl.SSLContext) -> None:
    async def scenario(reactor: Any) -> None:
        async def say_good_bye() -> None:
            await reactor.run_blocking(sock.unwrap)
            done.resolve(None)

        with Peer(reactor) as peer:
            link, sock = await connect(peer, client_context(ca), server)
            await peer.send(sock, b"bye")
            done = reactor.waiter(nothing)
            reactor.spawn(say_good_bye)
            await link.until(lambda: "eof" in link.events)
            assert link.received == b"bye"
            assert link.losses == []
            assert link.transport is not None
            link.transport.close()
            assert await link.until_lost() is None
            await done.wait()

    run(scenario)


def test_a_cut_is_no_end(run: Run[None], ca: trustme.CA, server: ssl.SSLContext) -> None:
    async def scenario(reactor: Any) -> None:
        with Peer(reactor) as peer:
            link, sock = await connect(peer, client_context(ca), server)
            await peer.send(sock, b"a part")
            await link.until_received(6)
            sock.shutdown(socket.SHUT_RDWR)  # of TCP alone
            error = await link.until_lost()
            assert isinstance(error, ConnectionAbortedError)
            assert str(error) == f"the connection to {NAME} was cut: it ended without TLS close_notify"
            assert "eof" not in link.events

    run(scenario)


def test_renegotiation_is_refused(run: Run[None], ca: trustme.CA) -> None:
    async def scenario(reactor: Any) -> None:
        with openssl_server(ca, "-tls1_2") as server:
            link = await dial(reactor, server.address, client_context(ca))
            await link.until(lambda: "made" in link.events)
            server.write("hello")
            await link.until_received(6)
            server.write(OpensslServer.RENEGOTIATE)
            error = await link.until_lost()
            assert isinstance(error, TlsError)
            assert str(error) == f"{NAME} asked to renegotiate TLS, which is refused"
            assert link.received == b"hello\n"

    run(scenario)


def test_new_keys(run: Run[None], ca: trustme.CA) -> None:
    """TLS 1.3 has new keys in place of renegotiation: they are agreed upon, and the connection goes on."""

    async def scenario(reactor: Any) -> None:
        with openssl_server(ca, "-tls1_3") as server:
            link = await dial(reactor, server.address, client_context(ca))
            await link.until(lambda: "made" in link.events)
            server.write(OpensslServer.NEW_KEYS)
            link.send(b"with old keys\n")
            assert await server.says(
                reactor, "with old keys"
            )  # so it has read the command, which came before
            server.write("hello")
            assert await link.until_received(6) == b"hello\n"
            link.send(b"with new keys\n")
            assert await server.says(reactor, "with new keys")
            assert link.losses == []

    run(scenario)


# --- What is refused --------------------------------------------------------------------------------------------------


REFUSED: dict[str, tuple[Callable[[trustme.CA], ssl.SSLContext], str]] = {
    "expired": (lambda ca: server_context(ca, **EXPIRED), "certificate has expired"),
    "not-valid-yet": (lambda ca: server_context(ca, **NOT_VALID_YET), "certificate is not yet valid"),
    "self-signed": (lambda ca: self_signed_context(), "self-signed certificate"),
    "unknown-authority": (
        lambda ca: server_context(trustme.CA()),
        "unable to get local issuer certificate",
    ),
    "wrong-name": (
        lambda ca: server_context(ca, "other.example"),
        f"Hostname mismatch, certificate is not valid for '{NAME}'.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(run: Run[None], ca: trustme.CA, version: ssl.TLSVersion, case: str) -> None:
    make, reason = REFUSED[case]
    error = refusal(run, of_version(make(ca), version), ssl_context=client_context(ca), server_hostname=NAME)
    assert isinstance(error, TlsError)
    assert str(error).endswith(f", the TLS handshake: the certificate of {NAME} was refused: {reason}")


def test_wrong_address(run: Run[None], ca: trustme.CA, version: ssl.TLSVersion) -> None:
    """Valid and trusted, for another address: without a name it is the address that is checked."""
    server = of_version(server_context(ca, "127.0.0.2", NAME), version)
    error = refusal(run, server, ssl_context=client_context(ca))
    assert isinstance(error, TlsError)
    assert str(error).endswith(
        ", the TLS handshake: the certificate of 127.0.0.1 was refused: "
        "IP address mismatch, certificate is not valid for '127.0.0.1'."
    )


def test_no_client_certificate(
    run: Run[None], ca: trustme.CA, server: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """In TLS 1.3 the node says so after our part of the handshake is done."""
    error = refusal(run, demanding(server, ca), ssl_context=client_context(ca), server_hostname=NAME)
    assert isinstance(error, TlsError)
    alert = {"1.2": "SSLV3_ALERT_HANDSHAKE_FAILURE", "1.3": "TLSV13_ALERT_CERTIFICATE_REQUIRED"}
    reason = next(alert[name] for name, value in VERSIONS.items() if value is version)
    assert f", the TLS handshake: TLS with {NAME} failed: {reason}" in str(error)


def refusal(run: Run[None], server: ssl.SSLContext, **options: Any) -> ConnectError:
    """Connect to a node with this context; return the error, once the node was told as well."""
    caught: list[ConnectError] = []

    async def scenario(reactor: Any) -> None:
        async def node() -> None:
            with pytest.raises(ssl.SSLError):
                await shake_hands(peer, server)
            done.resolve(None)

        with Peer(reactor) as peer:
            done = reactor.waiter(nothing)
            reactor.spawn(node)
            with pytest.raises(ConnectError) as info:
                await open_connection(reactor, peer.address, **options)
            await done.wait()
        caught.append(info.value)

    run(scenario)
    return caught[0]


@pytest.mark.parametrize(
    "beginning", [b"", b"\x16\x03\x03\x00\x7a\x02\x00"], ids=["silent", "part-of-an-answer"]
)
def test_stalled_handshake(run: Run[None], ca: trustme.CA, beginning: bytes) -> None:
    async def scenario(reactor: Any) -> None:
        async def node() -> None:
            await peer.send(await peer.accept(), beginning)

        with Peer(reactor) as peer:
            reactor.spawn(node)
            options = {"ssl_context": client_context(ca), "server_hostname": NAME, "connect_timeout": 0.2}
            with pytest.raises(
                ConnectTimeout, match=r"the TLS handshake: not done within the connect timeout of 0\.2 s"
            ):
                await open_connection(reactor, peer.address, **options)
            assert await peer.read(peer.accepted[0], 1 << 20)  # what we said, and then the end

    run(scenario)
