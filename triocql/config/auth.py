"""Authentication by a user name and a password."""

from __future__ import annotations

from dataclasses import dataclass, field

from triocql.config.checks import require_type
from triocql.errors import AuthenticationError, OptionError


@dataclass(frozen=True, slots=True)
class PlainTextAuth:
    """A user name and a password, sent as they are (SASL PLAIN): use TLS on any network that is not yours.

    Attributes:
        username: the role to log in as.
        password: its password; it is in no repr, log or message.
        server_classes: names of further authenticators that take a password, besides the usual ones.

    Raises OptionError for what is no text, or has a NUL in it, as when an environment variable is not set.

    >>> PlainTextAuth("app", "secret")
    PlainTextAuth(username='app')
    """

    username: str
    password: str = field(repr=False)
    server_classes: tuple[str, ...] = field(default=(), repr=False, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("username", "password"):
            value = getattr(self, name)
            require_type(value, str, f"the {name} of PlainTextAuth", "a str")
            if "\0" in value:
                raise OptionError(
                    f"the {name} of PlainTextAuth has a NUL in it; the protocol cannot send one"
                )
        require_type(self.server_classes, tuple, "server_classes", "a tuple of str")

    def initial_response(self, server_class: str) -> bytes:
        """Return the credentials; raises AuthenticationError where a password is not what is asked for."""
        if (
            server_class.rpartition(".")[2] not in _PASSWORD_AUTHENTICATORS
            and server_class not in self.server_classes
        ):
            raise AuthenticationError(
                f"the node authenticates by {server_class}, which is not known to take a password; "
                f"if it does, set auth=triocql.PlainTextAuth(..., server_classes=({server_class!r},))"
            )
        return b"\0".join((b"", self.username.encode(), self.password.encode()))

    def challenge(self, token: bytes | None) -> bytes:
        """Refuse: there is no second step in PLAIN."""
        raise AuthenticationError(
            "the node asks for more than a user name and a password: set auth= to an Authenticator that can answer it"
        )

    def success(self, token: bytes | None) -> None:
        """Do nothing: the last token says nothing in PLAIN."""


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
