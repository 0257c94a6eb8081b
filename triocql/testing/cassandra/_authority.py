"""Certificates for the nodes of one cluster and their clients, signed by an authority made on the spot."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import uuid
from typing import TYPE_CHECKING, Any, Final

from triocql.testing.cassandra._errors import LauncherError, MissingTool, install_command

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_AUTHORITY: Final = "authority.pem"
_CLIENT: Final = "client.pem"
_DAYS: Final = "30"
_FACTORY: Final = "org.apache.cassandra.security.PEMBasedSslContextFactory"

# All that is needed is said here, so that it does not matter how the OpenSSL of the machine is configured.
_REQUESTS: Final = """\
[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
_HOLDER: Final = """\
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""
_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout")


def client_context(folder: Path, *, client_certificate: bool = True) -> ssl.SSLContext:
    """Return a new context that trusts the authority of this folder, with or without a certificate to show."""
    context = ssl.create_default_context(cafile=str(folder / _AUTHORITY))
    if client_certificate:
        context.load_cert_chain(folder / _CLIENT)
    return context


class Authority:
    """A certificate authority of the OpenSSL program: Java's ``keytool`` gives no key away that Python can read.

    Attributes:
        folder: where all its files are.
        certificate: its own certificate, in PEM.
    """

    def __init__(self, folder: Path) -> None:
        """Make the authority, and a certificate for clients, in this new folder.

        Raises:
            MissingTool: the program ``openssl`` is not there.
            LauncherError: it failed.
        """
        self.folder = folder
        self._program = _find_openssl()
        self.certificate = folder / _AUTHORITY
        self._key = folder / "authority.key"
        self._requests = folder / "requests.cnf"
        folder.mkdir(parents=True)
        self._requests.write_text(_REQUESTS)
        # No two have the same name: a peer would take one for the other, and wonder at the signature.
        name = f"authority {uuid.uuid4()}"
        self._request(name, self._key, self.certificate, "-x509", "-extensions", "authority", "-days", _DAYS)
        self.renew(())

    def renew(self, addresses: Iterable[str]) -> None:
        """Replace the keys and certificates of clients and of the nodes at these addresses, in their files."""
        self._issue("client", "email:client@triocql.test")
        for address in addresses:
            self._issue_to_node(address)

    def encryption_options(self, address: str, *, mutual: bool) -> dict[str, Any]:
        """Return the ``client_encryption_options`` of the node at this address, with a certificate for it."""
        return {
            "enabled": True,
            "optional": False,
            "require_client_auth": mutual,
            "ssl_context_factory": {"class_name": _FACTORY},
            "keystore": str(self._issue_to_node(address)),
            "truststore": str(self.certificate),
        }

    def _issue_to_node(self, address: str) -> Path:
        return self._issue(address, f"IP:{address}")

    def _issue(self, holder: str, names: str) -> Path:
        """Make a key and a certificate for these alternative names; returns the file that has both."""
        key, request, certificate, extensions, both = (
            self.folder / f"{holder}.{kind}" for kind in ("key", "csr", "crt", "cnf", "pem")
        )
        extensions.write_text(_HOLDER.format(names=names))
        self._request(holder, key, request)
        self._openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-days", _DAYS),
            *("-set_serial", f"0x{uuid.uuid4().hex}", "-extfile", extensions, "-out", certificate),
        )
        both.write_bytes(key.read_bytes() + certificate.read_bytes())
        return both

    def _request(self, name: str, key: Path, out: Path, *options: str) -> None:
        """Make a key and what asks for its certificate; with "-x509", the certificate itself."""
        subject = ("-config", self._requests, "-subj", f"/CN=triocql {name}")
        self._openssl("req", "-new", *_NEW_KEY, key, *subject, *options, "-out", out)

    def _openssl(self, *arguments: str | Path) -> None:
        result = subprocess.run(  # noqa: S603
            [self._program, *arguments], capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise LauncherError(f"openssl {arguments[0]} failed: {result.stderr.strip()}")


def _find_openssl() -> str:
    program = shutil.which("openssl")
    if program is None:
        raise MissingTool(
            f"tls= needs the program openssl to make certificates; {install_command('openssl')}"
        )
    return program
