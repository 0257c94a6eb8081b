"""How a connection is set up: OPTIONS, STARTUP and authentication, as a state machine without I/O."""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from triocql.errors import AuthenticationError, ConnectError, ProtocolError, ResponseError
from triocql.protocol import requests
from triocql.protocol.constants import CQL_VERSION, VERSIONS, ErrorCode, Opcode
from triocql.protocol.features import Features, read_features
from triocql.protocol.responses import (
    AuthChallenge,
    Authenticate,
    AuthSuccess,
    Ready,
    Supported,
    read_answer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from triocql.protocol.login import Login

_OF_LOGIN = (Opcode.AUTHENTICATE, Opcode.AUTH_CHALLENGE, Opcode.AUTH_SUCCESS)


class Request(NamedTuple):
    """A message to the server. Its body may hold a password: tools that report errors show variables by their repr."""

    opcode: int
    body: bytes

    def __repr__(self) -> str:
        return f"<{Opcode(self.opcode).name} of {len(self.body):,} bytes>"


Step = tuple["State", Request | None]


class VersionRefused(Exception):
    """The server does not speak our version. Internal: whoever connects goes on with `next_version`.

    Attributes:
        version: that was refused.
        offered: what the server said that it speaks, empty if it did not say.
    """

    def __init__(self, version: int, message: str) -> None:
        super().__init__(f"the node refuses protocol v{version}: {message}")
        self.version = version
        self.offered = _offered_versions(message)

    @property
    def next_version(self) -> int | None:
        """The newest version below the refused one that both sides speak, None if there is none."""
        lower = (known for known in VERSIONS if known < self.version)
        return next((known for known in lower if not self.offered or known in self.offered), None)


class State(Enum):
    """Where a handshake is."""

    NEW = auto()
    OPTIONS_SENT = auto()
    STARTUP_SENT = auto()
    AUTHENTICATING = auto()
    ESTABLISHED = auto()
    FAILED = auto()


class Handshake:
    """Sets one connection up: pass each message of the server, send what it answers, until it answers None.

    Args:
        told: options of STARTUP for those who watch over the server, none of which is one of the driver's own.

    Attributes:
        state: where it is.
        features: what the server offers; empty until it has answered OPTIONS.

    >>> from triocql.abc import Address
    >>> from triocql.protocol.login import Login
    >>> handshake = Handshake(5, Login(None, Address("127.0.0.1", 9042)))
    >>> handshake.begin()
    <OPTIONS of 0 bytes>
    """

    def __init__(
        self,
        version: int,
        login: Login,
        *,
        compression: str | None = None,
        tablets_v2: bool = False,
        told: Mapping[str, str] = {},
    ) -> None:
        self.state = State.NEW
        self.features = Features()
        self._version = version
        self._compression = compression
        self._tablets_v2 = tablets_v2
        self._told = told
        self._login = login

    def begin(self) -> Request:
        """Return the first request."""
        self.state = State.OPTIONS_SENT
        return Request(Opcode.OPTIONS, requests.options())

    def blocks(self, opcode: int) -> bool:
        """Return whether receiving such a message takes a worker thread."""
        return self._login.blocking and opcode in _OF_LOGIN

    def receive(self, opcode: int, flags: int, body: bytes) -> Request | None:
        """Receive a message and return the request that answers it; None: the connection is established.

        Raises VersionRefused, ConnectError (AuthenticationError among them) or ProtocolError.
        """
        state, self.state = self.state, State.FAILED
        message = read_answer(opcode, flags, body, self._version)
        if isinstance(message, ResponseError):
            raise self._refusal(message)
        step = _STEPS.get((state, type(message)))
        if step is None:
            raise ProtocolError(
                f"the node sent {type(message).__name__} in state {state.name} of the handshake"
            )
        self.state, answer = step(self, message)
        return answer

    def _refusal(self, error: ResponseError) -> Exception:
        """Return what is raised for an ERROR of the server."""
        if error.code == ErrorCode.PROTOCOL_ERROR and "version" in error.message.lower():
            return VersionRefused(self._version, error.message)
        kind = AuthenticationError if error.code == ErrorCode.BAD_CREDENTIALS else ConnectError
        refusal = kind(f"the node refuses the connection: {error.message}")
        refusal.__cause__ = error
        refusal.is_transient = error.is_transient
        return refusal

    def _on_supported(self, message: Supported) -> Step:
        self.features = read_features(message.options, self._version, tablets_v2=self._tablets_v2)
        return State.STARTUP_SENT, Request(Opcode.STARTUP, requests.startup(self._startup_options()))

    def _startup_options(self) -> dict[str, str]:
        options = {"CQL_VERSION": CQL_VERSION, "DRIVER_NAME": "triocql", "DRIVER_VERSION": _driver_version()}
        if self._compression is not None:
            if self._compression not in self.features.compressions:
                offered = ", ".join(self.features.compressions) or "none"
                refusal = ConnectError(
                    f"the node has no compression {self._compression!r}; it offers: {offered}"
                )
                refusal.is_transient = False
                raise refusal
            options["COMPRESSION"] = self._compression
        return {**self._told, **self.features.startup_options(), **options}

    def _on_ready(self, message: Ready) -> Step:
        return State.ESTABLISHED, None

    def _on_authenticate(self, message: Authenticate) -> Step:
        return _respond(self._login.begin(message.server_class))

    def _on_challenge(self, message: AuthChallenge) -> Step:
        return _respond(self._login.challenge(message.token))

    def _on_success(self, message: AuthSuccess) -> Step:
        self._login.success(message.token)
        return State.ESTABLISHED, None


_STEPS: dict[tuple[State, type], Callable[[Handshake, Any], Step]] = {
    (State.OPTIONS_SENT, Supported): Handshake._on_supported,
    (State.STARTUP_SENT, Ready): Handshake._on_ready,
    (State.STARTUP_SENT, Authenticate): Handshake._on_authenticate,
    (State.AUTHENTICATING, AuthChallenge): Handshake._on_challenge,
    (State.AUTHENTICATING, AuthSuccess): Handshake._on_success,
}


def _respond(token: bytes) -> Step:
    return State.AUTHENTICATING, Request(Opcode.AUTH_RESPONSE, requests.auth_response(token))


@cache
def _driver_version() -> str:
    """Return the version to be told to nodes: read from a file once, not for each connection."""
    # Not at the top: it takes a tenth of the time of `import triocql`.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("triocql")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


def _offered_versions(message: str) -> tuple[int, ...]:
    """Find the versions in a server's refusal, those in beta left out.

    Cassandra 4 and 5 list them as "(3/v3, 4/v4, 5/v5-beta)", Cassandra 3 gives the lowest and the greatest: what lies
    between is compared, never counted up to.
    """
    listed = re.findall(r"\b(\d{1,9})/v\d+(-beta)?", message)
    if listed:
        return tuple(int(number) for number, beta in listed if not beta)
    bounds = re.search(r"lowest supported version is (\d{1,9}) and the greatest is (\d{1,9})\b", message)
    if bounds is None:
        return ()
    lowest, greatest = int(bounds[1]), int(bounds[2])
    return tuple(known for known in sorted(VERSIONS) if lowest <= known <= greatest) or (lowest,)
