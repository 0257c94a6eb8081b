"""The client's side of an authentication, as a connection asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from triocql.abc import Address


class Authenticator(Protocol):
    """Answers the challenges of a server's authenticator (SASL; v5, section 4.1.2).

    One is shared by all connections, so that whatever belongs to one exchange has no place in it, unless an
    `AuthProvider` makes one for each. Its methods may raise `AuthenticationError`; whatever else they raise is the
    cause of one. A server may ask up to 16 times.

    Two attributes are looked for, and need not be there:

    - ``blocking``: if it is true, the methods are called in a worker thread, where they may read files and ask other
      services; one after the other for one connection, but for several connections at the same time. By default, they
      are called on the event loop and must not block.
    - ``sends_secret``: whether what is sent tells a secret to those who can read it on the way, as a password does and
      a signature does not. Then the session warns, once, where there is no TLS. By default, that is so if the node asks
      for a password.
    """

    def initial_response(self, server_class: str) -> bytes:
        """Return the first token for the server's authenticator, named by its Java class."""

    def challenge(self, token: bytes | None) -> bytes:
        """Return the answer to a challenge."""

    def success(self, token: bytes | None) -> None:
        """Called with the token that ends a successful exchange."""


class AuthProvider(Protocol):
    """Makes an authenticator for each connection whose node asks for one: where an exchange has a state, as with
    Kerberos, or where user name and password change together.

    If it has an attribute ``blocking`` that is true, it is called in a worker thread, and so are those that it makes.
    """

    def authenticator(self, address: Address) -> Authenticator:
        """Return an authenticator for one connection to `address`. It may raise as those do."""


def takes_password(server_class: str) -> bool:
    """Return whether a server's authenticator is known to take SASL PLAIN: a user name and a password.

    >>> takes_password("org.apache.cassandra.auth.PasswordAuthenticator")
    True
    """
    return server_class.rpartition(".")[2] in _PASSWORD_AUTHENTICATORS


_PASSWORD_AUTHENTICATORS = frozenset(
    {
        "PasswordAuthenticator",
        "MutualTlsWithPasswordFallbackAuthenticator",
        "TransitionalAuthenticator",
        "SaslauthdAuthenticator",
        "AuditAuthenticator",
        "AivenAuthenticator",
        "HelenusAuthenticator",
        "InstaclustrPasswordAuthenticator",
        "SharedSecretAuthenticator",
    }
)
"""Authenticators of Cassandra, ScyllaDB and their hosts that take SASL PLAIN: the last part of their names."""
