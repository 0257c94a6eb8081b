"""Authentication by a user name and a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.config.checks import require_type
from triocql.errors import AuthenticationError, OptionError
from triocql.protocol.authenticator import takes_password

if TYPE_CHECKING:
    from collections.abc import Callable


class PlainTextAuth:
    """A user name and a password, sent as they are (SASL PLAIN): use TLS on any network that is not yours.

    Args:
        username: the role to log in as.
        password: its password, or a function that returns it: it is called for each connection, in a worker thread, so
            that it may read a file or ask a vault, and the password may change while the session goes on. It is in no
            repr, log or message.
        server_classes: names of further authenticators that take a password, besides the usual ones.

    Raises OptionError for what is no text, or has a NUL in it, as when an environment variable is not set.

    It is never changed. A pickled one has the password in it, or the function.

    >>> PlainTextAuth("app", "secret")
    PlainTextAuth(username='app')
    """

    # No dataclass: `dataclasses.asdict` of the options would lay the password open.
    __slots__ = ("_password", "_server_classes", "_username")

    sends_secret = True

    def __init__(
        self, username: str, password: str | Callable[[], str], *, server_classes: tuple[str, ...] = ()
    ) -> None:
        if problem := _problem("username", username) or (
            not callable(password) and _problem("password", password)
        ):
            raise OptionError(problem)
        require_type(server_classes, tuple, "server_classes", "a tuple of str")
        self._username = username
        self._password = password
        self._server_classes = server_classes

    @property
    def username(self) -> str:
        """The role to log in as."""
        return self._username

    @property
    def blocking(self) -> bool:
        """Whether it has to be asked in a worker thread: so it is if the password is a function's."""
        return callable(self._password)

    def __repr__(self) -> str:
        return f"PlainTextAuth(username={self._username!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlainTextAuth) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash(self._all())

    def initial_response(self, server_class: str) -> bytes:
        """Return the credentials; raises AuthenticationError where a password is not what is asked for."""
        if not takes_password(server_class) and server_class not in self._server_classes:
            raise AuthenticationError(
                f"the node authenticates by {server_class}, which is not known to take a password; "
                f"if it does, set auth=triocql.PlainTextAuth(..., server_classes=({server_class!r},))"
            )
        return b"\0".join((b"", self._username.encode(), self._current().encode()))

    def challenge(self, token: bytes | None) -> bytes:
        """Refuse: there is no second step in PLAIN."""
        raise AuthenticationError(
            "the node asks for more than a user name and a password: set auth= to an Authenticator that can answer it"
        )

    def success(self, token: bytes | None) -> None:
        """Do nothing: the last token says nothing in PLAIN."""

    def _current(self) -> str:
        """Return the password as it is now."""
        if isinstance(self._password, str):
            return self._password
        password = self._password()
        problem = _problem("password", password)
        if problem is None:
            return password
        del password  # it would be in a frame of the traceback
        raise AuthenticationError(f"its function gave no password: {problem}")

    def _all(self) -> tuple[object, ...]:
        return self._username, self._password, self._server_classes


def _problem(name: str, value: object) -> str | None:
    """Return why `value` cannot be sent, without a word of it; None if it can."""
    try:
        require_type(value, str, f"the {name} of PlainTextAuth", "a str")
    except OptionError as error:
        return str(error)
    assert isinstance(value, str)
    if "\0" in value:
        return f"the {name} of PlainTextAuth has a NUL in it; the protocol cannot send one"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"the {name} of PlainTextAuth has a lone surrogate in it; the protocol cannot send one"
    return None
