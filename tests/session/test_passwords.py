"""A password that crosses a network without TLS is warned of, once, where a node really asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.peer import Asked
from tests.engine.world import World
from triocql import PlainTextAuth
from triocql.abc import Address
from triocql.protocol.constants import Opcode
from triocql.protocol.requests import encode_string

SERVER_CLASS = encode_string("org.apache.cassandra.auth.PasswordAuthenticator")


def asks(asked: Asked) -> bool:
    if asked.opcode == Opcode.STARTUP:
        return asked.answer(Opcode.AUTHENTICATE, SERVER_CLASS)
    return asked.opcode == Opcode.AUTH_RESPONSE and asked.answer(Opcode.AUTH_SUCCESS, b"\xff\xff\xff\xff")


def world_of(point: Address, script: Any, **options: Any) -> World:
    world = World(connections_local=2, **options)
    world.addresses = [point]
    world.listeners = [world.reactor.listen(point, world.node.accept)]
    world.node.script = script
    return world


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_password_in_the_open_is_warned_of_once_a_session(caplog: pytest.LogCaptureFixture) -> None:
    world = world_of(Address("10.0.0.7", 9042), asks, auth=PlainTextAuth("app", "canary-secret"))
    with world.session():
        pass
    (warning,) = warnings(caplog)
    assert warning.startswith("the credentials are sent to 10.0.0.7:9042 without TLS")
    assert "ssl_context" in warning
    assert "canary-secret" not in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "::1", "/run/cql.sock"])
def test_not_on_the_own_machine(host: str, caplog: pytest.LogCaptureFixture) -> None:
    world = world_of(Address(host, 9042), asks, auth=PlainTextAuth("app", "secret"))
    with world.session():
        pass
    assert warnings(caplog) == []


def test_not_if_the_node_does_not_ask(caplog: pytest.LogCaptureFixture) -> None:
    world = world_of(Address("10.0.0.7", 9042), None, auth=PlainTextAuth("app", "secret"))
    with world.session():
        pass
    assert warnings(caplog) == []


class Token:
    """An authenticator of the user's."""

    def initial_response(self, server_class: str) -> bytes:
        return b"token"

    def challenge(self, token: bytes | None) -> bytes:
        raise NotImplementedError

    def success(self, token: bytes | None) -> None:
        pass


class Signature(Token):
    sends_secret = False


class Secret(Token):
    sends_secret = True


class Maker:
    def authenticator(self, address: Address) -> Secret:
        return Secret()


@pytest.mark.parametrize(
    ("auth", "server_class", "warned"),
    [
        (Token(), "org.apache.cassandra.auth.PasswordAuthenticator", True),  # which takes nothing else
        (Token(), "org.example.SignatureAuthenticator", False),
        (Signature(), "org.apache.cassandra.auth.PasswordAuthenticator", False),
        (Secret(), "org.example.TicketAuthenticator", True),
        (Maker(), "org.example.TicketAuthenticator", True),
    ],
)
def test_other_authenticators_say_whether_they_send_a_secret(
    auth: Any, server_class: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def script(asked: Asked) -> bool:
        if asked.opcode == Opcode.STARTUP:
            return asked.answer(Opcode.AUTHENTICATE, encode_string(server_class))
        return asks(asked)

    with world_of(Address("10.0.0.7", 9042), script, auth=auth).session():
        pass
    assert len(warnings(caplog)) == warned
