"""Authentication on the server's side: user names with passwords, and scripted SASL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Success(NamedTuple):
    """The end of a conversation that went well."""

    token: bytes | None = None


class Challenge(NamedTuple):
    """The client has to answer this."""

    token: bytes


class Refused(Exception):
    """The end of a conversation that went wrong; the text is the node's message."""


Turn = Challenge | Success
Conversation = Callable[[bytes | None], Turn]


class Authenticator(Protocol):
    """The authentication that a server asks of its clients before anything else.

    Attributes:
        class_name: what AUTHENTICATE says.
    """

    @property
    def class_name(self) -> str:
        """The name of its class, as AUTHENTICATE says it."""

    def converse(self) -> Conversation:
        """Begin with one connection: what is returned takes each token of the client and says what comes next.

        It raises Refused if the client may not enter.
        """


@dataclass(frozen=True)
class Passwords:
    """User names and their passwords, sent as SASL PLAIN (RFC 4616). Neither gets into a text.

    >>> Passwords({"ann": "secret"}).converse()(b"\\0ann\\0secret")
    Success(token=None)
    """

    users: Mapping[str, str]
    class_name: str = "org.apache.cassandra.auth.PasswordAuthenticator"

    def converse(self) -> Conversation:
        """Begin with one connection."""
        return self._check

    def _check(self, token: bytes | None) -> Turn:
        parts = (token or b"").split(b"\0")
        if len(parts) == 3 and self.users.get(parts[1].decode(errors="replace")) == parts[2].decode(
            errors="replace"
        ):
            return Success()
        raise Refused("Provided username and/or password are incorrect")

    def __repr__(self) -> str:
        return f"Passwords({len(self.users)} users)"


@dataclass(frozen=True)
class Script:
    """The server's side of a dialogue, turn by turn; after the last turn it says that one again and again.

    >>> converse = Script([Challenge(b"what?"), Success(b"fine")]).converse()
    >>> converse(b"hello"), converse(b"that")
    (Challenge(token=b'what?'), Success(token=b'fine'))
    """

    turns: Sequence[Turn | Refused]
    class_name: str = "org.example.ScriptedAuthenticator"

    def converse(self) -> Conversation:
        """Begin with one connection."""
        left = list(self.turns)

        def say(token: bytes | None) -> Turn:
            turn = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(turn, Refused):
                raise turn
            return turn

        return say
