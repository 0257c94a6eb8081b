"""Contexts for both ends of TLS, with certificates of an authority made for the tests."""

from __future__ import annotations

import datetime
import ssl
from typing import Any

import trustme

NAME = "node.example"
NOW = datetime.datetime.now(datetime.UTC)
EXPIRED = {"not_before": NOW - datetime.timedelta(9), "not_after": NOW - datetime.timedelta(1)}
NOT_VALID_YET = {"not_before": NOW + datetime.timedelta(1), "not_after": NOW + datetime.timedelta(9)}


def client_context(ca: trustme.CA) -> ssl.SSLContext:
    """Return what a user would have: it checks the certificate, and that it is for the right name."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


def server_context(ca: trustme.CA, *identities: str, **options: Any) -> ssl.SSLContext:
    """Return a server's, with a certificate for these names, or for `NAME`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(identities or (NAME,)), **options).configure_cert(context)
    return context


def self_signed_context() -> ssl.SSLContext:
    """Return a server's whose certificate is signed by itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own = trustme.CA()
    with own.private_key_pem.tempfile() as key, own.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)
    return context
