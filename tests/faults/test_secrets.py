"""A password is in nothing that a program may print: whatever fails, and wherever it fails (a canary)."""

from __future__ import annotations

import dataclasses
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import triocql
from tests.faults.invariants import run
from tests.faults.scene import ON_SOCKETS, Scene
from tests.faults.test_connections import nothing
from triocql import errors
from triocql.testing.server import (
    Challenge,
    ErrorCode,
    Opcode,
    Passwords,
    Script,
    close,
    error,
    frame,
    no_response,
    raw,
    reset,
)

CANARY = "canary-4711"
RIGHT = Passwords({"ann": CANARY})


class Given:
    """A function that gives the password."""

    def __call__(self) -> str:
        return CANARY


class Raising:
    """An authenticator that raises in the midst of it; what it knows is its own to hide."""

    def initial_response(self, server_class: str) -> bytes:
        return b"\0ann\0" + CANARY.encode()

    def challenge(self, token: bytes | None) -> bytes:
        raise RuntimeError("broken")

    def success(self, token: bytes | None) -> None:
        raise RuntimeError("broken")


def texts_of(problem: BaseException) -> Iterator[str]:
    """Yield all that can be printed of an error: what tools that report errors show of it, too."""
    yield "".join(traceback.format_exception(problem))
    # Such tools show the variables of each frame, by their repr.
    yield "".join(traceback.TracebackException.from_exception(problem, capture_locals=True).format())
    step: BaseException | None = problem
    while step is not None:
        yield f"{step} {step!r} {step.args} {vars(step)}"
        step = step.__cause__ or step.__context__


def after(opcode: Opcode, *steps: Any) -> Callable[[Scene], None]:
    """Answer requests of a kind with something else."""

    def prepare(scene: Scene) -> None:
        scene.server.when(opcode=opcode).then(*steps)

    return prepare


def asking(authenticator: Any) -> Callable[[Scene], None]:
    def prepare(scene: Scene) -> None:
        scene.server.authenticator = authenticator

    return prepare


AUTH = Opcode.AUTH_RESPONSE
FAILURES: dict[str, Callable[[Scene], None]] = {
    "wrong password": asking(Passwords({"ann": "another"})),
    "unknown authenticator": asking(Passwords({"ann": CANARY}, class_name="org.example.Other")),
    "asks for more": asking(Script([Challenge(b"and?")], class_name="PasswordAuthenticator")),
    "closed": after(AUTH, close()),
    "reset": after(AUTH, reset()),
    "no answer": after(AUTH, no_response()),
    "overloaded": after(AUTH, error(ErrorCode.OVERLOADED, "too much")),
    "an unknown error": after(AUTH, frame(Opcode.ERROR, b"\0\0\x77\x77\0\1x")),
    "READY": after(AUTH, frame(Opcode.READY, b"")),
    "RESULT": after(AUTH, frame(Opcode.RESULT, b"\0\0\0\1")),
    "a broken challenge": after(AUTH, frame(Opcode.AUTH_CHALLENGE, b"\0\0")),
    "garbage": after(AUTH, raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    "no such keyspace": after(Opcode.QUERY, error(ErrorCode.INVALID, "no such keyspace")),
}


@pytest.mark.parametrize(
    ("loop", "password"),
    [
        ("simulated", CANARY),
        ("simulated", Given()),
        ("trio", Given()),
        ("asyncio", CANARY),
        ("thread", Given()),
    ],
)
@pytest.mark.parametrize("failure", FAILURES)
def test_s21_no_failure_of_the_handshake_shows_the_password(
    loop: str, failure: str, password: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    auth = triocql.PlainTextAuth("ann", password)
    options: dict[str, Any] = {"keyspace": "missing"} if failure == "no such keyspace" else {}
    if failure == "no answer" and loop != "simulated":
        options["connect_timeout"] = 0.3

    async def before(scene: Scene) -> None:
        FAILURES[failure](scene)
        with pytest.raises(errors.ConnectError) as caught:
            await scene.connecting(**options).__aenter__()
        for text in texts_of(caught.value):
            assert CANARY not in text
            assert str(CANARY.encode())[2:-1] not in text
        assert CANARY.encode() not in pickle.dumps(caught.value)
        scene.server.rules.clear()
        scene.server.authenticator = RIGHT

    run(loop, nothing, before=before, server={"authenticator": RIGHT}, auth=auth)
    assert CANARY not in caplog.text
    assert all(CANARY not in f"{record.__dict__}" for record in caplog.records)


@ON_SOCKETS
def test_s21_an_authenticator_that_breaks_shows_nothing_of_what_it_sent(loop: str) -> None:
    async def before(scene: Scene) -> None:
        with pytest.raises(errors.AuthenticationError, match="raised RuntimeError") as caught:
            await scene.connecting(auth=Raising()).__aenter__()
        for text in texts_of(caught.value):
            assert CANARY not in text

    run(
        loop,
        nothing,
        before=before,
        server={"authenticator": RIGHT},
        auth=triocql.PlainTextAuth("ann", CANARY),
    )


def test_s21_nothing_of_a_session_and_its_options_shows_the_password() -> None:
    auth = triocql.PlainTextAuth("ann", CANARY)
    options = triocql.Options.from_arguments("10.0.0.1", auth=auth)
    connecting = triocql.connect(options=options)
    shown = [
        auth,
        options,
        connecting,
        dataclasses.asdict(options),
        dataclasses.replace(options, keyspace="k"),
    ]
    assert all(CANARY not in f"{each} {each!r}" for each in shown)
    # It has to be there for the process that it is for.
    assert pickle.loads(pickle.dumps(options)).auth == auth

    async def row(scene: Scene) -> None:
        session = scene.session
        context = session._context
        router = context.executor.router
        for each in (
            session,
            context,
            context.cluster,
            router,
            *router.pools,
            *scene.connections,
            scene.connecting(),
        ):
            assert CANARY not in f"{each} {each!r}"

    run("simulated", row, server={"authenticator": RIGHT}, auth=auth)


@pytest.mark.parametrize(
    "statement",
    [
        f"CREATE ROLE app WITH PASSWORD = '{CANARY}' AND LOGIN = true",
        f"ALTER ROLE app WITH password='{CANARY}'",
        f"CREATE USER app WITH PASSWORD '{CANARY}' SUPERUSER",
        f"CREATE ROLE app WITH HASHED PASSWORD = '{CANARY}'",
        f"ALTER ROLE app WITH LOGIN = true AND PASSWORD\n= 'it''s {CANARY}'",
        f"CREATE ROLE app WITH PASSWORD = $$it's {CANARY}$$",
        f"CREATE ROLE app WITH PASSWORD = '{'x' * 60}{CANARY}'",
    ],
)
def test_a_timeout_shows_no_password_of_the_statement(
    statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def row(scene: Scene) -> None:
        scene.server.when(statement).then(no_response())
        with pytest.raises(errors.RequestTimeout) as caught:
            await scene.session.execute(statement, timeout=1.0)
        assert "ROLE app" in caught.value.statement or "USER app" in caught.value.statement
        assert "canary" not in f"{caught.value} {caught.value!r} {vars(caught.value)}"

    run("simulated", row)
    assert "canary" not in caplog.text
