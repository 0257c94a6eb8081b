"""For the tests of the engine."""

from __future__ import annotations

import pytest

from triocql.engine.connections import pool


@pytest.fixture
def in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each request go to another node than the one before."""
    monkeypatch.setattr(pool, "IN_A_ROW", 1)
