"""Authenticators whose steps take a thread, their time, or another password than before."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

import triocql
from tests.faults.invariants import closed, run
from tests.faults.scene import EVERYWHERE, ON_SOCKETS, Scene
from tests.faults.test_connections import nothing
from triocql import errors
from triocql.abc import Address
from triocql.cluster.workers import Workers
from triocql.reactors.asyncioreactor import AsyncioReactor
from triocql.testing.server import Challenge, Opcode, Passwords, Refused, Success

NONCE = b"nonce-of-the-node"

HANGS = 20.0
"""Seconds that a step hangs, unless it is let go of before that."""


@dataclass
class Signer:
    """Signs the nonce; notes in which thread."""

    key: bytes
    blocking: bool = True
    sends_secret: bool = False
    threads: list[int] = field(default_factory=list)
    hang: threading.Event | None = None

    def initial_response(self, server_class: str) -> bytes:
        self.threads.append(threading.get_ident())
        if self.hang is not None:
            self.hang.wait(HANGS)
        return b"ann"

    def challenge(self, token: bytes | None) -> bytes:
        self.threads.append(threading.get_ident())
        return hmac.digest(self.key, token or b"", hashlib.sha256)

    def success(self, token: bytes | None) -> None:
        self.threads.append(threading.get_ident())


@dataclass
class Checks:
    """The node's side."""

    key: bytes
    class_name: str = "org.example.SignatureAuthenticator"

    def converse(self) -> Callable[[bytes | None], Challenge | Success]:
        tokens: list[bytes | None] = []

        def answer(token: bytes | None) -> Challenge | Success:
            tokens.append(token)
            if len(tokens) == 1:
                return Challenge(NONCE)
            if token != hmac.digest(self.key, NONCE, hashlib.sha256):
                raise Refused("the signature is wrong")
            return Success()

        return answer


@EVERYWHERE
@pytest.mark.parametrize("blocking", [True, False])
def test_s21_steps_in_a_thread_or_on_the_loop(loop: str, blocking: bool) -> None:
    auth = Signer(b"key", blocking)
    here: list[int] = []

    async def row(scene: Scene) -> None:
        here.append(threading.get_ident())
        assert len(auth.threads) == 3 * 2  # of the pool's connection, and of the control connection
        assert (here[0] in auth.threads) is (not blocking or loop == "simulated")

    run(loop, row, server={"authenticator": Checks(b"key")}, auth=auth)


@EVERYWHERE
def test_s21_a_key_that_changes_is_used_for_the_next_connection(loop: str) -> None:
    auth, checks = Signer(b"old"), Checks(b"new")

    async def before(scene: Scene) -> None:
        with pytest.raises(errors.AuthenticationError, match="the signature is wrong"):
            await scene.connecting().__aenter__()
        auth.key = b"new"

    run(loop, nothing, before=before, server={"authenticator": checks}, auth=auth)


@contextmanager
def hanging(auth: Signer) -> Iterator[None]:
    """Have the steps hang within the block."""
    auth.hang = threading.Event()
    try:
        yield
    finally:
        auth.hang.set()
        auth.hang = None


@ON_SOCKETS
def test_s21_a_step_that_hangs_ends_with_the_connect_timeout(loop: str) -> None:
    auth = Signer(b"key")

    async def before(scene: Scene) -> None:
        with hanging(auth):
            began = scene.now()
            with pytest.raises(
                errors.ConnectTimeout, match="the authenticator: not done within the connect timeout of 1"
            ):
                await scene.connecting(connect_timeout=1.0).__aenter__()
            assert 1.0 <= scene.now() - began < HANGS

    run(loop, nothing, before=before, server={"authenticator": Checks(b"key")}, auth=auth)


@ON_SOCKETS
def test_s21_a_step_that_hangs_holds_up_no_close(loop: str) -> None:
    auth = Signer(b"key")

    async def row(scene: Scene) -> None:
        with hanging(auth):
            count = len(auth.threads)
            for connection in scene.connections:
                connection.abort(ConnectionResetError("gone"))
            await scene.until(lambda: len(auth.threads) > count)
            began = scene.now()
            await scene.session.aclose()
            assert scene.now() - began < HANGS

    run(loop, row, check=closed, server={"authenticator": Checks(b"key")}, auth=auth)


@ON_SOCKETS
def test_s21_steps_that_hang_do_not_add_up_without_bound(loop: str) -> None:
    async def row(scene: Scene) -> None:
        reactor = scene.session._context.reactor
        workers = Workers(reactor)
        release = threading.Event()
        try:
            for number in range(1, 17):
                with pytest.raises(TimeoutError):
                    await workers.run(lambda: release.wait(60), reactor.now() + 0.02)
                await scene.until(lambda wanted=number: len(workers._running) == wanted)  # type: ignore[misc]
            with pytest.raises(errors.ConnectError, match="16 steps of the authenticator have begun and"):
                await workers.run(lambda: 1, reactor.now() + 20)
        finally:
            release.set()
        await scene.until(lambda: not workers._running)
        assert await workers.run(lambda: 1, reactor.now() + 20) == 1

    run(loop, row)


def test_s21_a_step_is_done_once_though_a_program_cancels_all_tasks() -> None:
    done: list[int] = []

    async def main() -> None:
        async with AsyncioReactor() as reactor:
            begun, release = threading.Event(), threading.Event()

            def step() -> None:
                done.append(1)
                begun.set()
                release.wait(20)

            workers = Workers(reactor)
            waiting = asyncio.create_task(workers.run(step, reactor.now() + 20))
            await reactor.run_blocking(begun.wait, 20)
            for task in asyncio.all_tasks() - {waiting, asyncio.current_task()}:
                task.cancel()
            with pytest.raises(errors.ConnectError, match="a program cancelled"):
                await waiting
            release.set()

    asyncio.run(main())
    assert done == [1]


class Odd(Signer):
    """Answers with something else, or raises."""

    def __init__(self, answer: Any) -> None:
        super().__init__(b"key")
        self.answer = answer

    def initial_response(self, server_class: str) -> bytes:
        answer = self.answer
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer  # type: ignore[no-any-return]


async def later() -> bytes:
    return b"canary"


@EVERYWHERE
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ValueError("canary"), "the authenticator raised ValueError$"),
        (StopIteration("canary"), "the authenticator raised StopIteration$"),
        (errors.AuthenticationError("no ticket"), "no ticket$"),
        (None, "initial_response.. of the authenticator returned NoneType"),
        ("canary", "returned str; it has to return bytes"),
        (later, "returned coroutine; .*not to be `async`"),
    ],
)
def test_s21_what_a_step_does_wrong_is_explained(loop: str, answer: Any, told: str) -> None:
    auth = Odd(answer)

    async def before(scene: Scene) -> None:
        with pytest.raises(errors.AuthenticationError, match=told) as info:
            await scene.connecting().__aenter__()
        assert "canary" not in str(info.value)
        auth.answer = b"ann"

    run(loop, nothing, before=before, server={"authenticator": Checks(b"key")}, auth=auth)


@EVERYWHERE
def test_s21_one_authenticator_for_each_connection(loop: str) -> None:
    made: list[tuple[Address, Signer]] = []

    class Provider:
        blocking = True

        def authenticator(self, address: Address) -> Signer:
            made.append((address, Signer(b"key", blocking=False)))
            return made[-1][1]

    async def row(scene: Scene) -> None:
        assert len(scene.connections) == 2
        assert len(made) == 3  # one more is the control connection's
        assert {str(address) for address, _ in made} == {str(each.node) for each in scene.connections}
        assert [len(signer.threads) for _, signer in made] == [3, 3, 3]

    run(loop, row, nodes=2, server={"authenticator": Checks(b"key")}, auth=Provider())


# --- Rotation ----------------------------------------------------------------------------------------------------


def test_s21_a_password_that_changes_without_a_restart(caplog: pytest.LogCaptureFixture) -> None:
    """Wrong for a while: no hot retry. Once the function gives the new one, the session recovers by itself."""
    passwords = ["canary-old"]

    async def row(scene: Scene) -> None:
        node = scene.server.nodes[0]
        scene.server.authenticator = Passwords({"ann": "canary-new"})
        assert (await scene.read(1).wait()).value == 1  # who is in stays in
        node.stop()
        node.start()
        await scene.sleep(30)
        refused = [entry.time for entry in scene.server.log.requests(Opcode.AUTH_RESPONSE)]
        # Two dial: the pool, and the control connection.
        assert 6 <= len(refused) <= 14
        assert all(later - earlier >= 0.99 for earlier, later in zip(refused, refused[2:], strict=False))
        error = await scene.failed(scene.write(2), errors.NoNodeAvailable)
        assert "incorrect" in str(error)
        assert "canary" not in str(error)
        passwords[0] = "canary-new"
        await scene.sleep(61)
        assert (await scene.read(3).wait()).value == 3

    with caplog.at_level(logging.DEBUG):
        run(
            "simulated",
            row,
            server={"users": {"ann": "canary-old"}},
            auth=triocql.PlainTextAuth("ann", lambda: passwords[0]),
        )
    assert "canary" not in caplog.text


@EVERYWHERE
def test_s21_a_password_is_asked_for_with_each_connection(loop: str) -> None:
    asked: list[int] = []
    users = {"ann": ""}

    def password() -> str:
        asked.append(threading.get_ident())
        users["ann"] = f"password-{len(asked)}"
        return users["ann"]

    async def row(scene: Scene) -> None:
        assert len(asked) == 2  # for the control connection, too
        assert (threading.get_ident() in asked) is (loop == "simulated")
        scene.only().abort(ConnectionResetError("gone"))
        await scene.whole()
        assert (await scene.read(1).wait()).value == 1
        assert len(asked) == 3

    run(loop, row, server={"authenticator": Passwords(users)}, auth=triocql.PlainTextAuth("ann", password))


@pytest.mark.parametrize(
    ("password", "told"),
    [
        (lambda: None, "gave no password: .* of type NoneType"),
        (lambda: b"canary", "of type bytes"),
        (lambda: "canary\0", "has a NUL"),
        (lambda: "canary\ud800", "has a lone surrogate"),
        (lambda: os.environ["CANARY_PASSWORD"], "the authenticator raised KeyError"),
    ],
)
def test_s21_a_function_that_gives_no_password(password: Any, told: str) -> None:
    async def before(scene: Scene) -> None:
        auth = triocql.PlainTextAuth("ann", password)
        with pytest.raises(errors.AuthenticationError, match=told) as info:
            await scene.connecting(auth=auth).__aenter__()
        assert "canary" not in f"{info.value} {info.value!r}"

    right = triocql.PlainTextAuth("ann", "right")
    run("simulated", nothing, before=before, server={"users": {"ann": "right"}}, auth=right)
