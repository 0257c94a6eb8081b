from __future__ import annotations

from typing import Any

import pytest

from tests.protocol.implementation import golden
from triocql.abc import Address
from triocql.config.auth import PlainTextAuth
from triocql.errors import AuthenticationError, BadCredentials, ConnectError, Overloaded, ProtocolError
from triocql.protocol.constants import Opcode
from triocql.protocol.framing import Framing
from triocql.protocol.handshake import Handshake, Request, State, VersionRefused
from triocql.protocol.login import MAX_CHALLENGES, Login
from triocql.protocol.requests import encode_string

CANARY = "hunter2"
AUTH = PlainTextAuth("app", CANARY)
versions = pytest.mark.parametrize("version", [3, 4, 5])


def login(auth: Any = None) -> Login:
    return Login(auth, Address("10.0.0.1", 9042))


class Shaker:
    """Feeds a handshake with frames."""

    def __init__(self, handshake: Handshake) -> None:
        self.handshake = handshake
        handshake.begin()

    def take(self, frame: bytes) -> Request | None:
        return self.handshake.receive(frame[4], frame[1], frame[9:])


def frame(opcode: Opcode, body: bytes = b"") -> bytes:
    return bytes((0x85, 0, 0, 0, opcode)) + len(body).to_bytes(4, "big") + body


def error(code: int, message: str) -> bytes:
    return frame(Opcode.ERROR, code.to_bytes(4, "big") + encode_string(message))


def supported(version: int = 5) -> bytes:
    return golden(f"captured/v{version}/supported")


@versions
def test_with_a_password(version: int) -> None:
    handshake = Handshake(version, login(AUTH), compression="lz4")
    assert handshake.begin() == (Opcode.OPTIONS, b"")
    shaker = Shaker(handshake)
    opcode, body = shaker.take(supported(version)) or (None, b"")
    assert opcode == Opcode.STARTUP
    for text in ("CQL_VERSION", "3.0.0", "DRIVER_NAME", "triocql", "DRIVER_VERSION", "COMPRESSION", "lz4"):
        assert encode_string(text) in body
    answer = shaker.take(golden(f"captured/v{version}/authenticate"))
    assert answer == (Opcode.AUTH_RESPONSE, b"\0\0\0\x0c\0app\0" + CANARY.encode())
    assert shaker.take(golden(f"encoded/v{version}/auth-success")) is None
    assert handshake.state is State.ESTABLISHED
    assert handshake.features.supported["COMPRESSION"] == ("snappy", "lz4")
    assert handshake.features.compressions == ("snappy", "lz4")


def test_without_authentication() -> None:
    shaker = Shaker(Handshake(5, login()))
    opcode, body = shaker.take(supported()) or (None, b"")
    assert opcode == Opcode.STARTUP
    assert b"COMPRESSION" not in body
    assert shaker.take(golden("captured/v5/ready")) is None


def test_the_whole_of_a_real_connection() -> None:
    wire = Framing(5)
    shaker = Handshake(5, login(AUTH), compression="lz4")
    shaker.begin()
    wire.use_compression("lz4")
    frames = wire.receive(golden("streams/v5-lz4"))
    answers = [shaker.receive(opcode, flags, body) for _, flags, opcode, body in frames[:3]]
    assert [answer and answer[0] for answer in answers] == [Opcode.STARTUP, Opcode.AUTH_RESPONSE, None]


def test_no_authenticator() -> None:
    shaker = Shaker(Handshake(5, login()))
    shaker.take(supported())
    with pytest.raises(AuthenticationError, match=r"PasswordAuthenticator: set auth=triocql\.PlainTextAuth"):
        shaker.take(golden("captured/v5/authenticate"))


def test_refused_credentials() -> None:
    shaker = Shaker(Handshake(5, login(AUTH)))
    shaker.take(supported())
    shaker.take(golden("captured/v5/authenticate"))
    with pytest.raises(AuthenticationError, match="Provided username cassandra") as caught:
        shaker.take(golden("captured/v5/error-bad-credentials"))
    assert isinstance(caught.value.__cause__, BadCredentials)


def test_a_compression_that_the_node_does_not_have() -> None:
    shaker = Shaker(Handshake(5, login(), compression="zstd"))
    with pytest.raises(ConnectError, match="no compression 'zstd'; it offers: snappy, lz4"):
        shaker.take(supported())


def test_any_other_error() -> None:
    with pytest.raises(ConnectError, match="too much") as caught:
        Shaker(Handshake(5, login())).take(golden("encoded/v5/error-overloaded"))
    assert isinstance(caught.value.__cause__, Overloaded)


@pytest.mark.parametrize(
    ("version", "message", "offered", "following"),
    [
        (5, "Invalid or unsupported protocol version (5); supported versions are (3/v3, 4/v4)", (3, 4), 4),
        (5, "supported versions are (3/v3): no such version", (3,), 3),
        (
            5,
            "Invalid or unsupported protocol version (5); the lowest supported version is 3 and the greatest is 4",
            (3, 4),
            4,
        ),
        (5, "Beta version of the protocol used (5/v5-beta), but USE_BETA flag is unset", (), 4),
        (5, "Invalid or unsupported protocol version: 5", (), 4),
        (4, "Invalid or unsupported protocol version: 4", (), 3),
        (3, "Invalid or unsupported protocol version (3); supported versions are (4/v4, 5/v5)", (4, 5), None),
        (5, "version: the lowest supported version is 4 and the greatest is 100000000", (4, 5), 4),
        (5, "version: the lowest supported version is 6 and the greatest is 100000000", (6,), None),
        (5, f"version: the lowest supported version is 4 and the greatest is {'9' * 9000}", (), 4),
        (5, f"version: supported versions are ({'9' * 9000}/v3, 4/v4)", (4,), 4),
    ],
)
def test_a_refused_version(
    version: int, message: str, offered: tuple[int, ...], following: int | None
) -> None:
    with pytest.raises(VersionRefused) as caught:
        Shaker(Handshake(version, login())).take(error(0x0A, message))
    assert caught.value.offered == offered
    assert caught.value.next_version == following


def test_how_a_real_node_refuses_versions() -> None:
    for name, offered in (("beta", ()), ("unknown", (3, 4, 5))):
        with pytest.raises(VersionRefused) as caught:
            Shaker(Handshake(5, login())).take(golden(f"captured/v5/error-version-{name}"))
        assert caught.value.offered == offered


def test_unexpected_messages() -> None:
    with pytest.raises(ProtocolError, match="Ready in state OPTIONS_SENT"):
        Shaker(Handshake(5, login())).take(frame(Opcode.READY))
    shaker = Shaker(Handshake(5, login(AUTH)))
    shaker.take(supported())
    with pytest.raises(ProtocolError, match="AuthSuccess in state STARTUP_SENT"):
        shaker.take(golden("encoded/v5/auth-success"))
    with pytest.raises(ProtocolError, match="Ready in state FAILED"):
        shaker.take(frame(Opcode.READY))


class Echo:
    """An authenticator that answers every challenge by itself."""

    def __init__(self) -> None:
        self.last: bytes | None = b"none"

    def initial_response(self, server_class: str) -> bytes:
        return b"hello"

    def challenge(self, token: bytes | None) -> bytes:
        return token or b""

    def success(self, token: bytes | None) -> None:
        self.last = token


def challenged(authenticator: Echo) -> Shaker:
    shaker = Shaker(Handshake(5, login(authenticator)))
    shaker.take(supported())
    shaker.take(golden("captured/v5/authenticate"))
    return shaker


def test_challenges_are_answered_up_to_a_limit() -> None:
    shaker = challenged(Echo())
    for _ in range(MAX_CHALLENGES):
        assert shaker.take(golden("encoded/v5/auth-challenge")) == (Opcode.AUTH_RESPONSE, b"\0\0\0\x04next")
    with pytest.raises(AuthenticationError, match="after 16 rounds"):
        shaker.take(golden("encoded/v5/auth-challenge"))


def test_a_challenge_after_success_is_a_protocol_error() -> None:
    echo = Echo()
    shaker = challenged(echo)
    assert shaker.take(golden("encoded/v5/auth-success")) is None
    assert echo.last == b"done"
    with pytest.raises(ProtocolError, match="AuthChallenge in state ESTABLISHED"):
        shaker.take(golden("encoded/v5/auth-challenge"))


class Broken(Echo):
    def challenge(self, token: bytes | None) -> bytes:
        raise ValueError(CANARY)


def test_an_authenticator_that_raises() -> None:
    with pytest.raises(AuthenticationError, match="the authenticator raised ValueError") as caught:
        challenged(Broken()).take(golden("encoded/v5/auth-challenge"))
    assert CANARY not in str(caught.value)


def test_a_password_goes_to_nobody_who_does_not_want_one() -> None:
    assert (
        PlainTextAuth("u", "p").initial_response("org.apache.cassandra.auth.PasswordAuthenticator")
        == b"\0u\0p"
    )
    name = "com.example.CertificateAuthenticator"
    with pytest.raises(AuthenticationError, match=f"by {name}.*server_classes") as caught:
        AUTH.initial_response(name)
    assert CANARY not in str(caught.value)
    assert PlainTextAuth("u", "p", server_classes=(name,)).initial_response(name) == b"\0u\0p"
    with pytest.raises(AuthenticationError, match="asks for more"):
        AUTH.challenge(b"x")


def test_the_password_shows_nowhere() -> None:
    handshake = Handshake(5, login(AUTH))
    assert CANARY not in repr(AUTH) + str(AUTH) + repr(handshake) + repr(vars(handshake))
