"""Nodes that ask who we are, without end, or refuse what they are told."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest

import triocql
from tests.faults.invariants import run
from tests.faults.scene import EVERYWHERE, SELECT, Scene
from tests.faults.test_connections import nothing
from triocql import errors
from triocql.testing.server import Challenge, Opcode, Passwords, Script, Success, frame

PASSWORD = "canary-4711"


@dataclass
class Patient:
    """Answers whatever it is asked."""

    rounds: int = 0

    def initial_response(self, server_class: str) -> bytes:
        return b"hello"

    def challenge(self, token: bytes | None) -> bytes:
        self.rounds += 1
        return b"answer %d" % self.rounds

    def success(self, token: bytes | None) -> None:
        """Be content."""


@EVERYWHERE
def test_s20_challenges_without_end(loop: str) -> None:
    auth = Patient()

    async def before(scene: Scene) -> None:
        scene.server.authenticator = Script([Challenge(b"and?")])
        with pytest.raises(errors.AuthenticationError, match="has not finished after 16 rounds"):
            await scene.connecting().__aenter__()
        assert auth.rounds == 16
        scene.server.authenticator = Script([Challenge(b"and?"), Success()])

    run(loop, nothing, before=before, auth=auth)


@EVERYWHERE
def test_s20_challenge_after_success(loop: str) -> None:
    async def row(scene: Scene) -> None:
        (link,) = scene.links
        old = scene.only()
        scene.server.when(SELECT, times=1).then(frame(Opcode.AUTH_CHALLENGE, b"\0\0\0\1?"))
        call = await scene.read(1, idempotent=False).wait()
        assert isinstance(call.error, errors.ProtocolError)
        assert isinstance(old.error, errors.ProtocolError)
        await scene.until(lambda: link.lost)

    run(loop, row, server={"authenticator": Script([Success()])}, auth=Patient())


@EVERYWHERE
def test_s20_challenge_instead_of_authenticate(loop: str) -> None:
    async def before(scene: Scene) -> None:
        scene.server.when(opcode=Opcode.STARTUP, times=1).then(frame(Opcode.AUTH_CHALLENGE, b"\0\0\0\1?"))
        with pytest.raises(errors.ConnectError, match="STARTUP: the node sent AuthChallenge"):
            await scene.connecting().__aenter__()

    run(loop, nothing, before=before)


@EVERYWHERE
def test_s21_authenticator_that_nobody_knows(loop: str) -> None:
    async def before(scene: Scene) -> None:
        passwords = Passwords({"ann": PASSWORD}, class_name="org.example.Other")
        scene.server.authenticator = passwords
        with pytest.raises(
            errors.AuthenticationError, match=r"org\.example\.Other, which is not known"
        ) as info:
            await scene.connecting().__aenter__()
        assert PASSWORD not in repr(info.value)
        # Not a word was said.
        assert scene.server.log.requests(Opcode.AUTH_RESPONSE) == []
        scene.server.authenticator = Passwords({"ann": PASSWORD})

    run(loop, nothing, before=before, auth=triocql.PlainTextAuth("ann", PASSWORD))


def test_s21_refused_credentials(caplog: pytest.LogCaptureFixture) -> None:
    async def before(scene: Scene) -> None:
        with pytest.raises(
            errors.AuthenticationError, match="username and/or password are incorrect"
        ) as info:
            await scene.connecting().__aenter__()
        assert PASSWORD not in f"{info.value!r} {info.value} {info.value.__cause__!r}"
        scene.server.authenticator = Passwords({"ann": PASSWORD})

    with caplog.at_level(logging.DEBUG):
        run(
            "simulated",
            nothing,
            before=before,
            server={"users": {"ann": "another"}},
            auth=triocql.PlainTextAuth("ann", PASSWORD),
        )
    assert PASSWORD not in caplog.text


def test_s21_credentials_that_change_while_connected() -> None:
    """No tight loop of refused attempts; once they are right again, the session recovers by itself."""

    async def row(scene: Scene) -> None:
        node = scene.server.nodes[0]
        scene.server.authenticator = Passwords({"ann": "rotated"})
        scene.server.log.clear()
        node.stop()
        node.start()
        await scene.sleep(60)
        refused = [entry.time for entry in scene.server.log.requests(Opcode.AUTH_RESPONSE)]
        assert 6 <= len(refused) <= 16  # of the pool, and of the control connection
        assert all(later - earlier >= 0.99 for earlier, later in zip(refused, refused[2:], strict=False))
        error = await scene.failed(scene.write(1), errors.NoNodeAvailable)
        assert not error.maybe_executed
        assert isinstance(error.attempts[-1].error, errors.AuthenticationError)
        assert PASSWORD not in str(error)
        scene.server.authenticator = Passwords({"ann": PASSWORD})
        await scene.sleep(61)
        assert (await scene.read(2).wait()).value == 2

    run(
        "simulated",
        row,
        server={"users": {"ann": PASSWORD}},
        auth=triocql.PlainTextAuth("ann", PASSWORD),
    )
