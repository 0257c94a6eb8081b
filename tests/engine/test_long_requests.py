"""Requests that are too long for a frame fail by themselves, before a byte of theirs is sent."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.engine.world import INSERT, SELECT, World
from triocql import errors
from triocql.engine.messages.query import QueryMessage
from triocql.protocol.constants import MAX_FRAME
from triocql.protocol.requests import prepare

TOO_LONG = "bytes; the protocol allows 268,435,456 in one frame"


def test_values_of_a_prepared_statement() -> None:
    world = World()
    with world.session() as session:
        insert = world.call(session.prepare, INSERT)
        # Memory that nobody touches is none.
        binder: Any = SimpleNamespace(bind=lambda values: bytes(MAX_FRAME))
        state = insert.prepared.state
        insert.prepared.state = replace(state, binder=binder)
        with pytest.raises(errors.UsageError, match=TOO_LONG):
            world.call(session.execute, insert, [1])
        insert.prepared.state = state
        assert world.call(session.execute, SELECT, [7]).scalar() == 7


def test_text_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    with world.session() as session:
        monkeypatch.setattr(QueryMessage, "body", lambda message: bytes(MAX_FRAME + 1))
        with pytest.raises(errors.UsageError, match=TOO_LONG):
            world.call(session.execute, "SELECT now")
        monkeypatch.undo()
        assert world.call(session.execute, SELECT, [7]).scalar() == 7


@pytest.mark.parametrize("version", [3, 4, 5])
def test_text_to_prepare(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triocql.protocol.frames.MAX_FRAME", 20)
    assert prepare(version, "SELECT")
    with pytest.raises(errors.UsageError, match=r"a request has \d+ bytes"):
        prepare(version, "SELECT k FROM t WHERE")
