"""The client's side of an authentication, as the handshake asks it."""

from __future__ import annotations

from typing import Protocol


class Authenticator(Protocol):
    """Answers the challenges of a server's authenticator (SASL; v5, section 4.1.2).

    One is shared by all connections, so that whatever belongs to one exchange has no place in it. Its methods
    are called on the event loop and must not block. They may raise `AuthenticationError`.
    """

    def initial_response(self, server_class: str) -> bytes:
        """Return the first token for the server's authenticator, named by its Java class."""

    def challenge(self, token: bytes | None) -> bytes:
        """Return the answer to a challenge."""

    def success(self, token: bytes | None) -> None:
        """Called with the token that ends a successful exchange."""
