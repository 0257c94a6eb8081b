"""Nodes that speak TLS over real sockets: the `ssl` module's own end, and OpenSSL's server program."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trustme

from triocql.abc import Address, Reactor
from triocql.protocol.tls import TlsLink

from .certificates import NAME, client_context
from .peers import Peer, RecordingLink


def of_version(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Have a node's context speak no other version."""
    context.minimum_version = context.maximum_version = version
    return context


def with_client_certificate(ca: trustme.CA, name: str = "client@example.org") -> ssl.SSLContext:
    context = client_context(ca)
    ca.issue_cert(name).configure_cert(context)
    return context


def demanding(server: ssl.SSLContext, ca: trustme.CA) -> ssl.SSLContext:
    """Have a node's context ask for a certificate."""
    server.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(server)
    return server


async def shake_hands(peer: Peer, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Accept a connection, and do the node's part of the handshake."""
    raw = await peer.accept()

    def blocking() -> ssl.SSLSocket:
        return context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=False)

    sock = await peer.reactor.run_blocking(blocking)
    peer.accepted.append(sock)
    return sock


async def dial(reactor: Reactor, address: Address, client: ssl.SSLContext) -> RecordingLink:
    """Begin a connection with TLS."""
    link = RecordingLink(reactor)
    tls = TlsLink(link, client, NAME, on_failed=link.connection_lost)
    await reactor.connect(address, tls, timeout=60)
    return link


async def connect(
    peer: Peer, client: ssl.SSLContext, server: ssl.SSLContext
) -> tuple[RecordingLink, ssl.SSLSocket]:
    """Make a connection with TLS: the link, and the node's end."""
    link = await dial(peer.reactor, peer.address, client)
    sock = await shake_hands(peer, server)
    await link.until(lambda: "made" in link.events)
    return link, sock


async def check_echo(peer: Peer, link: RecordingLink, sock: ssl.SSLSocket, data: bytes = b"hello") -> None:
    """Send something there and back."""
    link.send(data)
    assert await peer.read(sock, len(data)) == data
    before = len(link.received)
    await peer.send(sock, data)
    assert (await link.until_received(before + len(data)))[before:] == data


def shown(sock: ssl.SSLSocket) -> str:
    """Return for whom the client's certificate is."""
    certificate: Any = sock.getpeercert()
    [(_, name)] = certificate["subjectAltName"]
    return str(name)


class OpensslServer:
    """OpenSSL's server program: it sends the lines it reads, and asks for what Python's `ssl` cannot."""

    RENEGOTIATE, NEW_KEYS = "r", "K"

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        line = next(line for line in self._output if line.startswith("ACCEPT"))
        self.address = Address("127.0.0.1", int(line.rpartition(":")[2]))

    def write(self, line: str) -> None:
        """Send a line or, with one of the commands, ask for something."""
        self._input.write(line + "\n")
        self._input.flush()

    async def says(self, reactor: Reactor, line: str) -> bool:
        """Wait until it prints this line."""
        return await reactor.run_blocking(lambda: line + "\n" in self._output)


@contextmanager
def openssl_server(ca: trustme.CA, option: str) -> Iterator[OpensslServer]:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("the program openssl is not there")
    with ca.issue_cert(NAME).private_key_and_cert_chain_pem.tempfile() as pem:
        command = [program, "s_server", option, "-accept", "127.0.0.1:0", "-cert", pem, "-key", pem]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        with process:
            try:
                yield OpensslServer(process)
            finally:
                process.kill()
