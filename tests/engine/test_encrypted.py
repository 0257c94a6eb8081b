"""A session over TLS: every connection it makes, now and later, goes by the certificates of that moment."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trustme

from tests.engine.world import World, only, pools
from tests.reactors.certificates import NAME, client_context, server_context
from triocql.errors import NoNodeAvailable
from triocql.protocol.tls import TlsLink


class EncryptedWorld(World):
    """One node that speaks TLS with its present `context`, and asks for a certificate; `shown` has those it got."""

    def __init__(self, ca: trustme.CA, client: ssl.SSLContext) -> None:
        super().__init__(ssl_context=client, server_hostname=NAME)
        self.context = server_context(ca)
        self.context.verify_mode = ssl.CERT_REQUIRED
        ca.configure_trust(self.context)
        self._ends: list[TlsLink] = []
        self.listeners[0].factory = self._accept

    def _accept(self) -> TlsLink:
        link = self.node.accept()
        end = TlsLink(link, self.context, None, on_failed=link.connection_lost, server_side=True)
        self._ends.append(end)
        return end

    @property
    def shown(self) -> list[str]:
        """For whom the clients' certificates are, in the order of the pool's connections."""
        ends = [end for end in self._ends if end._inner not in self.node.listeners]
        certificates: list[Any] = [end._ssl.getpeercert() for end in ends]
        return [certificate["subjectAltName"][0][1] for certificate in certificates]

    def reset(self) -> None:
        """Lose the connection of the pool, and let there be time for the next one."""
        (transport,) = (each for each in self.accepted() if not each.closed)
        transport.reset()
        self.reactor.advance(2.0)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def client(ca: trustme.CA) -> ssl.SSLContext:
    context = client_context(ca)
    ca.issue_cert("old@example.org").configure_cert(context)
    return context


def test_the_next_connection_shows_the_new_certificate(ca: trustme.CA, client: ssl.SSLContext) -> None:
    world = EncryptedWorld(ca, client)
    with world.session() as session:
        ca.issue_cert("new@example.org").configure_cert(client)
        world.call(session.execute, "SELECT v FROM t")
        assert world.shown == ["old@example.org"]
        world.reset()
        world.call(session.execute, "SELECT v FROM t")
        assert world.shown == ["old@example.org", "new@example.org"]


def test_the_next_connection_checks_the_node_again(ca: trustme.CA, client: ssl.SSLContext) -> None:
    """What a ticket of the first connection would have passed over."""
    world = EncryptedWorld(ca, client)
    good = world.context
    with world.session() as session:
        world.context = server_context(ca, "other.example")
        world.reset()
        [attempt] = filter(None, [pool.last_failure for pool in pools(session)])
        assert f"the certificate of {NAME} was refused: Hostname mismatch" in str(attempt)
        with pytest.raises(NoNodeAvailable, match="Hostname mismatch"):
            world.call(session.execute, "SELECT v FROM t")
        world.context = good
        world.reactor.advance(10.0)
        world.call(session.execute, "SELECT v FROM t")


@pytest.mark.parametrize("part", ["_decrypt", "_encrypt"])
def test_a_failure_within_tls_ends_its_connection_only(
    ca: trustme.CA, client: ssl.SSLContext, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> int:
        raise MemoryError

    world = EncryptedWorld(ca, client)
    with world.session() as session:
        world.reactor.advance(5)
        lost = only(session)
        monkeypatch.setattr(lost._transport, part, fails)
        result = world.call(session.execute, "SELECT v FROM t")
        assert result.scalar() == "SELECT v FROM t"
        assert isinstance(lost.error, MemoryError)
        assert only(session) is not lost
