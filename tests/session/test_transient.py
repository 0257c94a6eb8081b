"""`Error.is_transient`: for whom it makes sense to come back later."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import pytest

from tests.engine import wire
from tests.engine.world import World
from triocql import errors
from triocql.errors import ConnectError
from triocql.protocol.constants import Opcode

TRANSIENT = {
    "AttemptTimeout",
    "CasWriteUnknown",
    "CdcWriteFailure",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "IsBootstrapping",
    "NoNodeAvailable",
    "Overloaded",
    "QueueFull",
    "RateLimitReached",
    "ReadTimeout",
    "RequestTimeout",
    "ScanIncomplete",
    "TruncateError",
    "Unavailable",
    "WriteTimeout",
}
CLASSES = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, errors.Error)]


def test_the_kinds() -> None:
    assert {each.__name__ for each in CLASSES if each.is_transient} == TRANSIENT


def connecting_fails(*listeners: Any, **options: Any) -> ConnectError:
    world = World(count=max(1, len(listeners)), connect_timeout=2.0, **options)
    for listener, (name, value) in zip(world.listeners, listeners, strict=False):
        setattr(listener, name, value)
    world.node.script = lambda asked: asked.text.startswith("USE") and asked.error(0x2200, "no such keyspace")
    with pytest.raises(ConnectError) as caught:
        world.call(world.connect().__aenter__)
    return caught.value


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (lambda: connecting_fails(("refuse", True)), True),
        (lambda: connecting_fails(("black_hole", True)), True),
        (lambda: connecting_fails(("refuse", True), ("black_hole", True)), True),
        (lambda: connecting_fails(keyspace="none"), False),
        (lambda: connecting_fails(("accept", True), ("refuse", True), keyspace="none"), True),
    ],
    ids=["refused", "silent", "both", "no keyspace", "no keyspace, and refused"],
)
def test_connecting(error: Any, transient: bool) -> None:
    found = error()
    assert found.is_transient is transient
    assert copy.copy(found).is_transient is transient


@pytest.mark.parametrize(
    ("code", "transient"), [(0x1001, True), (0x1002, True), (0x0000, False), (0x0100, False)]
)
def test_a_refusal_in_the_handshake_is_what_its_code_is(code: int, transient: bool) -> None:
    world = World()
    world.node.script = lambda asked: (
        asked.opcode == Opcode.STARTUP and asked.error(code, "come back later, or do not")
    )
    with pytest.raises(ConnectError) as caught:
        world.call(world.connect().__aenter__)
    assert caught.value.is_transient is transient


def test_a_compression_that_is_not_offered_will_not_be_later() -> None:
    world = World(compression="lz4")
    world.node.script = lambda asked: (
        asked.opcode == Opcode.OPTIONS and asked.answer(wire.SUPPORTED, wire.supported({}))
    )
    with pytest.raises(ConnectError, match="no compression 'lz4'") as caught:
        world.call(world.connect().__aenter__)
    assert caught.value.is_transient is False
