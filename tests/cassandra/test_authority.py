"""The certificates that the launcher makes, without a node."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from triocql.testing.cassandra import CassandraCluster, LauncherError, MissingTool
from triocql.testing.cassandra._authority import Authority, client_context

ADDRESS = "127.19.1.1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


def shake_hands(client_context: ssl.SSLContext, options: dict[str, Any], name: str) -> ssl.SSLObject:
    """Do the handshake of a client with a node of these options; returns the node's end."""
    node_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=options["truststore"])
    node_context.load_cert_chain(options["keystore"])
    node_context.verify_mode = ssl.CERT_REQUIRED if options["require_client_auth"] else ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(back, there, server_hostname=name)
    node = node_context.wrap_bio(there, back, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with pytest.raises(ssl.SSLWantReadError):
        node.do_handshake()
    client.do_handshake()
    node.do_handshake()
    return node


def test_both_sides_are_trusted(authority: Authority) -> None:
    """By the strictest rules as well, which are Python's own from 3.13 on."""
    context = client_context(authority.folder)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    node = shake_hands(context, authority.encryption_options(ADDRESS, mutual=True), ADDRESS)
    certificate: Any = node.getpeercert()
    assert certificate["subjectAltName"] == (("email", "client@triocql.test"),)


def test_certificates_are_for_one_address(authority: Authority) -> None:
    options = authority.encryption_options(ADDRESS, mutual=False)
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        shake_hands(client_context(authority.folder, client_certificate=False), options, "127.19.1.2")
    other = authority.encryption_options("127.19.1.2", mutual=False)
    shake_hands(client_context(authority.folder, client_certificate=False), other, "127.19.1.2")


def test_renewed_certificates_are_others_of_the_same_authority(authority: Authority) -> None:
    """A context from before trusts them, and takes the client's own by its file."""
    context = client_context(authority.folder)
    options = authority.encryption_options(ADDRESS, mutual=True)
    before: Any = shake_hands(context, options, ADDRESS).getpeercert()
    keystore = Path(options["keystore"]).read_bytes()
    authority.renew([ADDRESS])
    assert Path(options["keystore"]).read_bytes() != keystore
    context.load_cert_chain(authority.folder / "client.pem")
    after: Any = shake_hands(context, options, ADDRESS).getpeercert()
    assert before["serialNumber"] != after["serialNumber"]


def test_no_certificate_to_show(authority: Authority) -> None:
    context = client_context(authority.folder, client_certificate=False)
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake_hands(context, authority.encryption_options(ADDRESS, mutual=True), ADDRESS)


def test_authorities_do_not_trust_each_other(authority: Authority, tmp_path: Path) -> None:
    stranger = client_context(Authority(tmp_path / "other").folder)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(stranger, authority.encryption_options(ADDRESS, mutual=False), ADDRESS)


def test_without_openssl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="needs the program openssl"):
        Authority(tmp_path / "tls")


def test_openssl_fails(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    with pytest.raises(LauncherError, match="openssl x509 failed: "):
        authority.encryption_options("not-an-address", mutual=False)


def test_a_cluster_without_tls_has_no_context() -> None:
    with pytest.raises(LauncherError, match="start it with tls='one-way' or 'mutual'"):
        CassandraCluster().ssl_context()


def test_tls_of_another_kind() -> None:
    with pytest.raises(LauncherError, match="tls is 'one-way', 'mutual' or None, not True"):
        CassandraCluster(tls=True)  # type: ignore[arg-type]


def test_passwords_are_not_shown() -> None:
    assert CassandraCluster().auth is None
    assert "password" not in repr(CassandraCluster(auth=True).auth)
