"""The authentication of one connection: asks an authenticator, and checks what it says."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, TypeVar

from triocql.errors import AuthenticationError, Error
from triocql.protocol.authenticator import takes_password

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql.abc import Address
    from triocql.protocol.authenticator import Authenticator, AuthProvider

MAX_CHALLENGES = 16
"""How many challenges of one authentication are answered."""

T = TypeVar("T")


class Login:
    """One authentication with what the user gave as ``auth=``.

    Attributes:
        blocking: whether what it asks has to be asked in a worker thread.
        sends_secret: whether the answers tell a secret to whoever reads them on the way; known once `begin` was called.
    """

    def __init__(self, auth: Authenticator | AuthProvider | None, address: Address) -> None:
        self.blocking = _ask(lambda: bool(getattr(auth, "blocking", False)))
        self.sends_secret = False
        self._auth = auth
        self._address = address
        self._challenges = 0
        self._authenticator: Authenticator

    def begin(self, server_class: str) -> bytes:
        """Return the first token. Raises AuthenticationError, as all methods."""
        if self._auth is None:
            raise AuthenticationError(
                f"the node authenticates by {server_class}: set auth=triocql.PlainTextAuth(username, password)"
            )
        self._authenticator = _ask(lambda: _authenticator(self._auth, self._address))
        self.sends_secret = _ask(
            lambda: bool(getattr(self._authenticator, "sends_secret", takes_password(server_class)))
        )
        return _token(_ask(lambda: self._authenticator.initial_response(server_class)), "initial_response")

    def challenge(self, token: bytes | None) -> bytes:
        """Return the answer to a challenge."""
        self._challenges += 1
        if self._challenges > MAX_CHALLENGES:
            raise AuthenticationError(
                f"the node has not finished after {MAX_CHALLENGES} rounds of authentication"
            )
        return _token(_ask(lambda: self._authenticator.challenge(token)), "challenge")

    def success(self, token: bytes | None) -> None:
        """Tell the authenticator that it is done."""
        _ask(lambda: self._authenticator.success(token))


def _authenticator(auth: object, address: Address) -> Authenticator:
    make = getattr(auth, "authenticator", None)
    return auth if make is None else make(address)  # type: ignore[return-value]


def _ask(question: Callable[[], T]) -> T:
    """Ask the authenticator; what it raises may hold secrets, the message only names it."""
    try:
        return question()
    except Error:
        raise
    except BaseException as error:  # no cancellation: nothing waits here
        raise AuthenticationError(f"the authenticator raised {type(error).__name__}") from error


def _token(answer: object, method: str) -> bytes:
    """Return the answer as it goes on the wire. None of it is shown if it is of a wrong type, nor kept in a frame."""
    if isinstance(answer, (bytes, bytearray, memoryview)):
        return bytes(answer)
    if isinstance(answer, Coroutine):
        answer.close()
    kind, answer = type(answer).__name__, None
    raise AuthenticationError(
        f"{method}() of the authenticator returned {kind}; it has to return bytes, b'' for none, and not to be `async`"
    )
