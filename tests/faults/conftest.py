"""For the rows of faults."""

from __future__ import annotations

import pytest

from triocql.cluster import keeper


@pytest.fixture(autouse=True)
def soon(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where time is real, have what was lost dialled again at once."""
    callspec = getattr(request.node, "callspec", None)
    if callspec is not None and callspec.params.get("loop", "simulated") != "simulated":
        monkeypatch.setattr(keeper, "_NUDGE_EVERY", 0.02)
