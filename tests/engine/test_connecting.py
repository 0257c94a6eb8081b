"""Opening connections: what goes wrong is said with its node and step; versions step down; nothing is left open."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

import triocql
from tests.engine import wire
from tests.engine.peer import Asked
from tests.engine.world import INSERT, SELECT, World, only, pools
from triocql import errors
from triocql.protocol.constants import Opcode
from triocql.testing.simulated import SimTask

SECRET = "s3cr3t-canary"
WHERE = "10.0.0.1:9042"


def connecting(world: World) -> errors.ConnectError:
    """Connect in vain; return the error."""
    with pytest.raises(errors.ConnectError) as info:
        world.call(world.connect().__aenter__)
    world.assert_closed()
    assert SECRET not in str(info.value) + repr(info.value)
    return info.value


def on(opcode: int, do: Callable[[Asked], Any]) -> Callable[[Asked], bool]:
    """Return a script that does something about one kind of requests."""

    def script(asked: Asked) -> bool:
        if asked.opcode != opcode:
            return False
        do(asked)
        return True

    return script


def reset(world: World) -> None:
    world.listeners[0].accepted[-1].reset()


def test_refused() -> None:
    world = World()
    world.listeners[0].refuse = True
    error = connecting(world)
    assert str(error).startswith(f"{WHERE}, dialling: ")
    assert isinstance(error.__cause__, ConnectionRefusedError)


def test_black_hole() -> None:
    world = World(connect_timeout=3.0)
    world.listeners[0].black_hole = True
    error = connecting(world)
    assert isinstance(error, errors.ConnectTimeout)
    assert str(error) == f"{WHERE}, dialling: not done within the connect timeout of 3 s"
    assert world.reactor.now() == 3.0


@pytest.mark.parametrize("opcode", [Opcode.OPTIONS, Opcode.STARTUP])
def test_silence_names_the_step(opcode: Opcode) -> None:
    world = World()
    world.node.script = on(opcode, lambda asked: None)
    error = connecting(world)
    assert isinstance(error, errors.ConnectTimeout)
    assert str(error) == f"{WHERE}, {opcode.name}: not done within the connect timeout of 5 s"
    assert 5.0 <= world.reactor.now() < 5.01


@pytest.mark.parametrize("opcode", [Opcode.OPTIONS, Opcode.STARTUP])
@pytest.mark.parametrize("how", ["reset", "eof"])
def test_lost_names_the_step(opcode: Opcode, how: str) -> None:
    world = World()

    def lose(asked: Asked) -> None:
        transport = world.listeners[0].accepted[-1]
        transport.reset() if how == "reset" else transport.send_eof()

    world.node.script = on(opcode, lose)
    error = connecting(world)
    assert str(error).startswith(f"{WHERE}, {opcode.name}: ")
    assert ("set ssl_context=" in str(error)) == (opcode is Opcode.OPTIONS)
    assert isinstance(error.__cause__, ConnectionResetError)
    assert world.reactor.now() < 0.1


@pytest.mark.parametrize("delay", [4.9, 5.1])
def test_the_timeout_is_for_all_steps_together(delay: float) -> None:
    world = World()

    def slowly(asked: Asked) -> bool:
        world.reactor.call_at(world.reactor.now() + delay / 2, asked.respond)
        return True

    world.node.script = lambda asked: (
        asked.link is world.node.links[0]
        and asked.opcode in (Opcode.OPTIONS, Opcode.STARTUP)
        and slowly(asked)
    )
    if delay > 5:
        assert "STARTUP" in str(connecting(world))
    else:
        with world.session() as session:
            assert session.protocol_version == 5
        assert world.reactor.now() >= 4.9


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x0a"])
def test_another_protocol(data: bytes) -> None:
    world = World()
    world.node.script = on(Opcode.OPTIONS, lambda asked: asked.link.send_raw(data))
    error = connecting(world)
    assert ("HTTP" if data[:1] == b"H" else "TLS") in str(error)
    assert isinstance(error.__cause__, errors.ProtocolError)


def test_message_out_of_turn() -> None:
    world = World()
    world.node.script = on(
        Opcode.OPTIONS, lambda asked: asked.answer(wire.AUTH_SUCCESS, wire.long_bytes(None))
    )
    error = connecting(world)
    assert "OPTIONS" in str(error)
    assert "AuthSuccess in state OPTIONS_SENT" in str(error)


# --- Versions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", [(4, 3), (3,)])
def test_version_steps_down(versions: tuple[int, ...]) -> None:
    world = World(*versions, connections_local=2)
    with world.session() as session:
        assert session.protocol_version == versions[0]
        assert world.call(session.execute, SELECT, [1]).scalar() == 1
        live = [link for link in world.node.links if not link.lost]
        assert {link.version for link in live} == {versions[0]}
        assert len(world.node.links) == 3


def test_forced_version_does_not_step_down() -> None:
    world = World(4, protocol_version=5)
    error = connecting(world)
    assert isinstance(error, errors.UnsupportedVersion)
    assert "refuses protocol v5" in str(error)
    assert "leave protocol_version= out" in str(error)
    assert len(world.node.links) == 1


def test_forced_version() -> None:
    world = World(protocol_version=4)
    with world.session() as session:
        assert session.protocol_version == 4
        assert world.node.links[0].version == 4


def test_no_common_version() -> None:
    world = World()
    refusal = "Invalid or unsupported protocol version (5); supported versions are (6/v6, 7/v7)"
    world.node.script = on(Opcode.OPTIONS, lambda asked: asked.error(0x000A, refusal))
    error = connecting(world)
    assert isinstance(error, errors.UnsupportedVersion)
    assert "leave" not in str(error)


def test_all_connections_have_the_version_of_the_first() -> None:
    world = World(4, count=2)
    world.nodes[1].versions = (5, 4, 3)
    with world.session():
        assert {link.version for link in world.nodes[1].links} == {4}


# --- Authentication ----------------------------------------------------------------------------------------------


def authenticating(world: World, *, rounds: int = 0, success: bool = True) -> list[bytes]:
    """Have the node authenticate; return the list of the tokens that it gets."""
    tokens: list[bytes] = []

    def script(asked: Asked) -> bool:
        if asked.opcode == Opcode.STARTUP:
            asked.answer(wire.AUTHENTICATE, wire.string("org.apache.PasswordAuthenticator"))
        elif asked.opcode == Opcode.AUTH_RESPONSE:
            (length,) = struct.unpack(">i", asked.body[:4])
            tokens.append(asked.body[4 : 4 + length])
            if len(tokens) <= rounds:
                asked.answer(wire.AUTH_CHALLENGE, wire.long_bytes(b"more"))
            elif success:
                asked.answer(wire.AUTH_SUCCESS, wire.long_bytes(None))
            else:
                asked.error(0x0100, "Provided username ada and/or password are incorrect")
        else:
            return False
        return True

    world.node.script = script
    return tokens


@pytest.mark.parametrize("version", [4, 5])
def test_password(version: int) -> None:
    world = World(version, auth=triocql.PlainTextAuth("ada", SECRET))
    tokens = authenticating(world)
    with world.session() as session:
        assert world.call(session.execute, SELECT, [1]).scalar() == 1
    assert set(tokens) == {f"\0ada\0{SECRET}".encode()}


def test_wrong_password() -> None:
    world = World(auth=triocql.PlainTextAuth("ada", SECRET))
    authenticating(world, success=False)
    error = connecting(world)
    assert isinstance(error, errors.AuthenticationError)
    assert str(error).startswith(f"{WHERE}, AUTH_RESPONSE: ")
    assert "are incorrect" in str(error)


def test_no_password() -> None:
    world = World()
    authenticating(world)
    error = connecting(world)
    assert isinstance(error, errors.AuthenticationError)
    assert "set auth=triocql.PlainTextAuth" in str(error)


class Endless:
    """Answers every challenge."""

    def initial_response(self, authenticator: str) -> bytes:
        return b"first"

    def challenge(self, token: bytes | None) -> bytes:
        return b"next"

    def success(self, token: bytes | None) -> None:
        """Take note of nothing."""


def test_challenges_without_end() -> None:
    world = World(auth=Endless())
    tokens = authenticating(world, rounds=1000)
    error = connecting(world)
    assert isinstance(error, errors.AuthenticationError)
    assert len(tokens) == 17


def test_authenticator_that_raises_secrets() -> None:
    class Broken(Endless):
        def initial_response(self, authenticator: str) -> bytes:
            raise ValueError(SECRET)

    world = World(auth=Broken())
    authenticating(world)
    error = connecting(world)
    assert isinstance(error, errors.AuthenticationError)
    assert "raised ValueError" in str(error)


# --- Several contact points --------------------------------------------------------------------------------------


def test_the_next_contact_point_when_one_is_away() -> None:
    world = World(count=3)
    world.listeners[0].refuse = True
    world.listeners[1].black_hole = True
    with world.session() as session:
        assert world.call(session.execute, SELECT, [1]).scalar() == 1
        assert [len(pool.connections) for pool in pools(session)] == [1, 0, 0]  # the one that told of all
        assert 5.0 <= world.reactor.now() < 5.5


def test_none_answers() -> None:
    world = World(count=2)
    world.listeners[0].refuse = True
    world.listeners[1].black_hole = True
    error = connecting(world)
    assert type(error) is errors.ConnectError
    assert [(str(a.node), type(a.error), round(a.elapsed)) for a in error.attempts] == [
        ("10.0.0.1:9042", errors.ConnectError, 0),
        ("10.0.0.2:9042", errors.ConnectTimeout, 5),
    ]
    assert "no connection to any contact point" in str(error)
    assert "10.0.0.2:9042, dialling" in str(error)


def test_none_answers_for_the_same_reason() -> None:
    world = World(count=2)
    for listener in world.listeners:
        listener.black_hole = True
    error = connecting(world)
    assert isinstance(error, errors.ConnectTimeout)
    assert len(error.attempts) == 2


def test_compression_that_the_node_does_not_have() -> None:
    world = World(4, protocol_version=4, compression="lz4")
    world.node.script = on(
        Opcode.OPTIONS,
        lambda asked: asked.answer(wire.SUPPORTED, wire.supported({"COMPRESSION": ["snappy"]})),
    )
    assert "no compression 'lz4'; it offers: snappy" in str(connecting(world))


def test_compression_that_v5_does_not_have() -> None:
    pytest.importorskip("cramjam")
    world = World(compression="snappy", protocol_version=5)
    with pytest.raises(errors.OptionError, match="v5"):
        world.call(world.connect().__aenter__)
    world.assert_closed()


@pytest.mark.parametrize("level", [False, True])
def test_cancelled_while_connecting(level: bool) -> None:
    world = World(level=level)
    world.node.script = on(Opcode.STARTUP, lambda asked: None)
    task = world.start(world.connect().__aenter__)
    world.reactor.advance(1)
    task.cancel()
    world.reactor.advance(1)
    assert task.cancelled
    world.assert_closed()


def test_connecting_object_is_used_once() -> None:
    world = World()
    connecting_ = world.connect()
    session = world.call(connecting_.__aenter__)
    with pytest.raises(errors.UsageError, match="used already"):
        world.call(connecting_.__aenter__)
    world.call(session.aclose)
    world.assert_closed()


# --- Closing -----------------------------------------------------------------------------------------------------


def test_close_fails_what_is_under_way() -> None:
    world = World(max_in_flight=2)
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        tasks: list[SimTask[Any]] = [world.start(session.execute, insert, [number]) for number in range(3)]
        tasks.append(world.start(session.execute, SELECT, [1]))
        tasks.append(world.start(session.prepare, SELECT))
        closing = [world.start(session.aclose, 0), world.start(session.aclose, 0)]
        world.settle()
        assert all(task.done and task.result() is None for task in closing)
        for number, task in enumerate(tasks):
            with pytest.raises(errors.SessionClosed) as info:
                task.result()
            assert info.value.maybe_executed is (number < 2)
        for late in (session.execute("SELECT x"), session.execute(insert, [1]), session.prepare(SELECT)):
            with pytest.raises(errors.SessionClosed):
                world.call(lambda coro=late: coro)
        world.call(session.aclose)


def test_close_with_many_in_flight() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        world.node.holding = True
        tasks = [world.reactor.start(session.execute, insert, [number]) for number in range(1000)]
        world.settle()
        world.call(session.aclose, 0)
        world.settle()
        for task in tasks:
            with pytest.raises(errors.SessionClosed):
                task.result()


def test_a_bug_in_the_background_ends_the_session_and_says_so() -> None:
    world = World()
    with world.session() as session:
        world.node.holding = True
        task = world.start(session.execute, "INSERT 1")
        bug = ZeroDivisionError("bug")
        world.reactor.report_bug(bug)
        world.settle()
        for each in (task, world.start(session.execute, "INSERT 2"), world.start(session.prepare, SELECT)):
            with pytest.raises(errors.InternalError, match="bug") as info:
                each.result()
            assert info.value.__cause__ is bug
        world.reactor.advance(100)
        assert len(world.node.links) == 1


def test_a_connection_keeps_what_its_node_offers() -> None:
    world = World()
    with world.session() as session:
        assert only(session).features.compressions == ("lz4", "snappy")
        assert only(session).features.supported["CQL_VERSION"] == ("3.4.7",)
